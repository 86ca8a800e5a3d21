// A contender in a race of several rounds: what it did in each, how large its next crowd must be, and the rows in which the
// rounds end. While one is driven the others are up and idle; what that takes of the processor is told, too.
import { availableParallelism } from 'node:os';
import type { Row } from '../bench.ts';
import type { Contender } from '../contender.ts';
import { median, spread } from '../spread.ts';
import type { Generator } from './generator.ts';
import { describeSpent, watchProcessorTime } from './processor-time.ts';
import { buyersFor, runSale, type SaleRun } from './sale-run.ts';

export interface Lane {
  readonly contender: Contender;
  readonly runs: SaleRun[];
  /** Cores that the idle others used meanwhile, by run. */
  readonly idleCores: number[];
  buyers: number;
}

export interface LaneOrder {
  readonly generator: Generator;
  readonly connections: number;
  readonly seconds: number;
}

/** The first run (none of 0 seconds) compiles it and tells how large its crowds must be; it is audited like the others. */
export async function warmLane(contender: Contender, order: LaneOrder, nextSeconds: number) {
  const buyers = buyersFor(contender.perSecondMax, order.seconds === 0 ? nextSeconds : order.seconds);
  const lane: Lane = { contender, runs: [], idleCores: [], buyers };
  if (order.seconds === 0) return { lane, problems: [] };
  const { problems, burst } = await driveOnce(lane, order);
  lane.buyers = buyersFor(burst * 1.5, nextSeconds);
  return { lane, problems };
}

export async function driveLane(lane: Lane, order: LaneOrder, others: readonly Lane[]): Promise<SaleRun> {
  const pids = others.flatMap(({ contender }) => contender.processes()).map(({ pid }) => ({ name: String(pid), pid }));
  const watch = watchProcessorTime(pids);
  const startedAt = performance.now();
  const run = await driveOnce(lane, order);
  const idleMs = Object.values(watch.spent()).reduce((sum, ms) => sum + ms, 0);
  lane.idleCores.push(idleMs / (performance.now() - startedAt));
  lane.runs.push(run);
  lane.buyers = Math.max(lane.buyers, buyersFor(run.burst, order.seconds));
  return run;
}

function driveOnce({ contender, buyers }: Lane, order: LaneOrder): Promise<SaleRun> {
  return runSale(contender, { title: `${contender.name}, accepted`, ...order, buyers });
}

export function sustainedOf({ runs }: Lane): number {
  return median(runs.map(({ sustained }) => sustained));
}

export function toRows({ contender, runs, idleCores }: Lane, bareRate: number): Row[] {
  const bursts = runs.map(({ burst }) => burst);
  const sustained = runs.map((run) => run.sustained);
  // The run in the middle stands for all of them where a figure cannot be a median of its own.
  const typical = runs.toSorted((a, b) => a.sustained - b.sustained)[Math.floor((runs.length - 1) / 2)];
  if (typical === undefined) return [];
  const { latencies, refused, spent, accepted, backlog, drainMs } = typical;
  const all = Object.values(spent).reduce((sum, ms) => sum + ms, 0);
  return [
    {
      what: `${contender.name}: while the crowd sends`,
      ...{ perSecond: median(bursts), count: runs.reduce((sum, run) => sum + run.accepted, 0), latencies, refused },
      note: `${toRange(bursts)}; ${describeSpent({ ...spent, all }, accepted)}, ${toBound(all / accepted)}`,
    },
    {
      what: `${contender.name}: to the last order`,
      ...{ perSecond: median(sustained), count: accepted, ratio: median(sustained) / bareRate },
      bar: { group: 'Accepted purchases, to the last order row,', label: contender.name },
      note: [
        toRange(sustained),
        `${backlog} behind when the crowd stopped, ${Math.round(drainMs)} ms to the last row`,
        `the idle others used ${median(idleCores).toFixed(2)} cores`,
      ].join('; '),
    },
  ];
}

/** What the machine could give of it with nothing else to do: drifts less than what it gave. */
function toBound(msEach: number): string {
  const cores = availableParallelism();
  return `so at most ${Math.round((cores * 1_000) / msEach)}/s on ${cores} cores`;
}

export function toRange(values: readonly number[]): string {
  const { least, most } = spread(values);
  return `${Math.round(least)} to ${Math.round(most)}/s`;
}
