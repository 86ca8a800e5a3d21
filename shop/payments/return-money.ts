// Refunds of orders that were paid and then taken back by the buyer's or an operator's cancellation, and the operator's retry
// of one that failed. The stock is Redis' matter and comes first: only what it or Postgres calls REFUNDED gets its money here.
import { fault } from '../../core/errors.ts';
import type { DecisionSource } from './decision-store.ts';
import type { PaymentDependencies } from './dependencies.ts';
import { linesOf } from './lines.ts';
import { clearReturns } from './lost-store.ts';
import { refundOnce } from './refund.ts';
import type { RefundReason } from './refund.ts';
import { findRefund, reopenRefund } from './refund-store.ts';
import { findReturned, markRefunded } from './store.ts';
import type { Payment } from './store.ts';

/** Answers how many purchases of the payment have had their money returned, now or before. */
export async function returnMoney(
  deps: PaymentDependencies,
  payment: Payment,
  reason: RefundReason,
  source: DecisionSource,
): Promise<number> {
  const lines = await linesOf(deps, payment);
  const purchaseIds = lines.map((line) => line.purchaseId);
  const views = await deps.stock.look(purchaseIds);
  // Redis is ahead of Postgres, but forgets; and an order that was delivered is given back in Postgres alone.
  const returned = await findReturned(deps.postgres, purchaseIds);
  const due = lines.filter(({ purchaseId }, i) => views[i]?.status === 'REFUNDED' || returned.has(purchaseId));
  let done = 0;
  for (const { purchaseId, amount } of due) {
    const status = await refundOnce(deps, { payment, purchaseId, amount, reason, source });
    if (status !== 'failed' && status !== 'canceled') done += 1;
  }
  if (done > 0 && done === lines.length) await markRefunded(deps.postgres, payment.key, reason);
  await clearReturns(
    deps.postgres,
    due.map((line) => line.purchaseId),
  );
  return due.length;
}

/** Tries a failed refund again, once however often it is asked for. Answers the refund's state at the provider. */
export async function retryRefund(deps: PaymentDependencies, payment: Payment, purchaseId: string): Promise<string> {
  const lines = await linesOf(deps, payment);
  const line = lines.find((one) => one.purchaseId === purchaseId);
  const refund = await findRefund(deps.postgres, purchaseId);
  if (line === undefined || refund === undefined)
    throw fault('ILLEGAL_TRANSITION', `No refund of ${purchaseId} was begun`);
  const providerId = `refund_${purchaseId}:${refund.attempt + 1}`;
  const why = 'An operator had a failed refund tried again.';
  const note = { decision: 'REFUND_RETRIED', why, source: 'operator', purchaseId, providerId } as const;
  await reopenRefund(deps.postgres, purchaseId, [{ ...note, amount: line.amount }]);
  // Of an EXPIRED or CANCELLED purchase; where it is something else, the mark is refused and nothing is missing.
  const reason = refund.reason as RefundReason; // written by refundOnce alone
  const status = await refundOnce(deps, { payment, purchaseId, amount: refund.amount, reason, source: 'operator' });
  await deps.stock.mark([{ purchaseId, status: 'REFUNDED', reason }]);
  if (lines.length === 1 && status !== 'failed' && status !== 'canceled')
    await markRefunded(deps.postgres, payment.key, reason);
  return status;
}
