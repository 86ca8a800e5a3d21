// The SQL of what operators stopped: kept so that a Redis that is built again does not sell it.
import type { Queryable } from '../../core/postgres/postgres.ts';

/** `note`: null lets it sell again. Of a sale that does not exist nothing is kept. */
export async function keepStopped(
  db: Queryable,
  saleIds: readonly string[],
  sku: string,
  note: string | null,
): Promise<void> {
  await db.query('UPDATE sale_items SET stopped_note = $3 WHERE sale_id = ANY($1::text[]) AND sku = $2', [
    saleIds,
    sku,
    note,
  ]);
}

export async function listStopped(db: Queryable, saleId: string): Promise<{ sku: string; note: string }[]> {
  const { rows } = await db.query<{ sku: string; note: string }>(
    'SELECT sku, stopped_note AS note FROM sale_items WHERE sale_id = $1 AND stopped_note IS NOT NULL ORDER BY sku',
    [saleId],
  );
  return rows;
}
