// What a run found, as one object for machines and as a table for people.
import type { Bench, Finding, Row } from './bench.ts';
import type { Latencies } from './load/tally.ts';
import { type Machine, toMachineLine } from './machine.ts';
import { median, spread, type Spread } from './spread.ts';
import { judgeTargets, type Measures, type TargetResult, toTableLines } from './target-table.ts';

export interface Report {
  readonly machine: Machine;
  readonly isQuick: boolean;
  /** What drove: ratios are between runs of this one. */
  readonly generator: string;
  /** Requests a second of bare uWebSockets.js, over all its runs in this run. */
  readonly bare: Spread;
  readonly benches: readonly BenchReport[];
  readonly measures: Measures;
  readonly targets: readonly TargetResult[];
  readonly isOk: boolean;
}

interface BenchReport {
  readonly name: string;
  readonly question: string;
  readonly rows: readonly (Omit<Row, 'ratio'> & { readonly ratio: number | null })[];
  readonly notes: readonly string[];
  readonly problems: readonly string[];
}

export interface Ran {
  readonly bench: Bench;
  readonly finding: Finding;
}

export interface Run {
  readonly machine: Machine;
  readonly isQuick: boolean;
  readonly generator: string;
  readonly bareRates: readonly number[];
  readonly ran: readonly Ran[];
}

export function toReport({ machine, isQuick, generator, bareRates, ran }: Run): Report {
  const bare = median(bareRates);
  const ratioOf = ({ ratio, perSecond }: Row): number | null =>
    ratio === 'bare' ? (perSecond ?? 0) / bare : (ratio ?? null);
  const benches = ran.map(({ bench: { name, question }, finding: { rows, notes = [], problems } }) => ({
    ...{ name, question, notes, problems },
    rows: rows.map((row) => ({ ...row, ratio: ratioOf(row) })),
  }));
  // Over nothing is no figure.
  const found = ran.flatMap(({ finding }) => Object.entries(finding.measures ?? {}));
  const measures: Measures = Object.fromEntries(found.filter(([, value]) => Number.isFinite(value)));
  return {
    ...{ machine, isQuick, generator, bare: spread(bareRates), benches, measures, targets: judgeTargets(measures) },
    isOk: benches.every(({ problems }) => problems.length === 0),
  };
}

/** Of a minute's load: an idle machine has less. */
const BUSY_LOAD = 0.7;
const HEADINGS = ['', 'per second', 'ratio', 'count', 'p50', 'p90', 'p99', 'p99.9', 'max ms', 'other answers'];

export function toLines({ machine, isQuick, generator, bare, benches, targets, isOk }: Report): string[] {
  const lines = [`${toMachineLine(machine)}${isQuick ? '; quick: amounts too small for figures' : ''}`, ''];
  for (const { question, rows, notes, problems } of benches) {
    lines.push(question, ...grid([HEADINGS, ...rows.map(toCells)]));
    lines.push(...rows.flatMap(({ what, note }) => (note === undefined ? [] : [`  ${what}: ${note}`])));
    lines.push(...notes.map((note) => `  ${note}`), ...problems.map((problem) => `  WRONG: ${problem}`), '');
  }
  lines.push(
    `bare uWebSockets.js, driven by ${generator}: median ${whole(bare.median)}/s of ${bare.runs} runs (${whole(bare.least)} to ${whole(bare.most)})`,
    'Ratios are the result: absolute figures drift with the machine and with what else it does.',
    ...(machine.loadBefore > BUSY_LOAD
      ? ['This machine was busy with something else before: what needs one core was held up less than what needs two.']
      : []),
    '',
    ...toTableLines(targets),
    ...(isQuick ? ['quick: the amounts are too small to judge by; this table shows what is measured'] : []),
    '',
    isOk
      ? 'every sale was audited, those of a million purchases by their counts: nothing lost, nothing oversold'
      : 'SOMETHING IS WRONG: see above',
  );
  return lines;
}

function toCells({ what, perSecond, ratio, count, latencies, refused = {} }: BenchReport['rows'][number]): string[] {
  const others = Object.entries(refused).map(([code, times]) => `${times} × ${code}`);
  const rate = perSecond === null ? '' : whole(perSecond);
  const share = ratio === null ? '' : ratio.toFixed(2);
  return [what, rate, share, whole(count), ...times(latencies), others.join(', ')];
}

function times(latencies: Latencies | undefined): string[] {
  if (latencies === undefined) return ['', '', '', '', ''];
  const { p50, p90, p99, p999, max } = latencies;
  return [p50, p90, p99, p999, max].map((ms) => ms.toFixed(ms < 10 ? 2 : ms < 100 ? 1 : 0));
}

const whole = (value: number): string => Math.round(value).toLocaleString('en');

/** The first and the last column are words, the others figures. */
function grid(rows: readonly (readonly string[])[]): string[] {
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 || column === row.length - 1
          ? cell.padEnd(widths[column] ?? 0)
          : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .replace(/^/, '  ')
      .trimEnd(),
  );
}
