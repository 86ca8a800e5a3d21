// The SQL of reconciliation: which payments are compared next, and how far the provider's lists have been read. What is taken
// is marked in the same statement, so that several processes share the work.
import type { Queryable } from '../../core/postgres/postgres.ts';
import { PAYMENT } from './store.ts';
import type { Payment } from './store.ts';

const OPEN = `status IN ('starting', 'requires_payment_method', 'processing', 'failed')`;

/** Payments that are final neither here nor, perhaps, at the provider; the longest untouched first. */
export async function takeOpenPayments(db: Queryable, quietMs: number, limit: number): Promise<Payment[]> {
  const { rows } = await db.query<Payment>(
    `UPDATE payments SET reconciled_at = now() WHERE payment_id IN (
       SELECT payment_id FROM payments
        WHERE ${OPEN} AND coalesce(reconciled_at, created_at) <= now() - make_interval(secs => $1::float8 / 1000)
        ORDER BY coalesce(reconciled_at, created_at) LIMIT $2 FOR UPDATE SKIP LOCKED)
     RETURNING ${PAYMENT}`,
    [quietMs, limit],
  );
  return rows;
}

/** Since when the longest untouched open payment has not been compared. */
export async function readOldestUnreconciled(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ seconds: number | null }>(
    `SELECT extract(epoch FROM now() - min(coalesce(reconciled_at, created_at)))::float8 AS seconds FROM payments WHERE ${OPEN}`,
  );
  return rows[0]?.seconds ?? 0;
}

/** A stored event of the intent waits for its settlement: the webhook was not missed. */
export async function hasOpenEvent(db: Queryable, intentId: string): Promise<boolean> {
  const { rowCount } = await db.query(
    "SELECT 1 FROM payment_events WHERE provider_payment_id = $1 AND settled_at IS NULL AND type LIKE 'payment_intent.%' LIMIT 1",
    [intentId],
  );
  return rowCount > 0;
}

/** Which of these the refunds' table does not know. */
export async function findUnknownRefunds(db: Queryable, refundIds: readonly string[]): Promise<Set<string>> {
  const { rows } = await db.query<{ id: string }>(
    `SELECT n.id FROM unnest($1::text[]) AS n (id)
      WHERE NOT EXISTS (SELECT FROM refunds r WHERE r.provider_refund_id = n.id)`,
    [refundIds],
  );
  return new Set(rows.map((row) => row.id));
}

export interface Cursor {
  since: Date;
  until: Date;
  afterId: string | null;
}

/** The stretch of a list that is to be read now; undefined while another process reads it. */
export async function leaseCursor(
  db: Queryable,
  name: string,
  options: { quietMs: number; leaseMs: number },
): Promise<Cursor | undefined> {
  await db.query(
    `INSERT INTO provider_cursors (name, since)
     SELECT $1, coalesce((SELECT min(created_at) FROM payments), now()) - interval '1 hour'
      WHERE NOT EXISTS (SELECT FROM provider_cursors WHERE name = $1) ON CONFLICT DO NOTHING`,
    [name],
  );
  const { rows } = await db.query<Cursor>(
    `UPDATE provider_cursors
        SET leased_until = now() + make_interval(secs => $3::float8 / 1000),
            until = coalesce(until, now() - make_interval(secs => $2::float8 / 1000))
      WHERE name = $1 AND (leased_until IS NULL OR leased_until < now())
     RETURNING since, until, after_id AS "afterId"`,
    [name, options.quietMs, options.leaseMs],
  );
  return rows[0];
}

/** The stretch goes on after this object; null: where it was. */
export async function keepCursor(db: Queryable, name: string, afterId: string | null): Promise<void> {
  await db.query('UPDATE provider_cursors SET leased_until = NULL, after_id = $2 WHERE name = $1', [name, afterId]);
}

/** The stretch was read to its end: the next one begins a little before it. */
export async function advanceCursor(db: Queryable, name: string, overlapMs: number): Promise<void> {
  await db.query(
    `UPDATE provider_cursors
        SET since = greatest(since, until - make_interval(secs => $2::float8 / 1000)), until = NULL, after_id = NULL, leased_until = NULL
      WHERE name = $1`,
    [name, overlapMs],
  );
}
