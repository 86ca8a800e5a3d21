// The sweep: in every API and worker process, four times a second, it ends due holds, admits what the lines were owed
// and moves sales by the clock. All of it is idempotent, so any number of sweepers may run; none is needed in particular.
// Where nothing is due a look at the partition's agenda is all that it does, but for one partition a round.
import { type Clock, jitter, sleep } from '../core/clock.ts';
import { PARTITIONS, SWEEP_INTERVAL_MS, SWEEP_SLICES_A_ROUND } from '../core/constants.ts';
import { CodedError, hasCode, messageOf } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { counter, gauge } from '../core/metrics.ts';
import type { FindDue } from './agenda.ts';
import type { StockStore } from './stock-store.ts';
import { createSweepPace, type SweepPace } from './sweep-pace.ts';

export interface HoldSweeper {
  start(): void;
  /** Resolves when the sweep under way has ended. */
  stop(): Promise<void>;
}

const expired = counter('doorbuster_holds_expired_total', 'Holds ended by this process');
const lag = gauge(
  'doorbuster_hold_lag_milliseconds',
  'How long after its deadline the oldest hold of the last sweep ended',
);

const everyPartition = Array.from({ length: PARTITIONS }, (_, partition) => partition);

/** Newcomers are refused while the outbox or the memory is full; that must not slow the ends of holds down. */
async function admit(stock: StockStore, partition: number): Promise<{ admitted: number; hasMore: boolean }> {
  try {
    return await stock.admit(partition);
  } catch (error) {
    if (hasCode(error, 'BACKLOG_FULL', 'LOW_MEMORY')) return { admitted: 0, hasMore: false };
    throw error;
  }
}

/** Ends due holds until none is left, or it is time to look at openings and lines again. True while there may be more. */
async function expireSlices(stock: StockStore, partition: number, options: SweepOptions): Promise<boolean> {
  let waitedMs = 0;
  for (let sent = 0; sent < SWEEP_SLICES_A_ROUND && waitedMs < SWEEP_INTERVAL_MS; sent += 1) {
    const { ended, hasMore, lagMs } = await stock.expire(partition);
    if (ended > 0) expired.inc(ended);
    if (ended > 0) lag.set(lagMs);
    if (!hasMore) return false;
    waitedMs += (await options.pace?.turn(lagMs, options.signal)) ?? 0;
    if (options.signal?.aborted) return false;
  }
  return true;
}

interface SweepOptions {
  readonly signal?: AbortSignal;
  /** Left out: as fast as Redis answers. */
  readonly pace?: SweepPace | undefined;
}

/** One look at one partition; repeats while a slice was full. */
export async function sweepPartition(stock: StockStore, partition: number, options: SweepOptions = {}): Promise<void> {
  for (let hasMore = true; hasMore && !options.signal?.aborted; ) {
    const hasDue = await expireSlices(stock, partition, options);
    const ticked = await stock.tick(partition);
    const admitted = await admit(stock, partition);
    hasMore = hasDue || ticked.hasMore || (admitted.hasMore && admitted.admitted > 0);
  }
}

export interface HoldSweeperDependencies {
  readonly stock: StockStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Left out: every partition is swept every time. */
  readonly findDue?: FindDue | undefined;
  /** Shared with whatever else sweeps in this process; one of its own where left out. */
  readonly pace?: SweepPace | undefined;
}

export function createHoldSweeper(deps: HoldSweeperDependencies): HoldSweeper {
  const { stock, log, findDue, pace = createSweepPace(deps.clock) } = deps;
  const stopping = new AbortController();
  let loop: Promise<void> | undefined;
  /** Those that are being swept: one whose Redis does not answer must not make the others late. */
  const underWay = new Map<number, Promise<void>>();
  const failures = new Map<number, string>();

  function tellFailure(partition: number, error: unknown): void {
    const text = error instanceof CodedError ? error.code : messageOf(error);
    // One line when a trouble begins, not four a second, nor one a partition.
    const isKnown = [...failures.values()].includes(text);
    if (!isKnown) log.warn({ err: error }, 'the sweep cannot reach its partitions');
    failures.set(partition, text);
  }

  async function sweep(partition: number): Promise<void> {
    try {
      await sweepPartition(stock, partition, { signal: stopping.signal, pace });
      failures.delete(partition);
    } catch (error) {
      tellFailure(partition, error);
    } finally {
      underWay.delete(partition);
    }
  }

  async function run(): Promise<void> {
    for (let round = 0; !stopping.signal.aborted; round += 1) {
      const idle = everyPartition.filter((partition) => stock.isAttached && !underWay.has(partition));
      const due = findDue === undefined || idle.length === 0 ? undefined : await findDue(idle);
      for (const partition of idle) {
        // One in turn in any case: a script's answer tells whether this is the Redis that was compared with Postgres.
        const isTurn = partition === round % PARTITIONS;
        if (isTurn || due === undefined || due.has(partition)) underWay.set(partition, sweep(partition));
      }
      // Jittered, so that several processes do not sweep in step.
      await sleep(jitter(SWEEP_INTERVAL_MS), stopping.signal);
    }
    await Promise.all(underWay.values());
  }

  return {
    start() {
      loop ??= run();
    },
    async stop() {
      stopping.abort();
      await loop;
    },
  };
}
