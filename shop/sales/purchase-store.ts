// The SQL that reads purchases, for whom Redis has forgotten (24 h after the sale closed), and the counts of a SKU as
// the ledger has them. Purchases are written by the outbox alone (shop/orders/apply-store.ts).
import type { Purchase, PurchaseStatus } from '../../actors/records.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';

interface PurchaseSql {
  purchase_id: string;
  version: number;
  status: PurchaseStatus;
  buyer_id: string;
  sale_id: string;
  sku: string;
  quantity: number;
  ticket: number;
  expires_at: Date | null;
  unit_price: number;
  currency: string;
  reason: string;
  order_ref: string;
  fingerprint: string;
  is_refund_due: boolean;
  had_hold: boolean;
  created_at: Date;
  updated_at: Date;
}

function toPurchase(row: PurchaseSql): Purchase {
  return {
    purchaseId: row.purchase_id,
    version: row.version,
    status: row.status,
    buyer: row.buyer_id,
    saleId: row.sale_id,
    sku: row.sku,
    quantity: row.quantity,
    ticket: row.ticket,
    expiresAt: row.expires_at?.getTime() ?? 0,
    unitPrice: row.unit_price,
    currency: row.currency,
    createdAt: row.created_at.getTime(),
    updatedAt: row.updated_at.getTime(),
    reason: row.reason,
    orderRef: row.order_ref,
    fingerprint: row.fingerprint,
    isRefundDue: row.is_refund_due,
    hadHold: row.had_hold,
  };
}

export async function findPurchase(db: Queryable, purchaseId: string): Promise<Purchase | undefined> {
  return (await findPurchases(db, [purchaseId]))[0];
}

/** Those that exist, in no particular order. */
export async function findPurchases(db: Queryable, purchaseIds: readonly string[]): Promise<Purchase[]> {
  const { rows } = await db.query<PurchaseSql>('SELECT * FROM purchases WHERE purchase_id = ANY($1::text[])', [
    purchaseIds,
  ]);
  return rows.map(toPurchase);
}

/** A page of a SKU's purchases by ticket, the holds of orders (ticket 0) before all others. */
export async function listPurchases(
  db: Queryable,
  saleId: string,
  sku: string,
  page: { after?: Pick<Purchase, 'ticket' | 'purchaseId'> | undefined; limit: number },
): Promise<Purchase[]> {
  const { rows } = await db.query<PurchaseSql>(
    `SELECT * FROM purchases WHERE sale_id = $1 AND sku = $2 AND (ticket, purchase_id) > ($3, $4)
      ORDER BY ticket, purchase_id LIMIT $5`,
    [saleId, sku, page.after?.ticket ?? -1, page.after?.purchaseId ?? '', page.limit],
  );
  return rows.map(toPurchase);
}

/** What `/inventory/reserve` held for an order, by SKU. */
export async function findOrderHolds(db: Queryable, orderRef: string): Promise<Purchase[]> {
  const { rows } = await db.query<PurchaseSql>(
    `SELECT * FROM purchases WHERE order_ref = $1 AND order_ref <> '' ORDER BY sku, purchase_id`,
    [orderRef],
  );
  return rows.map(toPurchase);
}

export interface LedgerCounts {
  readonly saleId: string;
  readonly sku: string;
  readonly loaded: number;
  readonly available: number;
  readonly held: number;
  readonly sold: number;
  /** Units of purchases that Postgres knows as WAITING. */
  readonly waiting: number;
}

/** The counts of every SKU of some sales, summed from the ledger: exact up to the outbox's lag, for ever. */
export async function sumLedger(db: Queryable, saleIds: readonly string[]): Promise<LedgerCounts[]> {
  const { rows } = await db.query<
    { sale_id: string; sku: string } & Record<'loaded' | 'available' | 'held' | 'sold' | 'waiting', number>
  >(
    `SELECT i.sale_id, i.sku, l.loaded, l.available, l.held, l.sold, w.waiting
       FROM sale_items i
       CROSS JOIN LATERAL (
         SELECT coalesce(sum(d_loaded), 0)::bigint AS loaded, coalesce(sum(d_available), 0)::bigint AS available,
                coalesce(sum(d_held), 0)::bigint AS held, coalesce(sum(d_sold), 0)::bigint AS sold
           FROM ledger WHERE sale_id = i.sale_id AND sku = i.sku) l
       CROSS JOIN LATERAL (
         SELECT coalesce(sum(quantity), 0)::bigint AS waiting
           FROM purchases WHERE sale_id = i.sale_id AND sku = i.sku AND status = 'WAITING') w
      WHERE i.sale_id = ANY($1::text[])
      ORDER BY i.sale_id, i.line_no`,
    [saleIds],
  );
  return rows.map(({ sale_id, ...counts }) => ({ saleId: sale_id, ...counts }));
}

/** What an operation did to a SKU's stock, as the ledger keeps it for ever (Redis remembers it for a day). */
export async function findMovement(db: Queryable, movementId: string): Promise<{ loaded: number } | undefined> {
  const { rows } = await db.query<{ d_loaded: number }>(
    'SELECT d_loaded FROM ledger WHERE purchase_id = $1 AND version = 1',
    [movementId],
  );
  return rows[0] && { loaded: rows[0].d_loaded };
}
