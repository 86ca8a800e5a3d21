// The SQL of the fence: the epoch and the applied position of each partition, as Postgres knows them. A Redis that is
// behind them is an old copy; a rebuild raises the epoch and holds the row while it builds.
import type { EpochRecord } from '../../actors/stock-store.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';

/** What a process reads when it attaches to Redis, and writes when Redis gave a partition its first epoch. */
export function createEpochRecord(db: Queryable): EpochRecord {
  return {
    async read() {
      const { rows } = await db.query<{ partition: number; epoch: number; seq: number }>(
        'SELECT partition, epoch, greatest(seq, seen) AS seq FROM partitions ORDER BY partition',
      );
      return rows;
    },
    async write(partition, epoch) {
      await db.query(
        `INSERT INTO partitions (partition, epoch) VALUES ($1, $2)
         ON CONFLICT (partition) DO UPDATE SET epoch = excluded.epoch WHERE partitions.epoch < excluded.epoch`,
        [partition, epoch],
      );
    },
    async witness(seen) {
      await db.query(
        `UPDATE partitions p SET seen = w.seq FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS w (partition, epoch, seq)
          WHERE p.partition = w.partition AND p.epoch = w.epoch AND p.seen < w.seq`,
        [seen.map((row) => row.partition), seen.map((row) => row.epoch), seen.map((row) => row.seq)],
      );
    },
  };
}

/** The partition's epoch, undefined before the partition is attached. */
export async function readEpoch(db: Queryable, partition: number): Promise<number | undefined> {
  const { rows } = await db.query<{ epoch: number }>('SELECT epoch FROM partitions WHERE partition = $1', [partition]);
  return rows[0]?.epoch;
}

/**
 * The partition is this transaction's until it ends: nobody else applies its outbox, and a rebuild waits. Its first statement,
 * so that it waits for others before it holds any row that they may want. NO KEY UPDATE is the lock that `raiseSeq` takes.
 */
export async function lockPartition(
  tx: Queryable,
  partition: number,
): Promise<{ epoch: number; seq: number } | undefined> {
  const { rows } = await tx.query<{ epoch: number; seq: number }>(
    'SELECT epoch, seq FROM partitions WHERE partition = $1 FOR NO KEY UPDATE',
    [partition],
  );
  return rows[0];
}

/** Notes how far the outbox is applied: up to here without a gap. */
export async function raiseSeq(tx: Queryable, partition: number, seq: number): Promise<void> {
  await tx.query('UPDATE partitions SET seq = $2 WHERE partition = $1 AND seq < $2', [partition, seq]);
}
