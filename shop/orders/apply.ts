// outbox.apply: entries of a partition's outbox become rows, then jobs, then leave the outbox, in this order. A crash
// between any two steps only means that the steps before are done once more: each of them is idempotent.
import { keys } from '../../actors/keys.ts';
import { decodeOutbox, encodeOutbox } from '../../actors/outbox.ts';
import type { OutboxRecord } from '../../actors/records.ts';
import type { StockStore } from '../../actors/stock-store.ts';
import type { Clock } from '../../core/clock.ts';
import { fault, messageOf } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { counter, histogram } from '../../core/metrics.ts';
import { isInfrastructureError, type Postgres } from '../../core/postgres/postgres.ts';
import type { JobQueue } from '../../core/queue/queue.ts';
import type { Redis } from '../../core/redis/redis.ts';
import { fetchEntries, type StreamEntry } from '../../core/redis/stream.ts';
import type { JobMap } from '../job-map.ts';
import { applyRecords } from './apply-store.ts';
import { applyBisecting, type PlacedRecord, type Refused } from './bisect.ts';
import { createFollowing } from './following.ts';
import { insertDeadRecords, type NewDeadRecord } from './dead-store.ts';
import type { ReadEntry } from './follow-ups.ts';
import { DATA_ERROR } from './order-states.ts';
import { lockEpoch, raiseSeq, readEpoch } from './partition-store.ts';
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
  readonly log: Log;
  /** Crash tests only: throwing here leaves everything after the step undone. */
  readonly stepHook?: (step: ApplyStep) => void | Promise<void>;
}

const recordsApplied = counter('doorbuster_outbox_applied_records', 'Outbox records committed in Postgres');
const recordsRefused = counter('doorbuster_outbox_refused_records', 'Outbox records that Postgres refused as data');
const applySeconds = histogram(
  'doorbuster_outbox_apply_seconds',
  'Time from reading a batch of the outbox to its acknowledgement',
);

export function createApply(deps: ApplyDependencies): (job: JobMap['outbox.apply']) => Promise<void> {
  const enqueue = createFollowing(deps);
  /** As it was some time before the entries were read: an epoch only grows, so if it is the same at the end, it was throughout. */
  const epochs = new Map<number, number>();

  async function epochOf(partition: number): Promise<number> {
    const epoch = epochs.get(partition) ?? (await readEpoch(deps.postgres, partition));
    if (epoch === undefined) throw fault('FENCED', `Partition ${partition} is not attached`);
    epochs.set(partition, epoch);
    return epoch;
  }

  async function apply({ partition, entryIds }: JobMap['outbox.apply']): Promise<void> {
    const stopTimer = applySeconds.startTimer();
    // Before the entries: if a rebuild comes in between, the transaction meets another epoch and all starts over.
    const epoch = await epochOf(partition);
    const raw = await fetchEntries(deps.redis, keys.outbox(partition), entryIds);
    if (raw.length === 0) return; // applied and acknowledged by another job
    // A failover may take back what no replica has; Postgres must not have it then.
    await deps.stock.replicated(partition);
    const { entries, unreadable } = decodeEntries(partition, raw);
    await deps.stepHook?.('read');

    const refused = await commit(deps, partition, epoch, entries, unreadable);
    await deps.stepHook?.('committed');

    await enqueue(partition, livingOf(entries, refused));
    await deps.stepHook?.('enqueued');

    await deps.stock.acknowledge(
      partition,
      raw.map((entry) => entry.id),
    );
    await deps.stepHook?.('acknowledged');
    recordsApplied.inc(entries.reduce((sum, entry) => sum + entry.records.length, 0));
    stopTimer();
  }

  return async (job) => {
    try {
      await apply(job);
    } catch (error) {
      epochs.delete(job.partition);
      // Never a dead letter: an outbox entry is tried until it is in Postgres, whatever is wrong around it.
      if (isInfrastructureError(error)) throw error;
      deps.log.error({ partition: job.partition, err: error }, 'a batch of the outbox cannot be applied');
      throw fault('UNAVAILABLE', `outbox.apply: ${messageOf(error)}`, { cause: error });
    }
  };
}

function decodeEntries(partition: number, raw: readonly StreamEntry[]) {
  const entries: ReadEntry[] = [];
  const unreadable: NewDeadRecord[] = [];
  for (const { id, bytes } of raw) {
    try {
      entries.push({ id, records: decodeOutbox(bytes) });
    } catch (error) {
      const place = { partition, entryId: id, index: 0, purchaseId: null, outcome: '' };
      unreadable.push({ ...place, kind: 'unreadable', bytes, error: messageOf(error) });
    }
  }
  return { entries, unreadable };
}

async function commit(
  deps: ApplyDependencies,
  partition: number,
  epoch: number,
  entries: readonly ReadEntry[],
  unreadable: readonly NewDeadRecord[],
): Promise<readonly Refused[]> {
  const refused = await applyBisecting(entries, (records) =>
    deps.postgres.transaction(async (tx) => {
      const now = await lockEpoch(tx, partition);
      if (now !== epoch) throw fault('FENCED', `Partition ${partition} was rebuilt meanwhile`);
      await applyRecords(tx, partition, records);
      await raiseSeq(tx, partition, highestSeq(records));
    }),
  );
  if (refused.length === 0 && unreadable.length === 0) return refused;
  for (const dead of refused) await bury(deps, partition, dead);
  if (unreadable.length > 0) {
    deps.log.error({ partition, entryIds: unreadable.map((dead) => dead.entryId) }, 'outbox entries cannot be read');
    await insertDeadRecords(deps.postgres, unreadable);
  }
  await raiseSeq(deps.postgres, partition, Math.max(...entries.map(({ records }) => highestSeq(records)), 0));
  return refused;
}

/** Ends the purchase that Postgres cannot take, and only it; the operator finds its records. */
async function bury(deps: ApplyDependencies, partition: number, { unit, error }: Refused): Promise<void> {
  const purchaseId = purchaseIdOf(unit);
  const outcome = purchaseId === null ? '' : await endPurchase(deps, purchaseId);
  deps.log.error({ partition, purchaseId, outcome, reason: error }, 'a record was refused by Postgres');
  recordsRefused.inc(unit.length);
  await insertDeadRecords(
    deps.postgres,
    unit.map(({ entryId, index, record }) => {
      const bytes = encodeOutbox([record]);
      return { partition, entryId, index, kind: record.kind, purchaseId, bytes, error, outcome };
    }),
  );
}

async function endPurchase(deps: ApplyDependencies, purchaseId: string): Promise<string> {
  const [released] = await deps.stock.release([{ purchaseId, reason: DATA_ERROR }]);
  return released?.outcome ?? 'NOT_FOUND';
}

function purchaseIdOf(unit: readonly PlacedRecord[]): string | null {
  const record = unit[0]?.record;
  return record?.kind === 'purchase' ? record.purchaseId : null;
}

/** The entries without the records of purchases that were ended instead. */
function livingOf(entries: readonly ReadEntry[], refused: readonly Refused[]): readonly ReadEntry[] {
  if (refused.length === 0) return entries;
  const gone = new Set(refused.map(({ unit }) => purchaseIdOf(unit)));
  const isAlive = (record: OutboxRecord): boolean => record.kind !== 'purchase' || !gone.has(record.purchaseId);
  return entries.map(({ id, records }) => ({ id, records: records.filter(isAlive) }));
}

function highestSeq(records: readonly OutboxRecord[]): number {
  let highest = 0;
  for (const { seq } of records) if (seq > highest) highest = seq;
  return highest;
}
