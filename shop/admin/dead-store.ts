// The SQL by which dead records are counted, and taken off the list by an operator. The row stays: it can still be looked up.
import type { Queryable } from '../../core/postgres/postgres.ts';

/** False when there is no such record, or it was replayed or dropped before. */
export async function dropDeadRecord(db: Queryable, deadId: string): Promise<boolean> {
  const { rowCount } = await db.query(
    "UPDATE dead_records SET replayed_at = now(), outcome = trim(outcome || ' DROPPED') WHERE dead_id = $1 AND replayed_at IS NULL",
    [deadId],
  );
  return rowCount === 1;
}

export async function countDeadRecords(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ dead: number }>(
    'SELECT count(*)::int AS dead FROM dead_records WHERE replayed_at IS NULL',
  );
  return rows[0]?.dead ?? 0;
}
