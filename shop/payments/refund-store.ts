// The SQL of refunds: one row a purchase, written before the provider is asked, with the note that says why. A refund's status
// only moves forward: the provider's events repeat and overtake one another, and one that failed stays failed until retried.
import type { Queryable } from '../../core/postgres/postgres.ts';
import { noteClause, notesParameter } from './decision-store.ts';
import type { Note } from './decision-store.ts';

export interface RefundRow {
  purchaseId: string;
  providerRefundId: string | null;
  attempt: number;
  amount: number;
  currency: string;
  status: string;
  reason: string;
}

const REFUND = `purchase_id AS "purchaseId", provider_refund_id AS "providerRefundId", attempt, amount, currency, status, reason`;
/** The payment that paid for the purchases in `changed`, with notes as $1. */
const NOTED = noteClause(
  `(SELECT p.* FROM payments p JOIN purchases l ON l.purchase_id IN (SELECT purchase_id FROM changed)
     WHERE p.purchase_id = CASE WHEN l.order_ref = '' THEN l.purchase_id ELSE l.order_ref END)`,
  1,
);

/** The one refund of a purchase: written before the provider is asked. `isNew` for whoever wrote it. */
export async function openRefund(
  db: Queryable,
  refund: Pick<RefundRow, 'purchaseId' | 'amount' | 'currency' | 'reason'>,
  notes: readonly Note[],
): Promise<{ refund: RefundRow; isNew: boolean }> {
  const inserted = await db.query<RefundRow>(
    `WITH changed AS (
       INSERT INTO refunds (purchase_id, amount, currency, status, reason) VALUES ($2, $3, $4, 'pending', $5)
       ON CONFLICT (purchase_id) DO NOTHING RETURNING *
     ), noted AS (${NOTED}) SELECT ${REFUND} FROM changed`,
    [notesParameter(notes), refund.purchaseId, refund.amount, refund.currency, refund.reason],
  );
  const [row] = inserted.rows;
  if (row !== undefined) return { refund: row, isNew: true };
  const known = await findRefund(db, refund.purchaseId);
  if (known === undefined) throw new Error(`The refund of ${refund.purchaseId} vanished`);
  return { refund: known, isNew: false };
}

export async function findRefund(db: Queryable, purchaseId: string): Promise<RefundRow | undefined> {
  const { rows } = await db.query<RefundRow>(`SELECT ${REFUND} FROM refunds WHERE purchase_id = $1`, [purchaseId]);
  return rows[0];
}

async function changeRefund(
  db: Queryable,
  update: string,
  notes: readonly Note[],
  values: readonly unknown[],
): Promise<string | undefined> {
  const { rows } = await db.query<{ purchase_id: string }>(
    `WITH changed AS (${update} RETURNING *), noted AS (${NOTED}) SELECT purchase_id FROM changed`,
    [notesParameter(notes), ...values],
  );
  return rows[0]?.purchase_id;
}

/** The provider has it. False when another refund was saved for the purchase before. */
export async function saveRefund(
  db: Queryable,
  saved: { purchaseId: string; refundId: string; status: string; notes: readonly Note[] },
): Promise<boolean> {
  const purchaseId = await changeRefund(
    db,
    `UPDATE refunds SET provider_refund_id = $3, status = $4, updated_at = now()
      WHERE purchase_id = $2 AND (provider_refund_id IS NULL OR provider_refund_id = $3)`,
    saved.notes,
    [saved.purchaseId, saved.refundId, saved.status],
  );
  return purchaseId !== undefined;
}

/** The provider will not do it: an operator must look. */
export async function failRefund(db: Queryable, purchaseId: string, notes: readonly Note[]): Promise<void> {
  await changeRefund(
    db,
    `UPDATE refunds SET status = 'failed', updated_at = now() WHERE purchase_id = $2 AND provider_refund_id IS NULL`,
    notes,
    [purchaseId],
  );
}

/** It turned out not to be due, before the provider was asked. */
export async function withdrawRefund(db: Queryable, purchaseId: string): Promise<void> {
  await db.query(`DELETE FROM refunds WHERE purchase_id = $1 AND provider_refund_id IS NULL AND status = 'pending'`, [
    purchaseId,
  ]);
}

/** A refund that failed is tried again, under a new key; answers whether this call made it so. */
export async function reopenRefund(db: Queryable, purchaseId: string, notes: readonly Note[]): Promise<boolean> {
  const reopened = await changeRefund(
    db,
    `UPDATE refunds SET status = 'pending', provider_refund_id = NULL, attempt = attempt + 1, updated_at = now()
      WHERE purchase_id = $2 AND status IN ('failed', 'canceled')`,
    notes,
    [purchaseId],
  );
  return reopened !== undefined;
}

export async function raiseRefundAttempt(db: Queryable, purchaseId: string, from: number): Promise<void> {
  await db.query(`UPDATE refunds SET attempt = $2 + 1, updated_at = now() WHERE purchase_id = $1 AND attempt = $2`, [
    purchaseId,
    from,
  ]);
}

/** News of a refund from the provider; answers the purchase, undefined when the refund is none of ours. */
export async function updateRefund(
  db: Queryable,
  refundId: string,
  status: string,
  notes: readonly Note[],
): Promise<string | undefined> {
  const changed = await changeRefund(
    db,
    `UPDATE refunds SET status = $3, updated_at = now()
      WHERE provider_refund_id = $2 AND status <> $3 AND status NOT IN ('failed', 'canceled')
        AND (status <> 'succeeded' OR $3 IN ('failed', 'canceled'))`,
    notes,
    [refundId, status],
  );
  if (changed !== undefined) return changed;
  const { rows } = await db.query<{ purchase_id: string }>(
    'SELECT purchase_id FROM refunds WHERE provider_refund_id = $1',
    [refundId],
  );
  return rows[0]?.purchase_id;
}

/** Refunds that the provider has and has not finished, the longest untouched first, marked as looked at. */
export async function takeOpenRefunds(db: Queryable, quietMs: number, limit: number): Promise<RefundRow[]> {
  const { rows } = await db.query<RefundRow>(
    `UPDATE refunds SET updated_at = now() WHERE purchase_id IN (
       SELECT purchase_id FROM refunds
        WHERE status IN ('pending', 'requires_action') AND provider_refund_id IS NOT NULL
          AND updated_at <= now() - make_interval(secs => $1::float8 / 1000)
        ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED)
     RETURNING ${REFUND}`,
    [quietMs, limit],
  );
  return rows;
}
