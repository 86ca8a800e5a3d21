// The SQL of payments. A payment's key (column purchase_id) is the purchase it pays for, or the order when a
// cart's order has several holds. Statuses only move forward: what is paid or given back is never overwritten by an
// older or slower message, which each statement's WHERE says.
import type { Queryable } from '../../core/postgres/postgres.ts';
import { noteClause, notesParameter } from './decision-store.ts';
import type { Note } from './decision-store.ts';

export type PaymentStatus =
  | 'starting'
  | 'requires_payment_method'
  | 'processing'
  | 'failed'
  | 'canceled'
  | 'refused'
  | 'succeeded'
  | 'refunded';

export interface Payment {
  paymentId: string;
  /** pur_… or, for a cart's order, ord_… */
  key: string;
  orderId: string;
  intentId: string | null;
  attempt: number;
  clientSecret: string | null;
  amount: number;
  currency: string;
  status: PaymentStatus;
  reason: string;
  createdAt: Date;
  updatedAt: Date;
  lastEventAt: Date | null;
}

export const PAYMENT = `payment_id AS "paymentId", purchase_id AS "key", order_id AS "orderId", provider_payment_id AS "intentId",
  attempt, client_secret AS "clientSecret", amount, currency, status, reason, created_at AS "createdAt",
  updated_at AS "updatedAt", last_event_at AS "lastEventAt"`;

export interface NewPayment {
  paymentId: string;
  key: string;
  orderId: string;
  amount: number;
  currency: string;
}

/** Rows before any call to the provider, so that an operator sees what was begun. Those that exist stay as they are. */
export async function insertPayments(db: Queryable, payments: readonly NewPayment[]): Promise<void> {
  const sorted = [...payments].sort((a, b) => (a.key < b.key ? -1 : 1));
  await db.query(
    `INSERT INTO payments (payment_id, purchase_id, order_id, attempt, amount, currency, status)
     SELECT payment_id, purchase_id, order_id, 1, amount, currency, 'starting'
       FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[])
         AS n (payment_id, purchase_id, order_id, amount, currency)
     ON CONFLICT DO NOTHING`,
    [
      sorted.map((p) => p.paymentId),
      sorted.map((p) => p.key),
      sorted.map((p) => p.orderId),
      sorted.map((p) => p.amount),
      sorted.map((p) => p.currency),
    ],
  );
}

export async function findPayments(db: Queryable, keys: readonly string[]): Promise<Map<string, Payment>> {
  const { rows } = await db.query<Payment>(`SELECT ${PAYMENT} FROM payments WHERE purchase_id = ANY($1::text[])`, [
    keys,
  ]);
  return new Map(rows.map((row) => [row.key, row]));
}

export async function findPaymentByIntent(db: Queryable, intentId: string): Promise<Payment | undefined> {
  const { rows } = await db.query<Payment>(`SELECT ${PAYMENT} FROM payments WHERE provider_payment_id = $1`, [
    intentId,
  ]);
  return rows[0];
}

/** The payment with the user whose it is. */
export async function findOwnedPayment(
  db: Queryable,
  paymentId: string,
): Promise<{ payment: Payment; owner: string | null } | undefined> {
  const { rows } = await db.query<Payment & { owner: string | null }>(
    `SELECT ${PAYMENT}, (SELECT user_id FROM orders o WHERE o.payment_key = p.purchase_id) AS owner
       FROM payments p WHERE payment_id = $1`,
    [paymentId],
  );
  const [row] = rows;
  return row === undefined ? undefined : { payment: row, owner: row.owner };
}

/** What a purchase's buyer is shown: its own payment, or that of the order it was held for. */
export async function findSecret(
  db: Queryable,
  purchaseId: string,
): Promise<{ clientSecret: string | null; status: PaymentStatus } | undefined> {
  const { rows } = await db.query<{ clientSecret: string | null; status: PaymentStatus }>(
    `SELECT client_secret AS "clientSecret", status FROM payments
      WHERE purchase_id = $1
         OR purchase_id = (SELECT order_ref FROM purchases WHERE purchase_id = $1 AND order_ref <> '')`,
    [purchaseId],
  );
  return rows[0];
}

/** The first intent saved for a payment is its only one. Answers whether this was it. */
export async function saveIntent(
  db: Queryable,
  intent: { key: string; intentId: string; clientSecret: string; attempt: number; notes: readonly Note[] },
): Promise<boolean> {
  return changePayment(
    db,
    `UPDATE payments SET provider_payment_id = $3, client_secret = $4, attempt = $5, status = 'requires_payment_method',
                         updated_at = now()
      WHERE purchase_id = $2 AND (provider_payment_id IS NULL OR provider_payment_id = $3)
        AND status IN ('starting', 'requires_payment_method')`,
    intent.notes,
    [intent.key, intent.intentId, intent.clientSecret, intent.attempt],
  );
}

/** Changes a payment and notes why, or neither. `update` has the notes as $1, the key as $2 and its own values after that. */
async function changePayment(
  db: Queryable,
  update: string,
  notes: readonly Note[],
  values: readonly unknown[],
  notedOf: 'moved' | 'any' = 'moved',
): Promise<boolean> {
  const subject = notedOf === 'moved' ? 'moved' : '(SELECT * FROM payments WHERE purchase_id = $2)';
  const { rows } = await db.query<{ moved: number }>(
    `WITH moved AS (${update} RETURNING *), noted AS (${noteClause(subject, 1)}) SELECT count(*)::int AS moved FROM moved`,
    [notesParameter(notes), ...values],
  );
  return rows[0]?.moved === 1;
}

/** The next call to the provider uses a new idempotency key. */
export async function raiseAttempt(db: Queryable, key: string, from: number): Promise<void> {
  await db.query(
    `UPDATE payments SET attempt = $2 + 1, updated_at = now() WHERE purchase_id = $1 AND attempt = $2 AND status = 'starting'`,
    [key, from],
  );
}

/** Moves a payment that is not yet decided; answers whether it moved. `eventAt`: older news than the last is refused. */
export async function movePayment(
  db: Queryable,
  move: {
    key: string;
    status: Exclude<PaymentStatus, 'starting' | 'refunded'>;
    reason: string;
    eventAt?: Date | undefined;
    notes?: readonly Note[];
    /** `any`: the notes are true also where the payment had moved before. */
    notedOf?: 'moved' | 'any';
  },
): Promise<boolean> {
  // Success is the provider's last word on an intent, so it may overtake everything that is not a success already.
  const open = ['starting', 'requires_payment_method', 'processing', 'failed'];
  const from = move.status === 'succeeded' ? [...open, 'canceled', 'refused'] : open;
  return changePayment(
    db,
    `UPDATE payments SET status = $3, reason = $4, updated_at = now(), last_event_at = coalesce($5, last_event_at)
      WHERE purchase_id = $2 AND status = ANY($6::text[])
        AND ($3 = 'succeeded' OR $5::timestamptz IS NULL OR last_event_at IS NULL OR last_event_at <= $5)`,
    move.notes ?? [],
    [move.key, move.status, move.reason, move.eventAt ?? null, from],
    move.notedOf,
  );
}

/** All that was paid is back with the buyer. */
export async function markRefunded(db: Queryable, key: string, reason: string): Promise<void> {
  await db.query(
    `UPDATE payments SET status = 'refunded', reason = $2, updated_at = now(), finished_at = coalesce(finished_at, now())
      WHERE purchase_id = $1 AND status <> 'refunded'`,
    [key, reason],
  );
}

/** Which of the orders are committed: a payment starts only after them. */
export async function findOrders(
  db: Queryable,
  orderIds: readonly string[],
): Promise<Map<string, { userId: string; totalAmount: number; currency: string }>> {
  const { rows } = await db.query<{ orderId: string; userId: string; totalAmount: number; currency: string }>(
    `SELECT order_id AS "orderId", user_id AS "userId", total_amount AS "totalAmount", currency
       FROM orders WHERE payment_key = ANY($2::text[]) AND order_id = ANY($1::text[])`,
    [orderIds, orderIds.flatMap((id) => [id, `pur_${id.slice('ord_'.length)}`])],
  );
  return new Map(rows.map(({ orderId, ...order }) => [orderId, order]));
}

export interface HeldLine {
  purchaseId: string;
  orderRef: string;
  amount: number;
  status: string;
}

/** The holds of orders that have several. */
export async function findHeldLines(db: Queryable, orderRefs: readonly string[]): Promise<HeldLine[]> {
  const { rows } = await db.query<HeldLine>(
    `SELECT purchase_id AS "purchaseId", order_ref AS "orderRef", unit_price * quantity AS amount, status
       FROM purchases WHERE order_ref = ANY($1::text[]) AND order_ref <> '' ORDER BY purchase_id`,
    [orderRefs],
  );
  return rows;
}

/** For a purchase that Redis has forgotten: what the ledger's side says of it. */
export async function findPurchaseStatus(db: Queryable, purchaseId: string): Promise<string | undefined> {
  const { rows } = await db.query<{ status: string }>('SELECT status FROM purchases WHERE purchase_id = $1', [
    purchaseId,
  ]);
  return rows[0]?.status;
}

/** Which of these purchases were given back, or belong to an order that was: their money goes back. */
export async function findReturned(db: Queryable, purchaseIds: readonly string[]): Promise<Set<string>> {
  const { rows } = await db.query<{ purchase_id: string }>(
    `SELECT l.purchase_id FROM purchases l
       LEFT JOIN orders o ON o.payment_key = CASE WHEN l.order_ref = '' THEN l.purchase_id ELSE l.order_ref END
      WHERE l.purchase_id = ANY($1::text[]) AND (l.status = 'REFUNDED' OR o.status = 'REFUNDED')`,
    [purchaseIds],
  );
  return new Set(rows.map((row) => row.purchase_id));
}

/** The orders for which some of these purchases were held. */
export async function findOrderRefs(db: Queryable, purchaseIds: readonly string[]): Promise<string[]> {
  const { rows } = await db.query<{ order_ref: string }>(
    `SELECT DISTINCT order_ref FROM purchases WHERE purchase_id = ANY($1::text[]) AND order_ref <> ''`,
    [purchaseIds],
  );
  return rows.map((row) => row.order_ref);
}

/** Says that the payment was looked at: listEndedPayments lists it again only after a while. */
export async function touchPayment(db: Queryable, key: string): Promise<void> {
  await db.query('UPDATE payments SET updated_at = now() WHERE purchase_id = $1', [key]);
}
