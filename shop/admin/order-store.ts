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
       FROM purchases p WHERE p.sale_id = $1 AND p.had_hold AND p.order_ref = '' AND p.order_status IS NULL ORDER BY p.purchase_id LIMIT $2`,
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
    `SELECT p.purchase_id AS "purchaseId", p.sku, p.status, 'ord_' || substr(p.purchase_id, 5) AS "orderId",
            p.order_status AS "orderStatus", count(*) OVER () AS total
       FROM purchases p
      WHERE p.sale_id = $1 AND p.order_status IS NOT NULL
        AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS a (purchase, "order")
                         WHERE a.purchase = p.status AND a."order" = p.order_status)
      ORDER BY p.purchase_id LIMIT $4`,
    [saleId, pairs.map(([purchase]) => purchase), pairs.map(([, order]) => order), AUDIT_FINDINGS_MAX],
  );
  return rows;
}

/** Orders of the sale whose purchase Postgres does not have. */
export async function findOrphanOrders(db: Queryable, saleId: string): Promise<OrderRow[]> {
  const { rows } = await db.query<OrderRow>(
    `SELECT o.purchase_id AS "purchaseId", NULL AS sku, '' AS status, o.order_id AS "orderId", o.status AS "orderStatus",
            count(*) OVER () AS total
       FROM cart_orders o LEFT JOIN purchases p ON p.purchase_id = o.purchase_id
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
