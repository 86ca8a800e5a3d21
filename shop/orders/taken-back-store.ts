// The SQL of taking back a paid order: the move itself with its note that the units are due, and the search for notes that
// nobody has followed. A note stays until Postgres has heard of the units' return.
import type { Queryable } from '../../core/postgres/postgres.ts';
import type { OrderStatus } from './order-states.ts';

/** False where the order is no longer in state `from`. */
export async function takeBack(db: Queryable, purchaseId: string, from: OrderStatus): Promise<boolean> {
  const { rows } = await db.query(
    `WITH own AS (
       UPDATE purchases SET order_status = 'CANCELLED', order_moved_at = now()
        WHERE purchase_id = $1 AND order_status = $2 RETURNING purchase_id
     ), noted AS (INSERT INTO units_due (purchase_id) SELECT purchase_id FROM own ON CONFLICT DO NOTHING)
     SELECT FROM own`,
    [purchaseId, from],
  );
  return rows.length === 1;
}

/** Forgets the notes of which nothing is left to do, and answers the oldest of the others that are older than `minAgeMs`. */
export async function findUnitsDue(db: Queryable, filter: { minAgeMs: number; limit: number }): Promise<string[]> {
  await db.query(
    `DELETE FROM units_due WHERE purchase_id IN (
       SELECT u.purchase_id FROM units_due u CROSS JOIN LATERAL (
                SELECT status, order_status FROM purchases WHERE purchase_id = u.purchase_id LIMIT 1) p
        WHERE p.status <> 'CONFIRMED' OR p.order_status <> 'CANCELLED')`,
  );
  const { rows } = await db.query<{ purchase_id: string }>(
    `SELECT purchase_id FROM units_due WHERE at <= now() - make_interval(secs => $1::float8 / 1000)
      ORDER BY at, purchase_id LIMIT $2`,
    [filter.minAgeMs, filter.limit],
  );
  return rows.map((row) => row.purchase_id);
}
