// One history: a seed, from the empty stores to the last check. First things happen, and go wrong; then the faults end,
// everything that was begun is finished, and the books must agree. Here is what all of it stands on: chance, time, the cast.
import { type SimulatedTime, simulateTime } from '../../core/clock.ts';
import { seedIds } from '../../core/ids.ts';
import { playActs } from './acts.ts';
import { type Cast, createCast } from './cast.ts';
import { createLookout, type Lookout } from './lookout.ts';
import type { SqlPatch } from './postgres-wire.ts';
import type { Surgery } from './processes.ts';
import { createRandom } from './random.ts';
import type { Stage } from './stage.ts';
import { createTimeline } from './timeline.ts';
import { Violation } from './violation.ts';
import { CALM, type World } from './world.ts';

export interface HistoryOptions {
  readonly seed: number;
  /** Things that buyers and operators do. */
  readonly steps: number;
  readonly surgery?: Surgery;
  readonly patchSql?: SqlPatch;
  readonly keepsTrace?: boolean;
}

export interface HistoryResult {
  readonly seed: number;
  readonly hash: string;
  readonly events: number;
  /** Virtual. */
  readonly spanMs: number;
  readonly purchases: number;
  readonly paid: number;
  readonly violation?: { readonly rule: string; readonly message: string; readonly event: number };
  readonly tail: readonly string[];
  readonly trace: readonly string[] | undefined;
}

const START_MS = 1_800_000_000_000;

export async function playHistory(stage: Stage, options: HistoryOptions): Promise<HistoryResult> {
  const { seed, steps, surgery = {}, patchSql = (text) => text } = options;
  const random = createRandom(seed);
  const timeline = createTimeline(random, START_MS, options.keepsTrace ?? false);
  const world: World = {
    ...{ random, timeline, weather: { ...CALM }, redisDownUntil: 0, postgresDownUntil: 0 },
    ...{ touched: new Set<number>(), cutListeners: [], redisRun: stage.redisRun },
  };
  const chance = createRandom(seed ^ 0x5bd1e995);
  const time: SimulatedTime = { wait: (ms) => timeline.wait(ms), random: () => random.next() };
  simulateTime(time);
  seedIds((count) => chance.bytes(count));
  await stage.reset();
  const cast: Cast = createCast({ world, stage, time, surgery, patchSql, onStrike: () => lookout.struck() });
  const lookout: Lookout = createLookout(world, stage, cast, START_MS);

  let violation: HistoryResult['violation'];
  try {
    await playActs({ seed, steps, startMs: START_MS, world, stage, cast, lookout });
  } catch (error) {
    violation = { ...explain(error), event: timeline.events };
  } finally {
    await cast.dismiss();
    simulateTime(undefined);
    seedIds(undefined);
  }
  timeline.note('end');
  const { purchases } = lookout.trail;
  const paid = [...purchases.values()].filter((p) => p.status === 'CONFIRMED').length;
  return {
    ...{ seed, hash: timeline.hash(), events: timeline.events, spanMs: timeline.now - START_MS, paid },
    ...{ purchases: purchases.size, tail: timeline.tail, trace: timeline.lines },
    ...(violation === undefined ? {} : { violation }),
  };
}

/** What is no violation is a fault of the simulation, or of the code, that nobody expected; both are to be seen. */
function explain(error: unknown): { rule: string; message: string } {
  if (error instanceof Violation) return { rule: error.rule, message: error.message };
  return { rule: 'error', message: error instanceof Error ? String(error.stack) : String(error) };
}
