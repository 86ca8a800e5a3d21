// The SQL of the decisions about payments: append only, one row a decision about one object of the provider, written in the
// statement or transaction that carries it out. It decides nothing; the sentences are those of the files that do.
import type { Queryable } from '../../core/postgres/postgres.ts';

export type Decision =
  | 'INTENT_CREATED'
  | 'INTENT_REFUSED'
  | 'INTENT_CANCELED'
  | 'ADOPTED'
  | 'MISSED_WEBHOOK'
  | 'CONFIRMED'
  | 'CONFIRMED_LATE'
  | 'AMOUNT_MISMATCH'
  | 'WRONG_INTENT'
  | 'REFUND_DUE'
  | 'REFUNDED'
  | 'REFUND_FAILED'
  | 'REFUND_RETRIED'
  | 'DASHBOARD_REFUND'
  | 'DISPUTED'
  | 'DISPUTE_CLOSED'
  | 'OPERATOR_NEEDED';

/** What brought the decision about. */
export type DecisionSource =
  | 'purchase'
  | 'webhook'
  | 'reconciliation'
  | 'hold_ended'
  | 'cancellation'
  | 'operator'
  | 'recovery'
  | 'rebuild';

export interface Note {
  decision: Decision;
  /** A sentence for the merchant. */
  why: string;
  source: DecisionSource;
  /** The purchase of a cart's payment that it is about; the payment's own key when absent. */
  purchaseId?: string;
  /** The refund or dispute; the payment's intent when absent. */
  providerId?: string;
  /** Minor units; the payment's amount when absent. */
  amount?: number;
}

/**
 * An INSERT of notes about the payments that `from` yields, as a part of a statement (WITH … AS): what is noted and what is
 * done are one. `parameter` is the place of `notesParameter()`.
 */
export function noteClause(from: string, parameter: number): string {
  return `INSERT INTO payment_decisions
      (decision, purchase_id, order_id, sale_id, payment_id, provider_id, amount, currency, why, source)
    SELECT n.decision, coalesce(n."purchaseId", m.purchase_id), m.order_id,
           (SELECT o.sale_id FROM orders o WHERE o.payment_key = m.purchase_id), m.payment_id,
           coalesce(n."providerId", m.provider_payment_id, ''), coalesce(n.amount, m.amount), m.currency, n.why, n.source
      FROM ${from} m CROSS JOIN jsonb_to_recordset($${parameter}::jsonb)
           AS n (decision text, "purchaseId" text, "providerId" text, amount bigint, why text, source text)
    ON CONFLICT DO NOTHING RETURNING decision_id`;
}

export function notesParameter(notes: readonly Note[]): string {
  return toJsonb(notes);
}

/** Answers how many of the notes were new. Nothing is written where there is no such payment. */
export async function insertNotes(db: Queryable, key: string, notes: readonly Note[]): Promise<number> {
  if (notes.length === 0) return 0;
  const { rowCount } = await db.query(noteClause('(SELECT * FROM payments WHERE purchase_id = $2)', 1), [
    notesParameter(notes),
    key,
  ]);
  return rowCount;
}

export interface DecisionRow {
  decisionId: number;
  at: Date;
  decision: string;
  purchaseId: string;
  orderId: string;
  saleId: string | null;
  paymentId: string;
  providerId: string;
  amount: number;
  currency: string;
  why: string;
  source: string;
}

export interface DecisionPage {
  purchaseId?: string | undefined;
  saleId?: string | undefined;
  /** The last decisionId of the page before. */
  after?: number | undefined;
  limit: number;
}

/** Newest first. A purchase that was held for a cart's order shows the order's decisions too. */
export async function listDecisions(db: Queryable, page: DecisionPage): Promise<DecisionRow[]> {
  const { rows } = await db.query<DecisionRow>(
    `SELECT decision_id AS "decisionId", at, decision, purchase_id AS "purchaseId", order_id AS "orderId",
            sale_id AS "saleId", payment_id AS "paymentId", provider_id AS "providerId", amount, currency, why, source
       FROM payment_decisions
      WHERE ($1::text IS NULL OR purchase_id = $1
             OR purchase_id = (SELECT order_ref FROM purchases WHERE purchase_id = $1 AND order_ref <> ''))
        AND ($2::text IS NULL OR sale_id = $2) AND ($3::bigint IS NULL OR decision_id < $3)
      ORDER BY decision_id DESC LIMIT $4`,
    [page.purchaseId ?? null, page.saleId ?? null, page.after ?? null, page.limit],
  );
  return rows;
}

/** JSON allows a NUL and half a surrogate pair in a string, jsonb neither; nothing must be refused over them. */
export function toJsonb(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'string' ? part.replaceAll('\u0000', '').toWellFormed() : part,
  );
}
