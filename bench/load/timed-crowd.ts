// A crowd against the clock: everybody sends for some seconds in a closed loop, and the clock goes on until nothing that was accepted
// is on its way to Postgres any more. What it cost is told by process.
import { sleep } from '../../core/clock.ts';
import type { Generator, LoadOrder, LoadOutcome } from './generator.ts';
import { watchProcessorTime } from './processor-time.ts';
import type { Latencies } from './tally.ts';

export interface TimedRun {
  readonly accepted: number;
  /** Accepted a second while the crowd sent. */
  readonly burst: number;
  /** Accepted a second until the last of them was an order in Postgres. */
  readonly sustained: number;
  /** When the crowd stopped: how many were not orders yet, and how long that took. */
  readonly backlog: number;
  readonly drainMs: number;
  readonly latencies: Latencies;
  /** Milliseconds of processor time until the last order, by process. */
  readonly spent: Readonly<Record<string, number>>;
}

interface TimedOrder extends LoadOrder {
  readonly generator: Generator;
  readonly processes: readonly { name: string; pid: number }[];
  /** How many were accepted and are not orders yet. */
  backlog(): Promise<number>;
}

const POLL_MS = 10;
const STILL_POLL_MS = 50;
const DRAIN_LIMIT_MS = 120_000;

export async function timeCrowd(order: TimedOrder): Promise<{ run: TimedRun; outcome: LoadOutcome }> {
  const { generator, processes, backlog, ...load } = order;
  const watch = watchProcessorTime(processes);
  const outcome = await generator.run(load);
  const endedAt = performance.now();
  const left = await backlog();
  await whenWritten(backlog, 1);
  const drainMs = performance.now() - endedAt;
  const run = {
    ...{ accepted: outcome.accepted, latencies: outcome.latencies, backlog: left, drainMs },
    burst: outcome.accepted / outcome.seconds,
    sustained: outcome.accepted / (outcome.seconds + drainMs / 1_000),
    spent: { ...watch.spent(), [generator.name]: outcome.generatorMs },
  };
  return { run, outcome };
}

/** Nothing is on its way to Postgres, as often as it is asked in a row. */
export async function whenWritten(backlog: () => Promise<number>, times: number): Promise<void> {
  const until = performance.now() + DRAIN_LIMIT_MS;
  for (let still = 0; still < times; ) {
    const left = await backlog();
    still = left > 0 ? 0 : still + 1;
    if (still < times) await sleep(left > 0 ? POLL_MS : STILL_POLL_MS);
    if (performance.now() > until) throw new Error(`${left} accepted purchases are no orders yet`);
  }
}
