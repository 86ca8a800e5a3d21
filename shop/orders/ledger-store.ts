// The SQL that appends to the ledger what is not in a purchase's own row (apply-store.ts): every movement once, by (purchase,
// version), whatever comes twice or out of order.
import type { PurchaseRecord, StockRecord } from '../../actors/records.ts';
import { float8Array, int8Array, textArray } from '../../core/postgres/arrays.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';
import { MOVEMENT_COLUMNS, toNewMovements } from './new-rows.ts';

const INSERT_MOVEMENTS = `
  INSERT INTO movements (purchase_id, version, partition, seq, sale_id, sku, d_available, d_held, d_sold, d_loaded, reason, at)
  SELECT id, version, $1, seq, sale_id, sku, d_available, d_held, d_sold, d_loaded, reason, to_timestamp(at / 1000)
    FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[],
                $10::bigint[], $11::text[], $12::float8[])
      AS r (id, version, seq, sale_id, sku, d_available, d_held, d_sold, d_loaded, reason, at)
  ON CONFLICT (purchase_id, version) DO NOTHING`;

/** Movements after a first hold, those of versions that the purchases' upsert skipped too. The reason is what the purchase became. */
export async function insertMovements(
  tx: Queryable,
  partition: number,
  records: readonly PurchaseRecord[],
): Promise<void> {
  const sorted = records.toSorted((a, b) =>
    a.purchaseId === b.purchaseId ? a.version - b.version : a.purchaseId < b.purchaseId ? -1 : 1,
  );
  await tx.query(
    INSERT_MOVEMENTS,
    ledgerValues(partition, sorted, {
      id: (r) => r.purchaseId,
      version: (r) => r.version,
      reason: (r) => r.status,
      at: (r) => r.updatedAt,
    }),
  );
}

/** The same of movements that are surely new; false where a value does not fit, and nothing is done. */
export async function copyMovements(
  tx: Queryable,
  partition: number,
  records: readonly PurchaseRecord[],
): Promise<boolean> {
  const bytes = records.length === 0 ? undefined : toNewMovements(partition, records);
  if (bytes === undefined) return false;
  await tx.query(`COPY movements (${MOVEMENT_COLUMNS}) FROM STDIN (FORMAT binary)`, [bytes]);
  return true;
}

/** Loads and adjustments; the item's `loaded` moves with the row, so a repetition moves nothing. */
export async function insertLoads(tx: Queryable, partition: number, records: readonly StockRecord[]): Promise<void> {
  const sorted = records.toSorted((a, b) => (a.movementId < b.movementId ? -1 : 1));
  await tx.query(
    `WITH l AS (${INSERT_MOVEMENTS} RETURNING sale_id, sku, d_loaded)
     UPDATE sale_items i SET loaded = i.loaded + s.d_loaded
       FROM (SELECT sale_id, sku, sum(d_loaded) AS d_loaded FROM l GROUP BY sale_id, sku) s
      WHERE i.sale_id = s.sale_id AND i.sku = s.sku`,
    ledgerValues(partition, sorted, {
      id: (r) => r.movementId,
      version: () => 1,
      reason: (r) => r.reason,
      at: (r) => r.at,
    }),
  );
}

/** What the two kinds of movements call differently. */
interface Naming<R> {
  readonly id: (record: R) => string;
  readonly version: (record: R) => number;
  readonly reason: (record: R) => string;
  readonly at: (record: R) => number;
}

function ledgerValues<R extends PurchaseRecord | StockRecord>(
  partition: number,
  records: readonly R[],
  { id, version, reason, at }: Naming<R>,
): unknown[] {
  return [
    partition,
    textArray(records, id),
    int8Array(records, version),
    int8Array(records, (r) => r.seq),
    textArray(records, (r) => r.saleId),
    textArray(records, (r) => r.sku),
    int8Array(records, (r) => r.movement.available),
    int8Array(records, (r) => r.movement.held),
    int8Array(records, (r) => r.movement.sold),
    int8Array(records, (r) => r.movement.loaded),
    textArray(records, reason),
    float8Array(records, at),
  ];
}
