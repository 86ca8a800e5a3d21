// The sweep: in every API and worker process, four times a second, it ends due holds, admits what the lines were owed
// and moves sales by the clock. All of it is idempotent, so any number of sweepers may run; none is needed in particular.
import { type Clock, jitter, sleep } from '../core/clock.ts';
import { PARTITIONS, SWEEP_INTERVAL_MS } from '../core/constants.ts';
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

/** One look at one partition; repeats while a slice was full. */
export async function sweepPartition(stock: StockStore, partition: number, signal?: AbortSignal): Promise<void> {
  for (let hasMore = true; hasMore && !signal?.aborted; ) {
    const ended = await stock.expire(partition);
    if (ended.ended > 0) {
      expired.inc(ended.ended);
      lag.set(ended.lagMs);
    }
    const ticked = await stock.tick(partition);
    const admitted = await admit(stock, partition);
    hasMore = ended.hasMore || ticked.hasMore || (admitted.hasMore && admitted.admitted > 0);
  }
}

export function createHoldSweeper(deps: { stock: StockStore; clock: Clock; log: Log }): HoldSweeper {
  const { stock, log } = deps;
  const stopping = new AbortController();
  let loop: Promise<void> | undefined;
  let lastFailure = '';

  async function sweepAll(): Promise<void> {
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition);
    const results = await Promise.allSettled(partitions.map((p) => sweepPartition(stock, p, stopping.signal)));
    const failure = results.find((result) => result.status === 'rejected')?.reason;
    const text = failure === undefined ? '' : failure instanceof CodedError ? failure.code : messageOf(failure);
    // One line when the trouble begins or changes, not four a second.
    if (text !== '' && text !== lastFailure) log.warn({ err: failure }, 'the sweep cannot reach its partitions');
    lastFailure = text;
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      if (stock.isAttached) await sweepAll();
      // Jittered, so that several processes do not sweep in step.
      await sleep(jitter(SWEEP_INTERVAL_MS), stopping.signal);
    }
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
