// The SQL of what a lost Redis never told: a load, a movement, a place in line of which later records came. Each hole is closed
// in the open, by a row that says LOST, so that the books add up again.
import type { Queryable } from '../../core/postgres/postgres.ts';

/** A sale whose first load never came: it is loaded with what it was made with. */
export async function insertLostLoads(tx: Queryable, saleId: string, partition: number, seq: number): Promise<number> {
  const { rowCount } = await tx.query(
    `WITH lost AS (
       INSERT INTO movements (purchase_id, version, partition, seq, sale_id, sku, d_available, d_held, d_sold, d_loaded, reason, at)
       SELECT sale_id || '/' || sku, 1, $2, $3, sale_id, sku, stock, 0, 0, stock, 'LOAD', now()
         FROM sale_items i WHERE sale_id = $1
          AND NOT EXISTS (SELECT FROM ledger l WHERE l.purchase_id = i.sale_id || '/' || i.sku)
       RETURNING sale_id, sku, d_loaded)
     UPDATE sale_items i SET loaded = i.loaded + lost.d_loaded FROM lost WHERE i.sale_id = lost.sale_id AND i.sku = lost.sku`,
    [saleId, partition, seq],
  );
  return rowCount;
}

/**
 * Movements that never came, of purchases whose later records did: each gets one row in the place of a version that is
 * missing, which makes its movements what its status means. Answers how many.
 */
export async function insertLostMovements(
  tx: Queryable,
  saleId: string,
  partition: number,
  seq: number,
): Promise<number> {
  const { rowCount } = await tx.query(
    `WITH moved AS (
       SELECT purchase_id, sum(d_held) AS held, sum(d_sold) AS sold, sum(d_available) AS available
         FROM ledger WHERE sale_id = $1 AND d_loaded = 0 GROUP BY purchase_id
     ), own AS (
       SELECT purchase_id, version, sku,
              CASE WHEN status IN ('RESERVED', 'PAYMENT_PENDING', 'PAYMENT_FAILED') THEN quantity ELSE 0 END AS held,
              CASE WHEN status = 'CONFIRMED' THEN quantity ELSE 0 END AS sold
         FROM purchases WHERE sale_id = $1
     ), lost AS (
       SELECT own.purchase_id, own.sku, own.version, own.held - coalesce(m.held, 0) AS held, own.sold - coalesce(m.sold, 0) AS sold,
              -own.held - own.sold - coalesce(m.available, 0) AS available
         FROM own LEFT JOIN moved m USING (purchase_id)
     )
     INSERT INTO movements (purchase_id, version, partition, seq, sale_id, sku, d_available, d_held, d_sold, d_loaded, reason, at)
     SELECT purchase_id, free.version, $2, $3, $1, sku, available, held, sold, 0, 'LOST', now()
       FROM lost CROSS JOIN LATERAL (
         SELECT v AS version FROM generate_series(1, lost.version) v
          WHERE NOT EXISTS (SELECT FROM ledger l WHERE l.purchase_id = lost.purchase_id AND l.version = v)
          ORDER BY v DESC LIMIT 1) free
      WHERE (available, held, sold) <> (0, 0, 0)`,
    [saleId, partition, seq],
  );
  return rowCount;
}

export interface LostTicket {
  readonly sku: string;
  readonly ticket: number;
}

/** Places that were given, below the last one that is known, and of which no record came. */
export async function findLostTickets(tx: Queryable, saleId: string): Promise<LostTicket[]> {
  const { rows } = await tx.query<LostTicket>(
    `SELECT last.sku, t AS ticket
       FROM (SELECT sku, max(ticket) AS ticket, count(*) AS known FROM purchases WHERE sale_id = $1 AND ticket > 0 GROUP BY sku) last
      CROSS JOIN LATERAL generate_series(1, last.ticket) t
      WHERE last.known < last.ticket
        AND NOT EXISTS (SELECT FROM purchases p WHERE p.sale_id = $1 AND p.sku = last.sku AND p.ticket = t)
      ORDER BY 1, 2`,
    [saleId],
  );
  return rows;
}

/** An ended purchase in each lost place: whose it was is not known; that it was given is. */
export async function insertLostPlaces(
  tx: Queryable,
  saleId: string,
  places: readonly (LostTicket & { purchaseId: string })[],
): Promise<void> {
  await tx.query(
    `INSERT INTO purchases (purchase_id, version, status, buyer_id, sale_id, sku, quantity, ticket, unit_price, currency, reason,
                            created_at, updated_at)
     SELECT r.id, 1, 'CANCELLED', 'u_unknown', $1, r.sku, 1, r.ticket, i.unit_price, i.currency, 'LOST', now(), now()
       FROM unnest($2::text[], $3::text[], $4::bigint[]) AS r (id, sku, ticket)
       JOIN sale_items i ON i.sale_id = $1 AND i.sku = r.sku
     ON CONFLICT (purchase_id) DO NOTHING`,
    [saleId, places.map((p) => p.purchaseId), places.map((p) => p.sku), places.map((p) => p.ticket)],
  );
}

/**
 * Late payments that are being returned, or were, of which the purchase's own record never came: it has ended, and nothing
 * that is told of the payment again may sell it now. Answers how many.
 */
export async function endLateRefunds(tx: Queryable, saleId: string): Promise<number> {
  const { rowCount } = await tx.query(
    `UPDATE purchases p SET is_refund_due = true, reason = 'LATE_PAYMENT', version = p.version + 1, updated_at = now(),
            status = late.status, order_status = CASE WHEN p.order_status IS NOT NULL THEN late.status END
       FROM (
         SELECT q.purchase_id, CASE WHEN r.provider_refund_id IS NOT NULL AND r.status NOT IN ('failed', 'canceled') THEN 'REFUNDED'
                                    WHEN q.status = 'CANCELLED' THEN 'CANCELLED' ELSE 'EXPIRED' END AS status
           FROM refunds r JOIN purchases q USING (purchase_id)
          WHERE r.reason = 'LATE_PAYMENT' AND q.sale_id = $1 AND q.status NOT IN ('CONFIRMED', 'REFUNDED')) late
      WHERE p.purchase_id = late.purchase_id`,
    [saleId],
  );
  return rowCount;
}

/** What a buyer was told last may have had a higher version than any that came: the next ones are to be newer all the same. */
export async function raiseVersions(tx: Queryable, saleId: string, by: number, sinceMs: number): Promise<void> {
  await tx.query(
    `UPDATE purchases SET version = version + $2
      WHERE sale_id = $1 AND (status IN ('WAITING', 'RESERVED', 'PAYMENT_PENDING', 'PAYMENT_FAILED')
                              OR updated_at > now() - $3 * interval '1 millisecond')`,
    [saleId, by, sinceMs],
  );
}
