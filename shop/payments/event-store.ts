// The SQL of the provider's events: stored once before they are answered, settled once afterwards.
// `settled_at` is null until then; an outcome that begins with `dead` waits for an operator, not for the poll.
import type { Queryable } from '../../core/postgres/postgres.ts';
import type { ProviderEvent } from './wire.ts';

export interface NewEvent {
  event: ProviderEvent;
  intentId: string | null;
  purchaseId: string | null;
  /** Set for events that nobody has to settle. */
  outcome: string | null;
}

/** False when the event is known already. */
export async function insertEvent(db: Queryable, { event, intentId, purchaseId, outcome }: NewEvent): Promise<boolean> {
  // A NUL is legal in JSON and not in jsonb; the provider sends none, and an event must not be refused over one.
  const payload = JSON.stringify(event).replaceAll('\\u0000', '');
  const { rowCount } = await db.query(
    `INSERT INTO payment_events (event_id, type, provider_payment_id, purchase_id, payload, created_at, settled_at, outcome)
     VALUES ($1, $2, $3, $4, $5, to_timestamp($6::float8), CASE WHEN $7::text IS NULL THEN NULL ELSE now() END, $7)
     ON CONFLICT (event_id) DO NOTHING`,
    [event.id, event.type, intentId, purchaseId, payload, event.created, outcome],
  );
  return rowCount === 1;
}

export interface StoredEvent {
  payload: unknown;
  receivedAt: Date;
  attempts: number;
}

/** The event, with this try counted; undefined when it is unknown or settled. */
export async function takeEvent(db: Queryable, eventId: string): Promise<StoredEvent | undefined> {
  const { rows } = await db.query<StoredEvent>(
    `UPDATE payment_events SET attempts = attempts + 1 WHERE event_id = $1 AND settled_at IS NULL
     RETURNING payload, received_at AS "receivedAt", attempts`,
    [eventId],
  );
  return rows[0];
}

export async function settleEvent(db: Queryable, eventId: string, outcome: string): Promise<void> {
  await db.query('UPDATE payment_events SET settled_at = now(), outcome = $2 WHERE event_id = $1', [eventId, outcome]);
}

/** Leaves the event open for the operator's replay, and out of the poll. */
export async function buryEvent(db: Queryable, eventId: string, reason: string): Promise<void> {
  await db.query('UPDATE payment_events SET outcome = $2 WHERE event_id = $1', [eventId, `dead: ${reason}`]);
}

/** Stored, not settled, and older than `minAgeMs`: their job was lost, or has not had its turn. */
export async function listUnsettled(
  db: Queryable,
  minAgeMs: number,
  limit: number,
): Promise<{ eventId: string; ageSeconds: number }[]> {
  const { rows } = await db.query<{ eventId: string; ageSeconds: number }>(
    `SELECT event_id AS "eventId", extract(epoch FROM now() - received_at)::float8 AS "ageSeconds"
       FROM payment_events
      WHERE settled_at IS NULL AND received_at < now() - make_interval(secs => $1::float8 / 1000)
        AND (outcome IS NULL OR outcome NOT LIKE 'dead%')
      ORDER BY received_at LIMIT $2`,
    [minAgeMs, limit],
  );
  return rows;
}
