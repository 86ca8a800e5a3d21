// The story of the run for a person: a few bars, the line in ticket order, and the verdict.
import type { Race } from './race.ts';
import type { Records } from './record-store.ts';
import type { RushResult } from './result.ts';
import { bar, milliseconds, number } from './terminal.ts';

const BUCKETS_MS = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];

export function summarize(result: RushResult, race: Race, records: Records, columns: number): string[] {
  const width = Math.max(20, columns - 34);
  const mark = (isGood: boolean): string => (isGood ? '✓' : '✗');
  return [
    '',
    `  ${number(result.buyers)} buyers, ${number(result.stock)} units, ${(result.tookMs / 1_000).toFixed(1)} s, ${number(result.requests)} requests`,
    '',
    ...ends(result, width),
    '',
    ...line(records, columns - 4),
    '',
    ...latencies(race.witness.latencies(), result, width),
    '',
    `  ${mark(result.oversold === 0)} oversold ${result.oversold}   ${mark(result.lost === 0)} lost ${result.lost}   ${mark(result.outOfOrder === 0)} overtaken ${result.outOfOrder}   ${mark(result.audit === 'ok')} audit ${result.audit}`,
    ...result.problems.map((problem) => `  ✗ ${problem}`),
    '',
  ];
}

function ends(result: RushResult, width: number): string[] {
  const rows: [string, number, string][] = [
    ['sold', result.sold, ''],
    ['expired', result.expired, `not paid; ${number(result.passedOn)} holds went on to the next in line`],
    ['sold out', result.soldOut, ''],
    ['line full', result.lineFull, 'and did not come back again'],
    ['cancelled', result.cancelled, ''],
    ['refunded', result.refunded, 'paid too late'],
    ['refused', result.refused, ''],
    ['not done', result.unfinished, ''],
  ];
  return rows
    .filter(([label, count]) => count > 0 || label === 'sold')
    .flatMap(([label, count, remark]) => {
      const drawing = bar([['█', count / result.buyers]], width);
      return [
        `  ${label.padEnd(10)}${drawing} ${number(count).padStart(8)}`,
        ...(remark ? [`            ${remark}`] : []),
      ];
    });
}

/** From whom everybody bought to where nobody did. */
const SHADES = ['·', '░', '▒', '▓', '█'];

/** Those whose turn came, in the order of their tickets; a sign stands for as many neighbours as fit the width. */
function line({ purchases }: Records, columns: number): string[] {
  const lastAdmitted = purchases.findLastIndex(({ hadHold }) => hadHold);
  if (lastAdmitted < 0) return [];
  const admitted = purchases.slice(0, lastAdmitted + 1);
  const perSign = Math.max(1, Math.ceil(admitted.length / columns));
  let drawing = '';
  for (let from = 0; from < admitted.length; from += perSign) {
    const few = admitted.slice(from, from + perSign);
    const bought = few.filter(({ status }) => status === 'CONFIRMED').length;
    drawing += SHADES[Math.ceil((bought / few.length) * (SHADES.length - 1))] ?? '';
  }
  const behind = purchases.length - admitted.length;
  return [
    `  tickets 1 to ${number(admitted.length)}, let in exactly in this order${behind > 0 ? `; ${number(behind)} more waited until all was sold` : ''}`,
    `  ${drawing}`,
    `  ${perSign === 1 ? 'one ticket' : `${perSign} tickets`} a sign: █ all bought  ▒ half of them let their hold go  · nobody bought`,
  ];
}

function latencies(sorted: Float64Array, result: RushResult, width: number): string[] {
  const rows: string[] = [];
  let from = 0;
  let index = 0;
  for (const upTo of [...BUCKETS_MS, Number.POSITIVE_INFINITY]) {
    const start = index;
    while (index < sorted.length && (sorted[index] ?? 0) < upTo) index += 1;
    const count = index - start;
    const label = upTo === Number.POSITIVE_INFINITY ? `> ${milliseconds(from)}` : `< ${milliseconds(upTo)}`;
    if (count > 0)
      rows.push(`  ${label.padStart(9)} ${bar([['█', count / sorted.length]], width)} ${number(count).padStart(8)}`);
    from = upTo;
  }
  const { p50Ms, p99Ms, maxMs } = result;
  const title = `  first answer, from the moment the button was meant to be pressed: p50 ${milliseconds(p50Ms)}, p99 ${milliseconds(p99Ms)}, longest ${milliseconds(maxMs)}`;
  return [title, ...rows];
}
