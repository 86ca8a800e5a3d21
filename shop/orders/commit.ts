// The transaction of outbox.apply. A partition's records are committed in the order in which its scripts wrote them, without a
// gap: whatever is lost of Redis, Postgres has a state that there was, in which every count adds up. What this batch builds on
// and no other job has committed yet is fetched and goes first.
import { keys } from '../../actors/keys.ts';
import { lastSeqOf, recordsIn } from '../../actors/outbox.ts';
import { fault } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { counter } from '../../core/metrics.ts';
import type { Postgres, Queryable } from '../../core/postgres/postgres.ts';
import type { Redis } from '../../core/redis/redis.ts';
import { fetchBetween } from '../../core/redis/stream.ts';
import { applyRecords } from './apply-store.ts';
import { type Batch, joinBatches, type ReadEntry, readBatch } from './batch.ts';
import { applyBisecting, isDataError, type Refused } from './bisect.ts';
import { lockPartition, raiseSeq } from './partition-store.ts';

export interface CommitDependencies {
  readonly postgres: Postgres;
  readonly redis: Redis;
  readonly log: Log;
  /** A rebuild takes what there is. Anybody else stops: what is missing may be what Redis lost a moment ago. */
  readonly crossesGaps?: boolean;
}

export interface Committed {
  /** With the entries that had to go first. */
  readonly batch: Batch;
  /** What Postgres does not take, and why. */
  readonly refused: readonly Refused[];
}

/** `applied`: how far the outbox was, before. */
type Write = (tx: Queryable, batch: Batch, applied: number) => Promise<readonly Refused[]>;

const recordsMissing = counter(
  'doorbuster_outbox_missing_records',
  'Outbox records that were gone before they were committed; their movements are in no ledger',
);

/** Throws FENCED when the partition's epoch is not `epoch` any more. */
export async function commitBatch(deps: CommitDependencies, batch: Batch, epoch: number): Promise<Committed> {
  try {
    return await inOrder(deps, batch, epoch, writeAll);
  } catch (error) {
    if (!isDataError(error)) throw error;
  }
  return inOrder(deps, batch, epoch, writeBisecting);
}

async function inOrder(deps: CommitDependencies, batch: Batch, epoch: number, write: Write): Promise<Committed> {
  const { partition } = batch;
  return deps.postgres.transaction(async (tx) => {
    const row = await lockPartition(tx, partition);
    if (row?.epoch !== epoch) throw fault('FENCED', `Partition ${partition} was rebuilt meanwhile`);
    const whole = await withEarlier(deps, batch, row.seq);
    const refused = await write(tx, whole, row.seq);
    await raiseSeq(tx, partition, lastSeqOf(whole.ids.at(-1) ?? '0'));
    return { batch: whole, refused };
  });
}

/** The jobs of a partition are begun in order; only a retry, or another process, leaves one behind. */
async function withEarlier(deps: CommitDependencies, batch: Batch, applied: number): Promise<Batch> {
  const { redis, log } = deps;
  const { partition, ids } = batch;
  const first = ids[0] ?? '0-0';
  if (firstSeqOf(first) <= applied + 1) return batch;
  const earlier = await fetchBetween(redis, keys.outbox(partition), applied, first);
  const whole = joinBatches(readBatch(partition, earlier), batch);
  const missing = firstSeqOf(first) - 1 - applied - earlier.reduce((sum, { id }) => sum + recordsIn(id), 0);
  if (missing > 0) {
    recordsMissing.inc(missing);
    log.error({ partition, applied, entryId: first, missing }, 'outbox records are gone that were never committed');
    if (deps.crossesGaps !== true)
      throw fault('UNAVAILABLE', `Partition ${partition}: ${missing} records before ${first} are gone; rebuild it`);
  }
  return whole;
}

const writeAll: Write = async (tx, { partition, ids, entries }, applied) => {
  const records = recordsOf(entries);
  const areNew = firstSeqOf(ids[0] ?? '0-0') > applied;
  if (records.length > 0) await applyRecords(tx, partition, records, { areNew });
  return [];
};

/** In savepoints, so that the others are committed together all the same; and whatever is there already. */
const writeBisecting: Write = (tx, { partition, entries }) =>
  applyBisecting(entries, async (records) => {
    await tx.query('SAVEPOINT part');
    try {
      await applyRecords(tx, partition, records);
    } catch (error) {
      if (isDataError(error)) await tx.query('ROLLBACK TO SAVEPOINT part');
      throw error;
    }
    await tx.query('RELEASE SAVEPOINT part');
  });

const recordsOf = (entries: readonly ReadEntry[]) =>
  entries.length === 1 ? (entries[0]?.records ?? []) : entries.flatMap((entry) => entry.records);

const firstSeqOf = (entryId: string): number => lastSeqOf(entryId) - recordsIn(entryId) + 1;
