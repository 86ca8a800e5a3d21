// outbox.apply: entries of a partition's outbox become rows, then jobs, then leave the outbox, in this order. A crash
// between any two steps only means that the steps before are done once more: each of them is idempotent. Jobs of a partition
// read beside each other and commit in their turn.
import { keys } from '../../actors/keys.ts';
import type { StockStore } from '../../actors/stock-store.ts';
import { createTurns, type Turn } from '../../core/actor/turns.ts';
import type { Clock } from '../../core/clock.ts';
import { fault, messageOf } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { counter, histogram } from '../../core/metrics.ts';
import { isInfrastructureError, type Postgres } from '../../core/postgres/postgres.ts';
import type { JobQueue } from '../../core/queue/queue.ts';
import type { Redis } from '../../core/redis/redis.ts';
import { fetchEntries } from '../../core/redis/stream.ts';
import type { JobMap } from '../job-map.ts';
import { type Batch, readBatch } from './batch.ts';
import { buryRefused } from './bury.ts';
import { commitBatch } from './commit.ts';
import { createFollowing } from './following.ts';
import { readEpoch } from './partition-store.ts';
import type { SaleTerms } from './sale-terms.ts';

/** Where a crash test stops: after the step of this name. */
export type ApplyStep = 'read' | 'committed' | 'enqueued' | 'acknowledged';

export interface ApplyDependencies {
  readonly postgres: Postgres;
  readonly redis: Redis;
  readonly stock: Pick<StockStore, 'release' | 'acknowledge' | 'replicated'>;
  readonly queue: Pick<JobQueue<JobMap>, 'addBulk'>;
  readonly terms: SaleTerms;
  readonly clock: Clock;
  /** As in following.ts. */
  readonly begunAmong?: ((purchaseIds: readonly string[]) => Promise<ReadonlySet<string>>) | undefined;
  readonly log: Log;
  /** For a rebuild: see commit.ts. */
  readonly crossesGaps?: boolean;
  /** Crash tests only: throwing here leaves everything after the step undone. */
  readonly stepHook?: (step: ApplyStep) => void | Promise<void>;
}

const recordsApplied = counter('doorbuster_outbox_applied_records', 'Outbox records committed in Postgres');
const applySeconds = histogram(
  'doorbuster_outbox_apply_seconds',
  'Time from reading a batch of the outbox to its acknowledgement',
);

export function createApply(deps: ApplyDependencies): (job: JobMap['outbox.apply']) => Promise<void> {
  const enqueue = createFollowing(deps);
  const turns = createTurns<number>();
  /** As it was some time before the entries were read: an epoch only grows, so if it is the same at the end, it was throughout. */
  const epochs = new Map<number, number>();

  async function epochOf(partition: number): Promise<number> {
    const epoch = epochs.get(partition) ?? (await readEpoch(deps.postgres, partition));
    if (epoch === undefined) throw fault('FENCED', `Partition ${partition} is not attached`);
    epochs.set(partition, epoch);
    return epoch;
  }

  async function read({ partition, entryIds }: JobMap['outbox.apply']): Promise<Batch> {
    const raw = await fetchEntries(deps.redis, keys.outbox(partition), entryIds);
    // A failover may take back what no replica has; Postgres must not have it then.
    if (raw.length > 0) await deps.stock.replicated(partition);
    return readBatch(partition, raw);
  }

  async function apply(job: JobMap['outbox.apply'], turn: Turn): Promise<void> {
    const { partition } = job;
    const stopTimer = applySeconds.startTimer();
    // Before the entries: if a rebuild comes in between, the transaction meets another epoch and all starts over.
    const epoch = await epochOf(partition);
    const own = await read(job);
    if (own.ids.length === 0) return; // applied and acknowledged by another job
    await deps.stepHook?.('read');

    await turn.come;
    const committed = await commitBatch(deps, own, epoch);
    turn.end();
    await deps.stepHook?.('committed');

    await enqueue(partition, await buryRefused(deps, committed));
    await deps.stepHook?.('enqueued');

    const { ids, entries } = committed.batch;
    await deps.stock.acknowledge(partition, ids);
    await deps.stepHook?.('acknowledged');
    recordsApplied.inc(entries.reduce((sum, entry) => sum + entry.records.length, 0));
    stopTimer();
  }

  return async (job) => {
    const turn = turns(job.partition);
    try {
      await apply(job, turn);
    } catch (error) {
      epochs.delete(job.partition);
      // Never a dead letter: an outbox entry is tried until it is in Postgres, whatever is wrong around it.
      if (isInfrastructureError(error)) throw error;
      deps.log.error({ partition: job.partition, err: error }, 'a batch of the outbox cannot be applied');
      throw fault('UNAVAILABLE', `outbox.apply: ${messageOf(error)}`, { cause: error });
    } finally {
      turn.end();
    }
  };
}
