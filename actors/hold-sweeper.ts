// The sweep: in every API and worker process, four times a second, it ends due holds, admits what the lines were owed
// and moves sales by the clock. All of it is idempotent, so any number of sweepers may run; none is needed in particular.
import { type Clock, jitter, sleep } from '../core/clock.ts';
import { PARTITIONS, SWEEP_INTERVAL_MS, SWEEP_SLICES_A_ROUND } from '../core/constants.ts';
import { CodedError, hasCode, messageOf } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { counter, gauge } from '../core/metrics.ts';
import type { StockStore } from './stock-store.ts';

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
async function expireSlices(stock: StockStore, partition: number): Promise<boolean> {
  for (let sent = 0; sent < SWEEP_SLICES_A_ROUND; sent += 1) {
    const { ended, hasMore, lagMs } = await stock.expire(partition);
    if (ended > 0) expired.inc(ended);
    if (ended > 0) lag.set(lagMs);
    if (!hasMore) return false;
  }
  return true;
}

/** One look at one partition; repeats while a slice was full. */
export async function sweepPartition(stock: StockStore, partition: number, signal?: AbortSignal): Promise<void> {
  for (let hasMore = true; hasMore && !signal?.aborted; ) {
    const hasDue = await expireSlices(stock, partition);
    const ticked = await stock.tick(partition);
    const admitted = await admit(stock, partition);
    hasMore = hasDue || ticked.hasMore || (admitted.hasMore && admitted.admitted > 0);
  }
}

export function createHoldSweeper(deps: { stock: StockStore; clock: Clock; log: Log }): HoldSweeper {
  const { stock, log } = deps;
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
      await sweepPartition(stock, partition, stopping.signal);
      failures.delete(partition);
    } catch (error) {
      tellFailure(partition, error);
    } finally {
      underWay.delete(partition);
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      for (let partition = 0; stock.isAttached && partition < PARTITIONS; partition++) {
        if (!underWay.has(partition)) underWay.set(partition, sweep(partition));
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
