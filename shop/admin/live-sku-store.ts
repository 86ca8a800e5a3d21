// The SQL that tells which SKUs are on sale now, by whom their sale was made, and what an operation has loaded already.
// Reads only, for tools that fill sales with stock.
import type { Queryable } from '../../core/postgres/postgres.ts';

export interface LiveSku {
  readonly sku: string;
  readonly saleId: string;
  readonly createdBy: string;
}

/** Those of `skus` that are in a sale that is not closed. */
export async function findLiveSkus(db: Queryable, skus: readonly string[]): Promise<Map<string, LiveSku>> {
  const { rows } = await db.query<LiveSku>(
    `SELECT i.sku, i.sale_id AS "saleId", s.created_by AS "createdBy"
       FROM sale_items i JOIN sales s USING (sale_id) WHERE i.is_live AND i.bucket = 0 AND i.sku = ANY($1::text[])`,
    [skus],
  );
  return new Map(rows.map((row) => [row.sku, row]));
}

/** Those of `skus` to which stock was added for this reason before, however long ago. */
export async function findLoadedFor(db: Queryable, skus: readonly string[], reason: string): Promise<Set<string>> {
  const { rows } = await db.query<{ sku: string }>(
    `SELECT DISTINCT l.sku FROM sale_items i JOIN ledger l ON l.sale_id = i.sale_id AND l.sku = i.sku
      WHERE i.is_live AND i.sku = ANY($1::text[]) AND l.d_loaded <> 0 AND l.reason = $2`,
    [skus, reason],
  );
  return new Set(rows.map((row) => row.sku));
}
