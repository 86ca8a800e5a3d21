// The SQL that finds undone work of money in Postgres alone, for when the jobs are gone with their Redis. Each query is a page
// in the order of its key, reads the small side first (see 0008_money.sql) and answers what a job is about. It changes nothing
// but `finished_at`, the mark of a payment of which nothing is left to do.
import { REFUND_TOLD_MAX_MS } from '../../core/constants.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';

export interface LostFilter {
  /** Nothing younger: its job has not had its turn. 0 is everything. */
  minAgeMs: number;
  saleIds?: readonly string[] | undefined;
  /** The last key of the page before; '' for the first. */
  after: string;
  limit: number;
}

const values = ({ minAgeMs, saleIds, after, limit }: LostFilter): unknown[] => [
  minAgeMs,
  saleIds ?? null,
  after,
  limit,
];

async function readKeys(db: Queryable, text: string, filter: LostFilter): Promise<string[]> {
  const { rows } = await db.query<{ key: string }>(text, values(filter));
  return rows.map((row) => row.key);
}

/** The purchases of a payment `pay`: one, or those of a cart's order. As two reads by index; an OR might read them all. */
const LINES = `SELECT purchase_id, sale_id, status FROM purchases WHERE purchase_id = pay.purchase_id
  UNION ALL SELECT purchase_id, sale_id, status FROM purchases WHERE order_ref = pay.purchase_id AND order_ref <> ''`;

/**
 * The purchase, or the order, of a key from the small side. The LIMIT keeps it a look-up by index for each: without it the
 * planner, which knows nothing of a table that is nearly always empty, reads every purchase there is, every five seconds.
 */
const PURCHASE_OF_R = '(SELECT * FROM purchases WHERE purchase_id = r.purchase_id LIMIT 1)';
const ORDER_OF_R = '(SELECT * FROM orders WHERE payment_key = r.purchase_id LIMIT 1)';
const ORDER_OF_PAY = '(SELECT * FROM orders WHERE payment_key = pay.purchase_id LIMIT 1)';

const IS_UNSTARTED = `expires_at > now() AND status = 'RESERVED' AND order_ref = '' AND purchase_id > $3
  AND ($1::float8 = 0 OR updated_at <= now() - make_interval(secs => $1::float8 / 1000))
  AND ($2::text[] IS NULL OR sale_id = ANY($2))`;

/** Live holds of eager sales for which no payment was begun, and payments that were begun and have no intent. */
export async function findUnstarted(db: Queryable, filter: LostFilter): Promise<string[]> {
  return readKeys(
    db,
    `SELECT h.key FROM sales s CROSS JOIN LATERAL (
         SELECT purchase_id AS key FROM purchases p WHERE p.sale_id = s.sale_id AND ${IS_UNSTARTED}
            AND NOT EXISTS (SELECT FROM payments pay WHERE pay.purchase_id = p.purchase_id) OFFSET 0) h
      WHERE s.payment_start = 'eager'
        AND (s.status <> 'CLOSED' OR s.updated_at > now() - make_interval(secs => s.hold_seconds))
     UNION
     SELECT h.key FROM payments pay CROSS JOIN LATERAL (
         SELECT purchase_id AS key FROM purchases WHERE purchase_id = pay.purchase_id AND ${IS_UNSTARTED} LIMIT 1) h
      WHERE pay.status IN ('starting', 'requires_payment_method')
        AND ($1::float8 = 0 OR pay.updated_at <= now() - make_interval(secs => $1::float8 / 1000))
      ORDER BY key LIMIT $4`,
    filter,
  );
}

/** Payments that succeeded, of which not every purchase is sold or given back in Postgres. */
export async function findUnsettled(db: Queryable, filter: LostFilter): Promise<string[]> {
  return readKeys(
    db,
    `SELECT pay.purchase_id AS key FROM payments pay
      WHERE pay.status = 'succeeded' AND pay.finished_at IS NULL AND pay.purchase_id > $3
        AND ($1::float8 = 0 OR pay.updated_at <= now() - make_interval(secs => $1::float8 / 1000))
        AND ($2::text[] IS NULL OR EXISTS (SELECT FROM (${LINES}) l WHERE l.sale_id = ANY($2)))
      ORDER BY pay.purchase_id LIMIT $4`,
    filter,
  );
}

/** Payments whose purchases, or some of them, have to be given back and were not, the other way round for refunds of the dashboard. */
export async function findUnreturned(db: Queryable, filter: LostFilter): Promise<string[]> {
  return readKeys(
    db,
    `SELECT DISTINCT pay.purchase_id AS key
       FROM returns_due r CROSS JOIN LATERAL ${PURCHASE_OF_R} l
       JOIN payments pay ON pay.purchase_id = CASE WHEN l.order_ref = '' THEN l.purchase_id ELSE l.order_ref END
      WHERE pay.purchase_id > $3 AND ($1::float8 = 0 OR r.at <= now() - make_interval(secs => $1::float8 / 1000))
        AND ($2::text[] IS NULL OR l.sale_id = ANY($2))
      UNION SELECT pay.purchase_id FROM refunds r CROSS JOIN LATERAL ${PURCHASE_OF_R} l
       JOIN payments pay ON pay.purchase_id = CASE WHEN l.order_ref = '' THEN l.purchase_id ELSE l.order_ref END
      WHERE r.status = 'pending' AND r.provider_refund_id IS NULL AND pay.purchase_id > $3
        AND ($1::float8 = 0 OR r.updated_at <= now() - make_interval(secs => $1::float8 / 1000))
        AND ($2::text[] IS NULL OR l.sale_id = ANY($2))
      UNION SELECT r.purchase_id FROM refunds r CROSS JOIN LATERAL ${ORDER_OF_R} o
      WHERE r.reason = 'DASHBOARD' AND r.status NOT IN ('failed', 'canceled') AND r.purchase_id > $3
        AND o.status IN ('CONFIRMED', 'PACKED', 'SHIPPED', 'DELIVERED')
        AND ($1::float8 = 0 OR r.updated_at <= now() - make_interval(secs => $1::float8 / 1000))
        AND ($2::text[] IS NULL OR o.sale_id = ANY($2))
      ORDER BY key LIMIT $4`,
    filter,
  );
}

/** Payments that could still be made although their orders have ended, and that nobody has looked at for a while. */
export async function findUncanceled(db: Queryable, filter: LostFilter): Promise<string[]> {
  return readKeys(
    db,
    `SELECT pay.purchase_id AS key FROM payments pay CROSS JOIN LATERAL ${ORDER_OF_PAY} o
      WHERE pay.status IN ('requires_payment_method', 'processing', 'failed')
        AND ($1::float8 = 0 OR pay.updated_at <= now() - make_interval(secs => $1::float8 / 1000))
        AND o.status IN ('EXPIRED', 'CANCELLED', 'FAILED') AND pay.purchase_id > $3
        AND ($2::text[] IS NULL OR o.sale_id = ANY($2))
      ORDER BY pay.purchase_id LIMIT $4`,
    filter,
  );
}

/**
 * Marks those of the paid payments of which nothing is left to do: each purchase is sold, or says itself that it was refunded.
 * One that does not say so for long is one that Redis had forgotten when its money went back.
 */
export async function finishPayments(db: Queryable, limit: number): Promise<number> {
  const { rowCount } = await db.query(
    `UPDATE payments SET finished_at = now()
      WHERE finished_at IS NULL AND payment_id IN (
        SELECT pay.payment_id FROM payments pay CROSS JOIN LATERAL (
                 SELECT bool_and(l.status = 'CONFIRMED' OR (r.provider_refund_id IS NOT NULL AND
                          (l.status = 'REFUNDED' OR r.updated_at < now() - make_interval(secs => $2::float8 / 1000)))) AS is_done
                   FROM (${LINES}) l LEFT JOIN refunds r ON r.purchase_id = l.purchase_id) lines
         WHERE pay.status = 'succeeded' AND pay.finished_at IS NULL AND lines.is_done LIMIT $1)`,
    [limit, REFUND_TOLD_MAX_MS],
  );
  return rowCount;
}

/** Nothing is left to give back for these: it is with the provider, or was never paid. */
export async function clearReturns(db: Queryable, purchaseIds: readonly string[]): Promise<void> {
  await db.query('DELETE FROM returns_due WHERE purchase_id = ANY($1::text[])', [[...purchaseIds].sort()]);
}
