// The SQL that appends to the ledger: every movement once, by (purchase, version), whatever comes twice or out of order.
import type { Movement, PurchaseRecord, StockRecord } from '../../actors/records.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';

export const isMoving = (m: Movement): boolean => m.available !== 0 || m.held !== 0 || m.sold !== 0 || m.loaded !== 0;

const INSERT_LEDGER = `
  INSERT INTO ledger (purchase_id, version, partition, seq, sale_id, sku, d_available, d_held, d_sold, d_loaded, reason, at)
  SELECT id, version, $1, seq, sale_id, sku, d_available, d_held, d_sold, d_loaded, reason, to_timestamp(at / 1000)
    FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[],
                $10::bigint[], $11::text[], $12::float8[])
      AS r (id, version, seq, sale_id, sku, d_available, d_held, d_sold, d_loaded, reason, at)
  ON CONFLICT (purchase_id, version) DO NOTHING`;

/** All movements, those of versions that the purchases' upsert skipped too. The reason is what the purchase became. */
export async function insertMovements(
  tx: Queryable,
  partition: number,
  records: readonly PurchaseRecord[],
): Promise<void> {
  const sorted = records.toSorted((a, b) =>
    a.purchaseId === b.purchaseId ? a.version - b.version : a.purchaseId < b.purchaseId ? -1 : 1,
  );
  const ids = sorted.map((r) => r.purchaseId);
  const versions = sorted.map((r) => r.version);
  const reasons = sorted.map((r) => r.status);
  await tx.query(
    INSERT_LEDGER,
    ledgerValues(
      partition,
      sorted,
      ids,
      versions,
      reasons,
      sorted.map((r) => r.updatedAt),
    ),
  );
}

/** Loads and adjustments; the item's `loaded` moves with the row, so a repetition moves nothing. */
export async function insertLoads(tx: Queryable, partition: number, records: readonly StockRecord[]): Promise<void> {
  const sorted = records.toSorted((a, b) => (a.movementId < b.movementId ? -1 : 1));
  const ids = sorted.map((r) => r.movementId);
  const ones = sorted.map(() => 1);
  const reasons = sorted.map((r) => r.reason);
  await tx.query(
    `WITH l AS (${INSERT_LEDGER} RETURNING sale_id, sku, d_loaded)
     UPDATE sale_items i SET loaded = i.loaded + s.d_loaded
       FROM (SELECT sale_id, sku, sum(d_loaded) AS d_loaded FROM l GROUP BY sale_id, sku) s
      WHERE i.sale_id = s.sale_id AND i.sku = s.sku`,
    ledgerValues(
      partition,
      sorted,
      ids,
      ones,
      reasons,
      sorted.map((r) => r.at),
    ),
  );
}

function ledgerValues(
  partition: number,
  records: readonly (PurchaseRecord | StockRecord)[],
  ids: readonly string[],
  versions: readonly number[],
  reasons: readonly string[],
  times: readonly number[],
): unknown[] {
  return [
    partition,
    ids,
    versions,
    records.map((r) => r.seq),
    records.map((r) => r.saleId),
    records.map((r) => r.sku),
    records.map((r) => r.movement.available),
    records.map((r) => r.movement.held),
    records.map((r) => r.movement.sold),
    records.map((r) => r.movement.loaded),
    reasons,
    times,
  ];
}
