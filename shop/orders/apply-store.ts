// The SQL by which the outbox becomes rows: a batch of records in a handful of multi-row statements, to be run in one
// transaction. A record is applied only where it is newer, so order and repetition of batches do not matter.
import type { OutboxRecord, PurchaseRecord, SaleRecord } from '../../actors/records.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';
import { orderIdOf } from '../sales/sales.ts';
import { insertLoads, insertMovements, isMoving } from './ledger-store.ts';
import { FULFILMENT, orderStatusOf } from './order-states.ts';

/** One transaction's worth. Statements take their rows sorted by id, in the same order of tables everywhere: no deadlocks. */
export async function applyRecords(tx: Queryable, partition: number, records: readonly OutboxRecord[]): Promise<void> {
  const purchases = records.filter((record) => record.kind === 'purchase');
  const stocks = records.filter((record) => record.kind === 'stock');
  const sales = records.filter((record) => record.kind === 'sale');
  const newest = newestOf(purchases, (record) => record.purchaseId);
  if (newest.length > 0) await upsertPurchases(tx, newest);
  const ordered = newest.filter((purchase) => purchase.hadHold && purchase.orderRef === '');
  if (ordered.length > 0) await upsertOrders(tx, ordered);
  const ended = newest.filter((p) => p.orderRef !== '' && (p.status === 'EXPIRED' || p.status === 'CANCELLED'));
  if (ended.length > 0) await endReservedOrders(tx, ended);
  const moved = purchases.filter((record) => isMoving(record.movement));
  if (moved.length > 0) await insertMovements(tx, partition, moved);
  if (stocks.length > 0) await insertLoads(tx, partition, stocks);
  if (sales.length > 0)
    await updateSales(
      tx,
      newestOf(sales, (record) => record.saleId),
    );
}

/** A multi-row upsert may not meet a row twice, and only the newest of a batch matters. Sorted by id. */
export function newestOf<R extends { version: number }>(records: readonly R[], idOf: (record: R) => string): R[] {
  const newest = new Map<string, R>();
  for (const record of records) {
    const known = newest.get(idOf(record));
    if (known === undefined || record.version > known.version) newest.set(idOf(record), record);
  }
  return [...newest.values()].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
}

async function upsertPurchases(tx: Queryable, purchases: readonly PurchaseRecord[]): Promise<void> {
  await tx.query(
    `INSERT INTO purchases (purchase_id, version, status, buyer_id, sale_id, sku, quantity, ticket, expires_at, unit_price,
                            currency, reason, order_ref, fingerprint, is_refund_due, had_hold, created_at, updated_at)
     SELECT id, version, status, buyer, sale_id, sku, quantity, ticket, to_timestamp(nullif(expires_at, 0) / 1000), unit_price,
            currency, reason, order_ref, fingerprint, is_refund_due, had_hold, to_timestamp(created_at / 1000), to_timestamp(updated_at / 1000)
       FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::bigint[], $9::float8[],
                   $10::bigint[], $11::text[], $12::text[], $13::text[], $14::text[], $15::bool[], $16::bool[], $17::float8[], $18::float8[])
         AS r (id, version, status, buyer, sale_id, sku, quantity, ticket, expires_at,
               unit_price, currency, reason, order_ref, fingerprint, is_refund_due, had_hold, created_at, updated_at)
     ON CONFLICT (purchase_id) DO UPDATE SET
       version = excluded.version, status = excluded.status, ticket = excluded.ticket, expires_at = excluded.expires_at,
       reason = excluded.reason, is_refund_due = excluded.is_refund_due, had_hold = excluded.had_hold, updated_at = excluded.updated_at
     WHERE excluded.version > purchases.version`,
    [
      purchases.map((p) => p.purchaseId),
      purchases.map((p) => p.version),
      purchases.map((p) => p.status),
      purchases.map((p) => p.buyer),
      purchases.map((p) => p.saleId),
      purchases.map((p) => p.sku),
      purchases.map((p) => p.quantity),
      purchases.map((p) => p.ticket),
      purchases.map((p) => p.expiresAt),
      purchases.map((p) => p.unitPrice),
      purchases.map((p) => p.currency),
      purchases.map((p) => p.reason),
      purchases.map((p) => p.orderRef),
      purchases.map((p) => p.fingerprint),
      purchases.map((p) => p.isRefundDue),
      purchases.map((p) => p.hadHold),
      purchases.map((p) => p.createdAt),
      purchases.map((p) => p.updatedAt),
    ],
  );
}

/** The item is written with its order, once: an update of the order returns a row that is not new (xmax is set). */
async function upsertOrders(tx: Queryable, purchases: readonly PurchaseRecord[]): Promise<void> {
  await tx.query(
    `WITH r AS (
       SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::int[], $8::bigint[],
                            $9::text[], $10::text[], $11::float8[], $12::float8[])
         AS r (order_id, purchase_id, user_id, sale_id, status, version, quantity, unit_price, currency, sku, created_at, updated_at)
     ), o AS (
       INSERT INTO orders (order_id, purchase_id, user_id, sale_id, status, version, total_amount, currency, created_at, updated_at)
       SELECT order_id, purchase_id, user_id, sale_id, status, version, quantity * unit_price, currency,
              to_timestamp(created_at / 1000), to_timestamp(updated_at / 1000) FROM r
       ON CONFLICT (order_id) DO UPDATE SET
         status = CASE WHEN excluded.status = 'CONFIRMED' AND orders.status = ANY($13::text[]) THEN orders.status ELSE excluded.status END,
         version = excluded.version, updated_at = excluded.updated_at
       WHERE excluded.version > orders.version
       RETURNING order_id, xmax = 0 AS is_new
     )
     INSERT INTO order_items (order_id, line_no, sku, quantity, unit_price)
     SELECT order_id, 1, sku, quantity, unit_price FROM r JOIN o USING (order_id) WHERE o.is_new`,
    [
      purchases.map((p) => orderIdOf(p.purchaseId)),
      purchases.map((p) => p.purchaseId),
      purchases.map((p) => p.buyer),
      purchases.map((p) => p.saleId),
      purchases.map(orderStatusOf),
      purchases.map((p) => p.version),
      purchases.map((p) => p.quantity),
      purchases.map((p) => p.unitPrice),
      purchases.map((p) => p.currency),
      purchases.map((p) => p.sku),
      purchases.map((p) => p.createdAt),
      purchases.map((p) => p.updatedAt),
      FULFILMENT,
    ],
  );
}

/** A hold made for a cart's order has ended unpaid, and the order with it. */
async function endReservedOrders(tx: Queryable, purchases: readonly PurchaseRecord[]): Promise<void> {
  await tx.query(
    `UPDATE orders SET status = r.status, version = orders.version + 1, updated_at = now()
       FROM (SELECT DISTINCT ON (order_id) * FROM unnest($1::text[], $2::text[]) AS r (order_id, status)) r
      WHERE orders.order_id = r.order_id AND orders.status = 'CREATED'`,
    [purchases.map((p) => p.orderRef), purchases.map(orderStatusOf)],
  );
}

/** A CLOSED sale lets go of its SKUs. */
async function updateSales(tx: Queryable, sales: readonly SaleRecord[]): Promise<void> {
  await tx.query(
    `WITH s AS (
       UPDATE sales SET status = r.status, version = r.version, installed = true, updated_at = to_timestamp(r.at / 1000)
         FROM unnest($1::text[], $2::text[], $3::bigint[], $4::float8[]) AS r (sale_id, status, version, at)
        WHERE sales.sale_id = r.sale_id AND r.version > sales.version
       RETURNING sales.sale_id, sales.status
     )
     UPDATE sale_items SET is_live = false FROM s WHERE sale_items.sale_id = s.sale_id AND s.status = 'CLOSED' AND is_live`,
    [sales.map((s) => s.saleId), sales.map((s) => s.status), sales.map((s) => s.version), sales.map((s) => s.at)],
  );
}
