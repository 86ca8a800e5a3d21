// The SQL that holds purchases against their orders and their ledger rows. Each check is one statement over a whole sale
// and returns only what does not agree. Reads only; statuses of different tables come from one statement, so of one moment.
import { AUDIT_FINDINGS_MAX } from '../../core/constants.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';
import type { FindingRow } from './differences.ts';

/** Order statuses that may stand beside a purchase's; PACKED and later are stages of what is CONFIRMED, REFUNDED its money back alone. */
const AGREEING: Readonly<Record<string, readonly string[]>> = {
  RESERVED: ['CREATED'],
  PAYMENT_PENDING: ['CREATED'],
  PAYMENT_FAILED: ['CREATED'],
  CONFIRMED: ['CONFIRMED', 'PACKED', 'SHIPPED', 'DELIVERED', 'REFUNDED'],
  EXPIRED: ['EXPIRED'],
  CANCELLED: ['CANCELLED', 'FAILED'],
  REFUNDED: ['REFUNDED'],
};

export interface OrderRow extends FindingRow {
  readonly status: string;
  readonly orderId: string | null;
  readonly orderStatus: string | null;
}

/** Purchases that got a hold and have no order. */
export async function findWithoutOrder(db: Queryable, saleId: string): Promise<OrderRow[]> {
  const { rows } = await db.query<OrderRow>(
    `SELECT p.purchase_id AS "purchaseId", p.sku, p.status, NULL AS "orderId", NULL AS "orderStatus", count(*) OVER () AS total
       FROM purchases p LEFT JOIN orders o ON o.purchase_id = p.purchase_id
      WHERE p.sale_id = $1 AND p.had_hold AND p.order_ref = '' AND o.order_id IS NULL ORDER BY p.purchase_id LIMIT $2`,
    [saleId, AUDIT_FINDINGS_MAX],
  );
  return rows;
}

/** Purchases whose order says something else than they do. */
export async function findContradictingOrders(db: Queryable, saleId: string): Promise<OrderRow[]> {
  const pairs = Object.entries(AGREEING).flatMap(([purchase, orders]) =>
    orders.map((order) => [purchase, order] as const),
  );
  const { rows } = await db.query<OrderRow>(
    `SELECT p.purchase_id AS "purchaseId", p.sku, p.status, o.order_id AS "orderId", o.status AS "orderStatus",
            count(*) OVER () AS total
       FROM purchases p JOIN orders o ON o.purchase_id = p.purchase_id
      WHERE p.sale_id = $1
        AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS a (purchase, "order")
                         WHERE a.purchase = p.status AND a."order" = o.status)
      ORDER BY p.purchase_id LIMIT $4`,
    [saleId, pairs.map(([purchase]) => purchase), pairs.map(([, order]) => order), AUDIT_FINDINGS_MAX],
  );
  return rows;
}

export interface OrderContentRow extends FindingRow {
  readonly orderId: string;
  readonly quantity: number;
  readonly amount: number;
  readonly orderQuantity: number;
  readonly orderAmount: number;
}

/** Orders that bill another quantity, SKU, buyer or amount than their purchase. */
export async function findUnequalOrders(db: Queryable, saleId: string): Promise<OrderContentRow[]> {
  const { rows } = await db.query<OrderContentRow>(
    `WITH billed AS (
       SELECT o.purchase_id, o.order_id, o.user_id, o.total_amount, o.currency, coalesce(sum(i.quantity), 0) AS quantity,
              coalesce(sum(i.quantity * i.unit_price), 0) AS amount, min(i.sku) AS first_sku, max(i.sku) AS last_sku
         FROM orders o JOIN purchases p ON p.purchase_id = o.purchase_id
         LEFT JOIN order_items i ON i.order_id = o.order_id
        WHERE p.sale_id = $1 GROUP BY o.order_id)
     SELECT p.purchase_id AS "purchaseId", p.sku, b.order_id AS "orderId", p.quantity, p.quantity * p.unit_price AS amount,
            b.quantity::bigint AS "orderQuantity", b.total_amount AS "orderAmount", count(*) OVER () AS total
       FROM purchases p JOIN billed b ON b.purchase_id = p.purchase_id
      WHERE b.quantity <> p.quantity OR b.amount <> p.quantity * p.unit_price OR b.total_amount <> p.quantity * p.unit_price
         OR b.currency <> p.currency OR b.user_id <> p.buyer_id OR b.first_sku <> p.sku OR b.last_sku <> p.sku
      ORDER BY p.purchase_id LIMIT $2`,
    [saleId, AUDIT_FINDINGS_MAX],
  );
  return rows;
}

/** Orders of the sale whose purchase Postgres does not have. */
export async function findOrphanOrders(db: Queryable, saleId: string): Promise<OrderRow[]> {
  const { rows } = await db.query<OrderRow>(
    `SELECT o.purchase_id AS "purchaseId", NULL AS sku, '' AS status, o.order_id AS "orderId", o.status AS "orderStatus",
            count(*) OVER () AS total
       FROM orders o LEFT JOIN purchases p ON p.purchase_id = o.purchase_id
      WHERE o.sale_id = $1 AND o.purchase_id IS NOT NULL AND p.purchase_id IS NULL ORDER BY o.order_id LIMIT $2`,
    [saleId, AUDIT_FINDINGS_MAX],
  );
  return rows;
}

export interface LedgerRow extends FindingRow {
  /** Null where the ledger moves units of a purchase that has no row. */
  readonly status: string | null;
  readonly quantity: number | null;
  readonly held: number;
  readonly sold: number;
}

/** Purchases whose movements do not add up to what their status means: a hold is held, a paid one sold, any other nothing. */
export async function findUnbalancedLedger(db: Queryable, saleId: string): Promise<LedgerRow[]> {
  const { rows } = await db.query<LedgerRow>(
    `WITH moved AS (
       SELECT purchase_id, min(sku) AS sku, sum(d_held) AS held, sum(d_sold) AS sold, sum(d_available) AS available
         FROM ledger WHERE sale_id = $1 AND (d_held <> 0 OR d_sold <> 0) GROUP BY purchase_id
     ), own AS (
       SELECT purchase_id, sku, status, quantity,
              CASE WHEN status IN ('RESERVED', 'PAYMENT_PENDING', 'PAYMENT_FAILED') THEN quantity ELSE 0 END AS held,
              CASE WHEN status = 'CONFIRMED' THEN quantity ELSE 0 END AS sold
         FROM purchases WHERE sale_id = $1)
     SELECT purchase_id AS "purchaseId", coalesce(own.sku, moved.sku) AS sku, own.status, own.quantity,
            coalesce(moved.held, 0)::bigint AS held, coalesce(moved.sold, 0)::bigint AS sold, count(*) OVER () AS total
       FROM own FULL JOIN moved USING (purchase_id)
      WHERE own.status IS NULL OR (own.held, own.sold, -own.held - own.sold)
              <> (coalesce(moved.held, 0), coalesce(moved.sold, 0), coalesce(moved.available, 0))
      ORDER BY purchase_id LIMIT $2`,
    [saleId, AUDIT_FINDINGS_MAX],
  );
  return rows;
}
