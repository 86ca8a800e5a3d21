// The SQL by which an operator takes a dead record off the list. The row stays: what was refused can still be looked up.
import type { Queryable } from '../../core/postgres/postgres.ts';

/** False when there is no such record, or it was replayed or dropped before. */
export async function dropDeadRecord(db: Queryable, deadId: string): Promise<boolean> {
  const { rowCount } = await db.query(
    "UPDATE dead_records SET replayed_at = now(), outcome = trim(outcome || ' DROPPED') WHERE dead_id = $1 AND replayed_at IS NULL",
    [deadId],
  );
  return rowCount === 1;
}
