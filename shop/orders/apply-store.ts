// The SQL by which the outbox becomes rows: a batch of records in a handful of multi-row statements, to be run in one
// transaction. A record is applied only where it is newer, so order and repetition of batches do not matter. Of records that
// surely were never applied, what they begin is copied: rows that are new need no look at what is there.
import type { OutboxRecord, PurchaseRecord, SaleRecord } from '../../actors/records.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';
import { updateKnown } from './change-store.ts';
import { copyMovements, insertLoads, insertMovements } from './ledger-store.ts';
import { PURCHASE_COLUMNS, toNewPurchases } from './new-rows.ts';
import { FULFILMENT, orderStatusOf } from './order-states.ts';
import {
  inLockOrder,
  inParts,
  isFirstHold,
  isMoving,
  isWholeEnd,
  type PurchaseRow,
  toParameters,
  toRows,
} from './purchase-rows.ts';

/**
 * One transaction's worth. Statements take rows that are there sorted by id, in the same order of tables everywhere: no deadlocks.
 * `areNew`: none of the records was applied before. Should a row be there all the same it fails as a data error does, with
 * nothing done, and is to be tried without the word.
 */
export async function applyRecords(
  tx: Queryable,
  partition: number,
  records: readonly OutboxRecord[],
  { areNew = false } = {},
): Promise<void> {
  const purchases = records.filter((record) => record.kind === 'purchase');
  const rows = toRows(purchases, { areOnce: areNew });
  const left = areNew ? await updateKnown(tx, await copyBegun(tx, rows)) : rows;
  for (const part of inParts(inLockOrder(left))) await tx.query(UPSERT_PURCHASES, toParameters(part));
  const ended = rows.map((row) => row.newest).filter(isEndOfReservedOrder);
  if (ended.length > 0) await endReservedOrders(tx, ended);
  const moved = purchases.filter((record) => isMoving(record.movement) && !isFirstHold(record) && !isWholeEnd(record));
  const areCopied = areNew && (await copyMovements(tx, partition, moved));
  if (moved.length > 0 && !areCopied) await insertMovements(tx, partition, moved);
  if (purchases.length === records.length) return;
  const stocks = records.filter((record) => record.kind === 'stock');
  if (stocks.length > 0) await insertLoads(tx, partition, stocks);
  const sales = newestOf(records.filter((record) => record.kind === 'sale'));
  if (sales.length > 0) await updateSales(tx, sales);
}

/** Copies what is begun here and has not ended since; answers the others. */
async function copyBegun(tx: Queryable, rows: readonly PurchaseRow[]): Promise<readonly PurchaseRow[]> {
  const begun = rows.filter(isNew);
  const bytes = begun.length === 0 ? undefined : toNewPurchases(begun);
  if (bytes === undefined) return rows;
  await tx.query(`COPY purchases (${PURCHASE_COLUMNS}) FROM STDIN (FORMAT binary)`, [bytes]);
  return begun.length === rows.length ? [] : rows.filter((row) => !isNew(row));
}

const isNew = ({ isBegun, end }: PurchaseRow): boolean => isBegun && end === undefined;

const isEndOfReservedOrder = ({ orderRef, status }: PurchaseRecord): boolean =>
  orderRef !== '' && (status === 'EXPIRED' || status === 'CANCELLED');

/** Of each sale the last word, sorted by id. */
function newestOf(records: readonly SaleRecord[]): SaleRecord[] {
  const newest = new Map<string, SaleRecord>();
  for (const record of records) {
    if (record.version > (newest.get(record.saleId)?.version ?? -1)) newest.set(record.saleId, record);
  }
  return [...newest.values()].sort((a, b) => (a.saleId < b.saleId ? -1 : 1));
}

/**
 * Purchase, order and first hold in one row. A version that is not newer changes nothing but the hold, which may come last;
 * and that only where its movement is not in the other place of the ledger. News of a payment does not take an order back
 * from its way to the buyer.
 */
const UPSERT_PURCHASES = `
  INSERT INTO purchases AS p (purchase_id, version, status, buyer_id, sale_id, sku, quantity, ticket, expires_at, unit_price,
                              currency, reason, order_ref, fingerprint, is_refund_due, had_hold, created_at, updated_at,
                              order_status, hold_version, hold_seq, hold_at, end_version, end_seq, end_at)
  SELECT id, ($5::bigint[])[n], ($6::text[])[n], buyer, ($17::text[])[n], ($18::text[])[n], ($19::int[])[n], ticket,
         to_timestamp(nullif(($7::float8[])[n], 0) / 1000), ($20::bigint[])[n], ($21::text[])[n], reason, ($22::text[])[n],
         ($23::text[])[n], ($8::bool[])[n], ($9::bool[])[n], to_timestamp(($24::float8[])[n] / 1000),
         to_timestamp(($10::float8[])[n] / 1000), ($11::text[])[n], ($25::bigint[])[n], nullif(hold_seq, 0),
         to_timestamp(($26::float8[])[n] / 1000), ($12::bigint[])[n], nullif(end_seq, 0), to_timestamp(($13::float8[])[n] / 1000)
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::int[], $14::text[], $15::bigint[], $16::bigint[])
      AS r (id, reason, end_seq, n, buyer, ticket, hold_seq)
  ON CONFLICT (purchase_id) DO UPDATE SET
    version = greatest(p.version, excluded.version),
    status = CASE WHEN excluded.version > p.version THEN excluded.status ELSE p.status END,
    ticket = CASE WHEN excluded.version > p.version THEN excluded.ticket ELSE p.ticket END,
    expires_at = CASE WHEN excluded.version > p.version THEN excluded.expires_at ELSE p.expires_at END,
    reason = CASE WHEN excluded.version > p.version THEN excluded.reason ELSE p.reason END,
    is_refund_due = CASE WHEN excluded.version > p.version THEN excluded.is_refund_due ELSE p.is_refund_due END,
    had_hold = CASE WHEN excluded.version > p.version THEN excluded.had_hold ELSE p.had_hold END,
    updated_at = CASE WHEN excluded.version > p.version THEN excluded.updated_at ELSE p.updated_at END,
    order_status = CASE WHEN excluded.version <= p.version OR excluded.order_status IS NULL
                          OR (excluded.order_status = 'CONFIRMED' AND p.order_status IN (${FULFILMENT.map((status) => `'${status}'`).join(', ')}))
                        THEN p.order_status ELSE excluded.order_status END,
    (hold_version, hold_seq, hold_at) = (
      SELECT CASE WHEN is_known THEN p.hold_version ELSE excluded.hold_version END,
             CASE WHEN is_known THEN p.hold_seq ELSE excluded.hold_seq END, CASE WHEN is_known THEN p.hold_at ELSE excluded.hold_at END
        FROM (SELECT p.hold_seq IS NOT NULL OR EXISTS (
                SELECT FROM movements m WHERE m.purchase_id = p.purchase_id AND m.version = excluded.hold_version) AS is_known) k),
    (end_version, end_seq, end_at) = (
      SELECT CASE WHEN is_known THEN p.end_version ELSE excluded.end_version END,
             CASE WHEN is_known THEN p.end_seq ELSE excluded.end_seq END, CASE WHEN is_known THEN p.end_at ELSE excluded.end_at END
        FROM (SELECT p.end_seq IS NOT NULL OR EXISTS (
                SELECT FROM movements m WHERE m.purchase_id = p.purchase_id AND m.version = excluded.end_version) AS is_known) k)
  WHERE excluded.version > p.version OR (p.hold_seq IS NULL AND excluded.hold_seq IS NOT NULL) OR (p.end_seq IS NULL AND excluded.end_seq IS NOT NULL)`;

/** A hold made for a cart's order has ended unpaid, and the order with it. */
async function endReservedOrders(tx: Queryable, purchases: readonly PurchaseRecord[]): Promise<void> {
  await tx.query(
    `UPDATE cart_orders o SET status = r.status, version = o.version + 1, updated_at = now()
       FROM (SELECT DISTINCT ON (order_id) * FROM unnest($1::text[], $2::text[]) AS r (order_id, status)) r
      WHERE o.order_id = r.order_id AND o.status = 'CREATED'`,
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
