// The chart of a run, drawn from its report and from nothing else: what was answered a second, and how far each target is
// reached. SVG by hand: no font is measured, colours suit a light and a dark page, and who hears the page gets the figures.
import type { Report } from './report.ts';
import { inUnit, progressOf } from './target-table.ts';

interface Bar {
  readonly label: string;
  /** Of the panel's width; null: there is nothing to draw. */
  readonly share: number | null;
  readonly value: string;
  readonly kind: 'ours' | 'other' | 'met' | 'missed';
}

interface Panel {
  readonly title: string;
  readonly bars: readonly Bar[];
  /** Where the line is that the bars are to reach. */
  readonly lineAt?: number;
}

const WIDTH = 900;
const LABELS = 330;
const BARS = 360;
const ROW = 24;
const HEAD = 40;
const MARGIN = 16;
const GAP = 8;
/** A bar of twice the target is as long as there is room. */
const PROGRESS_MAX = 2;
const OURS = 'doorbuster';

const STYLE = `
  text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
  .head { font-weight: 600; font-size: 14px; } .small { font-size: 11px; fill: #59636e; }
  .ours { fill: #0969da; } .other { fill: #8c959f; } .met { fill: #1a7f37; } .missed { fill: #bc4c00; }
  .line { stroke: #1f2328; stroke-width: 1.5; stroke-dasharray: 3 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .small { fill: #9198a1; } .line { stroke: #e6edf3; }
    .ours { fill: #4493f8; } .other { fill: #656c76; } .met { fill: #3fb950; } .missed { fill: #db6d28; }
  }
`;

export function drawChart(report: Report): string {
  const panels = [...ratePanels(report), targetPanel(report)];
  const heights = panels.map(({ bars }) => HEAD + bars.length * ROW + GAP);
  const foot = 2 * ROW;
  const height = heights.reduce((sum, part) => sum + part, MARGIN + foot);
  const drawn = panels.map((panel, i) =>
    drawPanel(
      panel,
      heights.slice(0, i).reduce((sum, h) => sum + h, MARGIN),
    ),
  );
  const { cores, model, node, redis, postgres, date } = report.machine;
  const machine = `${cores} cores, ${model}, Node ${node}, Redis ${redis}, Postgres ${postgres}, ${date.slice(0, 10)}, load by ${report.generator} on the same machine${report.isQuick ? '; small amounts: no figures' : ''}`;
  const told = panels.flatMap(({ title, bars }) => [title, ...bars.map(({ label, value }) => `${label}: ${value}`)]);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title desc">`,
    '<title id="title">What doorbuster reaches, beside bare uWebSockets.js and its baselines</title>',
    `<desc id="desc">${escape(told.join('. '))}. ${escape(machine)}.</desc>`,
    `<style>${STYLE}</style>`,
    ...drawn.flat(),
    text(MARGIN, height - MARGIN, machine, 'small'),
    '</svg>',
    '',
  ].join('\n');
}

/** One panel for each group that rows were given to, the bare server first where it is what they are over. */
function ratePanels({ benches, bare }: Report): Panel[] {
  const rows = benches.flatMap((bench) => bench.rows).flatMap((row) => (row.bar ? [{ ...row, bar: row.bar }] : []));
  const groups = [...new Set(rows.map(({ bar }) => bar.group))];
  return groups.map((group) => {
    const own = rows.filter(({ bar }) => bar.group === group);
    const rates = own.map(({ bar, perSecond }) => ({ label: bar.label, perSecond: perSecond ?? 0 }));
    const all = [{ label: 'bare uWebSockets.js', perSecond: bare.median }, ...rates];
    const most = Math.max(1, ...all.map(({ perSecond }) => perSecond));
    return {
      title: `${group} a second`,
      bars: all.map(({ label, perSecond }) => ({
        ...{ label, share: perSecond / most, value: Math.round(perSecond).toLocaleString('en') },
        kind: label.startsWith(OURS) ? 'ours' : 'other',
      })),
    };
  });
}

function targetPanel({ measures }: Report): Panel {
  const bars = progressOf(measures).map(({ check, value, progress }): Bar => {
    const wanted = `${check.bound === 'at least' ? '≥' : check.bound === 'at most' ? '≤' : '<'} ${inUnit(check.target, check.unit)}`;
    if (value === undefined)
      return { label: check.label, share: null, value: `not measured (${wanted})`, kind: 'other' };
    const share = Math.min(progress, PROGRESS_MAX) / PROGRESS_MAX;
    return {
      label: check.label,
      share,
      value: `${inUnit(value, check.unit)} (${wanted})`,
      kind: progress >= 1 ? 'met' : 'missed',
    };
  });
  return { title: 'Targets: the line is the target, a longer bar is better', bars, lineAt: 1 / PROGRESS_MAX };
}

function drawPanel({ title, bars, lineAt }: Panel, top: number): string[] {
  const first = top + HEAD;
  const rows = bars.flatMap(({ label, share, value, kind }, i) => {
    const y = first + i * ROW;
    const width = share === null ? 0 : Math.max(1, Math.round(share * BARS));
    return [
      text(LABELS - GAP, y + 13, label, 'label', 'end'),
      ...(share === null
        ? []
        : [`<rect class="${kind}" x="${LABELS}" y="${y}" width="${width}" height="${ROW - GAP}" rx="2"/>`]),
      // Beside its bar, or where a line would run through it, beyond all bars.
      text(LABELS + (lineAt === undefined ? width : BARS) + GAP, y + 13, value, 'value'),
    ];
  });
  const x = LABELS + Math.round((lineAt ?? 0) * BARS);
  const line = `<line class="line" x1="${x}" y1="${first - GAP}" x2="${x}" y2="${first + bars.length * ROW - GAP / 2}"/>`;
  return [text(MARGIN, top + 20, title, 'head'), ...rows, ...(lineAt === undefined ? [] : [line])];
}

function text(x: number, y: number, words: string, kind: string, anchor = 'start'): string {
  return `<text class="${kind}" x="${x}" y="${y}"${anchor === 'start' ? '' : ` text-anchor="${anchor}"`}>${escape(words)}</text>`;
}

function escape(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
