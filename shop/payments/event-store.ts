// The SQL of the provider's events: stored once before they are answered, settled once afterwards.
// `settled_at` is null until then; an outcome that begins with `dead` waits for an operator, not for the poll.
import type { Queryable } from '../../core/postgres/postgres.ts';
import { toJsonb } from './decision-store.ts';
import type { ProviderEvent } from './wire.ts';

export interface NewEvent {
  event: ProviderEvent;
  intentId: string | null;
  purchaseId: string | null;
  /** Set for events that nobody has to settle. */
  outcome: string | null;
}

/** Answers the ids of those that were not known. */
export async function insertEvents(db: Queryable, events: readonly NewEvent[]): Promise<Set<string>> {
  // A statement may not meet an id twice; sorted, so that two processes that store the same events do not deadlock.
  const distinct = [...new Map(events.map((one) => [one.event.id, one])).values()];
  const sorted = distinct.sort((a, b) => (a.event.id < b.event.id ? -1 : 1));
  const { rows } = await db.query<{ event_id: string }>(
    `INSERT INTO payment_events (event_id, type, provider_payment_id, purchase_id, payload, created_at, settled_at, outcome)
     SELECT event_id, type, intent_id, purchase_id, payload, to_timestamp(created), CASE WHEN outcome IS NULL THEN NULL ELSE now() END,
            outcome
       FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::float8[], $7::text[])
         AS n (event_id, type, intent_id, purchase_id, payload, created, outcome)
     ON CONFLICT (event_id) DO NOTHING RETURNING event_id`,
    [
      sorted.map(({ event }) => event.id),
      sorted.map(({ event }) => event.type),
      sorted.map(({ intentId }) => intentId),
      sorted.map(({ purchaseId }) => purchaseId),
      sorted.map(({ event }) => toJsonb(event)),
      sorted.map(({ event }) => event.created),
      sorted.map(({ outcome }) => outcome),
    ],
  );
  return new Set(rows.map((row) => row.event_id));
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
  await db.query('UPDATE payment_events SET outcome = $2 WHERE event_id = $1 AND settled_at IS NULL', [
    eventId,
    `dead: ${reason}`,
  ]);
}

export interface DeadEvent {
  eventId: string;
  type: string;
  purchaseId: string | null;
  reason: string;
  receivedAt: Date;
  attempts: number;
}

/** The oldest first. `eventId` given: only that one, if it is dead. */
export async function listDeadEvents(
  db: Queryable,
  filter: { limit: number; eventId?: string | undefined },
): Promise<DeadEvent[]> {
  const { rows } = await db.query<DeadEvent>(
    `SELECT event_id AS "eventId", type, purchase_id AS "purchaseId", substr(outcome, 7) AS reason,
            received_at AS "receivedAt", attempts
       FROM payment_events
      WHERE settled_at IS NULL AND outcome LIKE 'dead%' AND ($2::text IS NULL OR event_id = $2)
      ORDER BY received_at, event_id LIMIT $1`,
    [filter.limit, filter.eventId ?? null],
  );
  return rows;
}

/** Which of these still wait for their settlement, dead or not. */
export async function findOpenEvents(db: Queryable, eventIds: readonly string[]): Promise<Set<string>> {
  const { rows } = await db.query<{ event_id: string }>(
    'SELECT event_id FROM payment_events WHERE event_id = ANY($1::text[]) AND settled_at IS NULL',
    [eventIds],
  );
  return new Set(rows.map((row) => row.event_id));
}

export async function countDeadEvents(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ dead: number }>(
    "SELECT count(*)::int AS dead FROM payment_events WHERE settled_at IS NULL AND outcome LIKE 'dead%'",
  );
  return rows[0]?.dead ?? 0;
}

/** Gives a dead event back to the poll and its job; false when it is not dead (any more). */
export async function reviveEvent(db: Queryable, eventId: string): Promise<boolean> {
  const { rowCount } = await db.query(
    "UPDATE payment_events SET outcome = NULL WHERE event_id = $1 AND settled_at IS NULL AND outcome LIKE 'dead%'",
    [eventId],
  );
  return rowCount === 1;
}

/** An operator took it off the list: settled without an effect. */
export async function dropDeadEvent(db: Queryable, eventId: string): Promise<boolean> {
  const { rowCount } = await db.query(
    `UPDATE payment_events SET settled_at = now(), outcome = 'dropped, was ' || outcome
      WHERE event_id = $1 AND settled_at IS NULL AND outcome LIKE 'dead%'`,
    [eventId],
  );
  return rowCount === 1;
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
