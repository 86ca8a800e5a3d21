// Processor time of a purchase over HTTP on two running systems, or on one, in turns: the same crowd at the same rate, once where
// there is little and once where there is much. Of all processes of a system, until the last purchase is a row in Postgres.
import type { Row } from '../bench.ts';
import { gatherCrowd, purchaseWishes } from '../load/crowd.ts';
import { runOpenLoop } from '../load/open-loop.ts';
import { describeSpent, watchProcessorTime } from '../load/processor-time.ts';
import { whenWritten } from '../load/timed-crowd.ts';
import { median } from '../spread.ts';
import type { Offer, Stage } from '../stage.ts';

export interface Side {
  readonly what: string;
  readonly stage: Stage;
  /** What a purchase gets here: held, or in line. */
  readonly answer: '201' | '202';
  /** Where the crowd of the next turn buys, in turn. */
  offers(): Promise<readonly Offer[]>;
}

export interface Pace {
  readonly perSecond: number;
  readonly seconds: number;
  readonly turns: number;
}

interface Turn {
  readonly spent: Readonly<Record<string, number>>;
  readonly accepted: number;
}

export interface Comparison {
  readonly rows: readonly Row[];
  /** Much over little; not a number where the system does not tell processor time. */
  readonly ratio: number;
  readonly problems: readonly string[];
}

const CONNECTIONS = 256;

export async function compareSides(little: Side, much: Side, pace: Pace): Promise<Comparison> {
  const [ofLittle, ofMuch]: [Turn[], Turn[]] = [[], []];
  for (let turn = 0; turn < pace.turns; turn += 1) {
    ofLittle.push(await takeTurn(little, pace));
    ofMuch.push(await takeTurn(much, pace));
  }
  const ratio = median(ofMuch.map(usEach)) / median(ofLittle.map(usEach));
  const rowOf = (side: Side, turns: readonly Turn[]): Row => ({
    what: `${side.what}, ${pace.perSecond}/s over HTTP: ${median(turns.map(usEach)).toFixed(0)} µs`,
    ...{ perSecond: null, count: countOf(turns), note: describeSpent(spentOf(turns), countOf(turns)) },
  });
  const many = rowOf(much, ofMuch);
  const note = [many.note, describeGrowth(ofLittle, ofMuch)].join('; much over little: ');
  const expected = Math.ceil(pace.perSecond * pace.seconds) * pace.turns;
  const problems = [[little, ofLittle] as const, [much, ofMuch] as const].flatMap(([side, turns]) =>
    countOf(turns) === expected ? [] : [`${side.what}: ${countOf(turns)} of ${expected} got a ${side.answer}`],
  );
  return { rows: [rowOf(little, ofLittle), { ...many, ratio, note }], ratio, problems };
}

/** A turn that is not counted: connections, caches and compiled code are there afterwards. */
export async function warmUp(side: Side, pace: Pace): Promise<void> {
  await takeTurn(side, pace);
}

/** Nothing of these sales is on its way to Postgres. */
export async function untilWritten(stage: Stage, offers: readonly Offer[]): Promise<void> {
  for (const offer of new Map(offers.map((one) => [one.saleId, one])).values())
    await whenWritten(() => stage.backlog(offer), 1);
}

async function takeTurn({ stage, answer, offers: choose }: Side, { perSecond, seconds }: Pace): Promise<Turn> {
  const offers = await choose();
  const tokens = await gatherCrowd(Math.ceil(perSecond * seconds), stage.config.jwtSecret);
  const wishes = tokens.flatMap((token, i) => {
    const offer = offers[i % offers.length];
    return offer === undefined ? [] : purchaseWishes([token], offer);
  });
  const watch = watchProcessorTime(stage.processes());
  const load = await runOpenLoop({ url: stage.url, connections: CONNECTIONS, perSecond, wishes });
  await untilWritten(stage, offers);
  return { spent: watch.spent(), accepted: load.statuses[answer] ?? 0 };
}

function usEach({ spent, accepted }: Turn): number {
  return (Object.values(spent).reduce((sum, ms) => sum + ms, 0) * 1_000) / accepted;
}

function countOf(turns: readonly Turn[]): number {
  return turns.reduce((sum, { accepted }) => sum + accepted, 0);
}

function spentOf(turns: readonly Turn[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { spent } of turns) for (const [name, ms] of Object.entries(spent)) sum[name] = (sum[name] ?? 0) + ms;
  return sum;
}

/** Which of the processes it is that has more to do. */
function describeGrowth(little: readonly Turn[], much: readonly Turn[]): string {
  const [before, after] = [spentOf(little), spentOf(much)];
  const factor = (name: string): number => (after[name] ?? 0) / countOf(much) / ((before[name] ?? 0) / countOf(little));
  return Object.keys(before)
    .filter((name) => Number.isFinite(factor(name)))
    .map((name) => `${name} ${factor(name).toFixed(2)}`)
    .join(', ');
}
