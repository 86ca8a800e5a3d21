// New rows of purchases and movements, as a COPY takes them (core/postgres/copy-rows.ts): for records that Postgres cannot have yet. What
// most purchases of a batch share is written once and copied. It runs no SQL and decides nothing; a batch with a value that
// does not fit its column has no such rows, and goes the way of all that may be known.
import type { PurchaseRecord } from '../../actors/records.ts';
import { CopyRows } from '../../core/postgres/copy-rows.ts';
import { inParts, orderStatusIn, type PurchaseRow } from './purchase-rows.ts';

/** A purchase's own, in front of what it shares: 150 bytes; a movement is 220. */
const ROW_BYTES = 512;

/** The columns of `purchases` in the order of the fields below. */
export const PURCHASE_COLUMNS = `purchase_id, buyer_id, ticket, reason, hold_seq, version, status, sale_id, sku, quantity, expires_at, unit_price,
  currency, order_ref, fingerprint, is_refund_due, had_hold, created_at, updated_at, order_status, hold_version, hold_at`;
const PURCHASE_FIELDS = 22;

export function toNewPurchases(rows: readonly PurchaseRow[]): Buffer | undefined {
  const copy = new CopyRows(rows.length * ROW_BYTES);
  for (const part of inParts(rows)) {
    const shared = part.patterns.map(toShared);
    for (const [i, { newest, hold }] of part.rows.entries()) {
      const fields = shared[(part.places[i] ?? 0) - 1];
      if (fields === undefined) return undefined;
      copy.row(PURCHASE_FIELDS);
      copy.text(newest.purchaseId);
      copy.text(newest.buyer);
      copy.int8(newest.ticket);
      copy.text(newest.reason);
      copy.int8(hold === undefined ? null : hold.seq);
      copy.fields(fields);
    }
  }
  return copy.bytes();
}

/** Undefined where a value does not fit. */
function toShared(row: PurchaseRow): Buffer | undefined {
  const { newest: p, hold } = row;
  const copy = new CopyRows(ROW_BYTES);
  copy.int8(p.version);
  copy.text(p.status);
  copy.text(p.saleId);
  copy.text(p.sku);
  copy.int4(p.quantity);
  copy.time(p.expiresAt === 0 ? null : p.expiresAt);
  copy.int8(p.unitPrice);
  copy.text(p.currency);
  copy.text(p.orderRef);
  copy.text(p.fingerprint);
  copy.bool(p.isRefundDue);
  copy.bool(p.hadHold);
  copy.time(p.createdAt);
  copy.time(p.updatedAt);
  copy.text(orderStatusIn(p));
  copy.int8(hold === undefined ? null : hold.version);
  copy.time(hold === undefined ? null : hold.updatedAt);
  return copy.bytes();
}

/** The columns of `movements` in the order of the fields below. */
export const MOVEMENT_COLUMNS =
  'purchase_id, version, partition, seq, sale_id, sku, d_available, d_held, d_sold, d_loaded, reason, at';
const MOVEMENT_FIELDS = 12;

export function toNewMovements(partition: number, records: readonly PurchaseRecord[]): Buffer | undefined {
  const copy = new CopyRows(records.length * ROW_BYTES);
  for (const { purchaseId, version, seq, saleId, sku, movement, status, updatedAt } of records) {
    copy.row(MOVEMENT_FIELDS);
    copy.text(purchaseId);
    copy.int8(version);
    copy.int4(partition);
    copy.int8(seq);
    copy.text(saleId);
    copy.text(sku);
    copy.int8(movement.available);
    copy.int8(movement.held);
    copy.int8(movement.sold);
    copy.int8(movement.loaded);
    copy.text(status);
    copy.time(updatedAt);
  }
  return copy.bytes();
}
