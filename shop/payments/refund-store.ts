// The SQL of refunds: one row a purchase, written before the provider is asked.
import type { Queryable } from '../../core/postgres/postgres.ts';

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

/** The one refund of a purchase: written before the provider is asked. `isNew` for whoever wrote it. */
export async function openRefund(
  db: Queryable,
  refund: Pick<RefundRow, 'purchaseId' | 'amount' | 'currency' | 'reason'>,
): Promise<{ refund: RefundRow; isNew: boolean }> {
  const inserted = await db.query<RefundRow>(
    `INSERT INTO refunds (purchase_id, amount, currency, status, reason) VALUES ($1, $2, $3, 'pending', $4)
     ON CONFLICT (purchase_id) DO NOTHING RETURNING ${REFUND}`,
    [refund.purchaseId, refund.amount, refund.currency, refund.reason],
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

export async function saveRefund(db: Queryable, purchaseId: string, refundId: string, status: string): Promise<void> {
  await db.query(`UPDATE refunds SET provider_refund_id = $2, status = $3, updated_at = now() WHERE purchase_id = $1`, [
    purchaseId,
    refundId,
    status,
  ]);
}

export async function raiseRefundAttempt(db: Queryable, purchaseId: string, from: number): Promise<void> {
  await db.query(`UPDATE refunds SET attempt = $2 + 1, updated_at = now() WHERE purchase_id = $1 AND attempt = $2`, [
    purchaseId,
    from,
  ]);
}

/** News of a refund from the provider; answers the purchase, undefined when the refund is none of ours. */
export async function updateRefund(db: Queryable, refundId: string, status: string): Promise<string | undefined> {
  const { rows } = await db.query<{ purchase_id: string }>(
    `UPDATE refunds SET status = $2, updated_at = now() WHERE provider_refund_id = $1 RETURNING purchase_id`,
    [refundId, status],
  );
  return rows[0]?.purchase_id;
}
