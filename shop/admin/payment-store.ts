// The SQL that holds purchases against the money: what is sold is paid once and in full, what is paid and not sold is
// returned once. A payment's key is the purchase, or the order of a cart with several holds. Purchases with a provider's
// event that is still to be settled are left out: they are not finished. Reads only.
import { AUDIT_FINDINGS_MAX } from '../../core/constants.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';
import type { FindingRow } from './differences.ts';

/** Each purchase of the sale that may be paid for, with its order, its payment and its refund. */
const BOOKS = `
  WITH unsettled AS MATERIALIZED (
    SELECT DISTINCT purchase_id FROM payment_events
     WHERE settled_at IS NULL AND purchase_id IS NOT NULL AND (outcome IS NULL OR outcome NOT LIKE 'dead%')
  ), billed AS (
    SELECT purchase_id, sku, status, purchase_id AS payment_key, 'ord_' || substr(purchase_id, 5) AS order_id, order_status,
           quantity * unit_price AS total_amount, currency
      FROM purchases WHERE sale_id = $1 AND had_hold AND order_status IS NOT NULL
    UNION ALL
    SELECT p.purchase_id, p.sku, p.status, p.order_ref, o.order_id, o.status, o.total_amount, o.currency
      FROM purchases p JOIN cart_orders o ON o.order_id = p.order_ref WHERE p.sale_id = $1 AND p.had_hold AND p.order_ref <> ''
  ), books AS (
    SELECT b.*, pay.payment_id, pay.status AS pay_status, pay.amount AS pay_amount, pay.currency AS pay_currency,
           r.status AS refund_status, r.amount AS refund_amount
      FROM billed b
      LEFT JOIN payments pay ON pay.purchase_id = b.payment_key
      LEFT JOIN refunds r ON r.purchase_id = b.purchase_id
     WHERE b.total_amount > 0
       AND NOT EXISTS (SELECT FROM unsettled u WHERE u.purchase_id IN (b.purchase_id, b.payment_key)))`;

export interface MoneyRow extends FindingRow {
  readonly status: string;
  readonly orderId: string;
  readonly totalAmount: number;
  readonly currency: string;
  readonly payStatus: string | null;
  readonly payAmount: number | null;
  readonly payCurrency: string | null;
  readonly refundStatus: string | null;
  readonly refundAmount: number | null;
}

const CHECKS = {
  /** Sold and not paid. */
  unpaid: `status = 'CONFIRMED' AND pay_status IS DISTINCT FROM 'succeeded' AND pay_status IS DISTINCT FROM 'refunded'`,
  wrongAmount: `pay_status IN ('succeeded', 'refunded') AND (pay_amount <> total_amount OR pay_currency <> currency)`,
  /** Paid, not sold, and nobody has begun to give the money back. */
  kept: `(status <> 'CONFIRMED' OR order_status = 'REFUNDED') AND pay_status IN ('succeeded', 'refunded') AND refund_status IS NULL`,
  refundFailed: `refund_status IN ('failed', 'canceled')`,
  refundOfNothing: `refund_status IS NOT NULL AND (pay_status IS NULL OR pay_status NOT IN ('succeeded', 'refunded'))`,
  /** The buyer has the goods and the money, and nobody decided that. */
  refundedAndSold: `status = 'CONFIRMED' AND order_status <> 'REFUNDED' AND (pay_status = 'refunded' OR refund_status IN ('pending', 'requires_action', 'succeeded'))`,
  refundedTooMuch: `refund_amount > pay_amount`,
} as const;

export type MoneyCheck = keyof typeof CHECKS;

export async function findMoney(db: Queryable, saleId: string, check: MoneyCheck): Promise<MoneyRow[]> {
  const { rows } = await db.query<MoneyRow>(
    `${BOOKS}
     SELECT purchase_id AS "purchaseId", sku, status, order_id AS "orderId", total_amount AS "totalAmount", currency,
            pay_status AS "payStatus", pay_amount AS "payAmount", pay_currency AS "payCurrency",
            refund_status AS "refundStatus", refund_amount AS "refundAmount", count(*) OVER () AS total
       FROM books WHERE ${CHECKS[check]} ORDER BY purchase_id LIMIT $2`,
    [saleId, AUDIT_FINDINGS_MAX],
  );
  return rows;
}

export interface PaidTwiceRow extends FindingRow {
  readonly orderId: string;
  readonly payments: number;
  readonly paid: number;
  readonly currency: string;
}

/** Orders with more than one payment that succeeded. */
export async function findPaidTwice(db: Queryable, saleId: string): Promise<PaidTwiceRow[]> {
  const { rows } = await db.query<PaidTwiceRow>(
    `SELECT o.purchase_id AS "purchaseId", NULL AS sku, o.order_id AS "orderId", count(*) AS payments,
            sum(pay.amount)::bigint AS paid, min(pay.currency) AS currency, count(*) OVER () AS total
       FROM orders o JOIN payments pay ON pay.order_id = o.order_id AND pay.status = 'succeeded'
      WHERE o.sale_id = $1 OR o.order_id IN (SELECT order_ref FROM purchases WHERE sale_id = $1 AND order_ref <> '')
      GROUP BY o.order_id, o.purchase_id HAVING count(*) > 1 ORDER BY o.order_id LIMIT $2`,
    [saleId, AUDIT_FINDINGS_MAX],
  );
  return rows;
}

/** Provider's events about purchases of the sale that wait for their settlement. */
export async function countUnsettled(db: Queryable, saleId: string): Promise<number> {
  const { rows } = await db.query<{ open: number }>(
    `SELECT count(*) AS open FROM payment_events e
      WHERE e.settled_at IS NULL AND (e.outcome IS NULL OR e.outcome NOT LIKE 'dead%')
        AND EXISTS (SELECT FROM purchases p WHERE p.sale_id = $1
                     AND (p.purchase_id = e.purchase_id OR (p.order_ref <> '' AND p.order_ref = e.purchase_id)))`,
    [saleId],
  );
  return rows[0]?.open ?? 0;
}
