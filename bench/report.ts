// What a run found, as one object for machines and as a table for people.
import { availableParallelism, cpus } from 'node:os';
import type { Bench, Finding, Row } from './bench.ts';
import type { Latencies } from './load/tally.ts';

export interface Report {
  readonly machine: { readonly cores: number; readonly model: string; readonly node: string };
  readonly isQuick: boolean;
  /** Requests a second of bare uWebSockets.js, first and last in this run. */
  readonly bare: { readonly first: number; readonly last: number; readonly mean: number };
  readonly benches: readonly BenchReport[];
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

/** The first and the last of `ran` are the bare server. */
export function toReport(ran: readonly Ran[], isQuick: boolean): Report {
  const speed = (at: number): number => ran.at(at)?.finding.rows[0]?.perSecond ?? 0;
  const bare = { first: speed(0), last: speed(-1), mean: (speed(0) + speed(-1)) / 2 };
  const ratioOf = ({ ratio, perSecond }: Row): number | null =>
    ratio === 'bare' ? (perSecond ?? 0) / bare.mean : (ratio ?? null);
  const benches = ran.map(({ bench: { name, question }, finding: { rows, notes = [], problems } }) => ({
    ...{ name, question, notes, problems },
    rows: rows.map((row) => ({ ...row, ratio: ratioOf(row) })),
  }));
  return {
    machine: { cores: availableParallelism(), model: cpus()[0]?.model ?? 'unknown', node: process.version },
    isQuick,
    bare,
    benches,
    isOk: benches.every(({ problems }) => problems.length === 0),
  };
}

const HEADINGS = ['', 'per second', 'ratio', 'count', 'p50', 'p90', 'p99', 'p99.9', 'max ms', 'other answers'];

export function toLines({ machine, isQuick, bare, benches, isOk }: Report): string[] {
  const { cores, model, node } = machine;
  const lines = [
    `${cores} cores, ${model}, Node ${node}${isQuick ? '; quick: amounts too small for figures' : ''}`,
    '',
  ];
  for (const { question, rows, notes, problems } of benches) {
    lines.push(question, ...grid([HEADINGS, ...rows.map(toCells)]));
    lines.push(...rows.flatMap(({ what, note }) => (note === undefined ? [] : [`  ${what}: ${note}`])));
    lines.push(...notes.map((note) => `  ${note}`), ...problems.map((problem) => `  WRONG: ${problem}`), '');
  }
  lines.push(
    `bare uWebSockets.js: ${whole(bare.first)}/s first, ${whole(bare.last)}/s last; ratios use ${whole(bare.mean)}/s`,
  );
  lines.push('Ratios are the result: absolute figures drift with the machine and with what else it does.');
  lines.push(isOk ? 'every sale was audited: nothing lost, nothing oversold' : 'SOMETHING IS WRONG: see above');
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
