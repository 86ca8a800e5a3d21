// The SQL of dead records: what Postgres refused as data, kept as bytes. A record has one place in the outbox, so its id is
// made of that place and a repetition writes nothing.
import type { OutboxRecord } from '../../actors/records.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';

export interface NewDeadRecord {
  readonly partition: number;
  readonly entryId: string;
  /** The record's place in the entry; 0 for an entry that cannot be read at all. */
  readonly index: number;
  readonly kind: OutboxRecord['kind'] | 'unreadable';
  readonly purchaseId: string | null;
  /** As `encodeOutbox` writes one record, or the entry as it came. */
  readonly bytes: Buffer;
  readonly error: string;
  /** What happened to the purchase: RELEASED, REPLAY, CONFIRMED, NOT_FOUND; '' where there is none. */
  readonly outcome: string;
}

export interface DeadRecord extends Omit<NewDeadRecord, 'index'> {
  readonly deadId: string;
  readonly createdAt: number;
  /** 0 while it waits for the operator. */
  readonly replayedAt: number;
}

interface DeadSql {
  dead_id: string;
  partition: number;
  entry_id: string;
  purchase_id: string | null;
  kind: DeadRecord['kind'];
  bytes: Buffer;
  error: string;
  outcome: string;
  created_at: Date;
  replayed_at: Date | null;
}

export async function insertDeadRecords(db: Queryable, records: readonly NewDeadRecord[]): Promise<void> {
  for (const record of records) {
    await db.query(
      `INSERT INTO dead_records (dead_id, partition, entry_id, purchase_id, kind, bytes, error, outcome)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (dead_id) DO NOTHING`,
      [
        `dead-${record.partition}-${record.entryId}-${record.index}`,
        record.partition,
        record.entryId,
        record.purchaseId === null ? null : printable(record.purchaseId),
        record.kind,
        record.bytes,
        printable(record.error),
        record.outcome,
      ],
    );
  }
}

/** Those that wait for the operator first, oldest first. */
export async function listDeadRecords(db: Queryable, limit: number): Promise<DeadRecord[]> {
  const { rows } = await db.query<DeadSql>(
    'SELECT * FROM dead_records ORDER BY replayed_at IS NOT NULL, created_at, dead_id LIMIT $1',
    [limit],
  );
  return rows.map(toDead);
}

/** Locks the row, so that two operators do not replay it at once. */
export async function lockDeadRecord(tx: Queryable, deadId: string): Promise<DeadRecord | undefined> {
  const { rows } = await tx.query<DeadSql>('SELECT * FROM dead_records WHERE dead_id = $1 FOR UPDATE', [deadId]);
  return rows[0] === undefined ? undefined : toDead(rows[0]);
}

export async function markReplayed(tx: Queryable, deadId: string): Promise<void> {
  await tx.query('UPDATE dead_records SET replayed_at = now() WHERE dead_id = $1', [deadId]);
}

/** Text that any text column takes; what was cut is in the bytes. */
function printable(text: string): string {
  return text.replaceAll('\0', '\uFFFD').slice(0, 1000);
}

function toDead(row: DeadSql): DeadRecord {
  return {
    deadId: row.dead_id,
    partition: row.partition,
    entryId: row.entry_id,
    purchaseId: row.purchase_id,
    kind: row.kind,
    bytes: row.bytes,
    error: row.error,
    outcome: row.outcome,
    createdAt: row.created_at.getTime(),
    replayedAt: row.replayed_at?.getTime() ?? 0,
  };
}
