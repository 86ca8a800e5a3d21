// A payment that succeeded: Redis confirms the purchase, or says that there is no stock for it any more; then the money
// goes back. Every step may be repeated, and a crash between two of them is finished by the event's next try.
import { fault } from '../../core/errors.ts';
import { TerminalError } from '../../core/queue/queue.ts';
import type { ConfirmPurchase } from './confirm.ts';
import type { PaymentDependencies } from './dependencies.ts';
import { toProviderAmount } from './provider-amount.ts';
import { refundOnce } from './refund.ts';
import { linesOf } from './lines.ts';
import { findPurchaseStatus, markRefunded, movePayment } from './store.ts';
import type { Payment } from './store.ts';

const LATE = 'LATE_PAYMENT';

type Verdict = 'confirmed' | 'refund';

/** Throws TerminalError where the provider took something else than what was due. */
export function checkPaid(
  payment: Payment,
  paid: { amount?: number | undefined; currency?: string | undefined },
): void {
  const due = toProviderAmount(payment.amount, payment.currency);
  if (paid.amount === due && paid.currency?.toUpperCase() === payment.currency) return;
  const [was, wanted] = [`${paid.amount} ${paid.currency}`, `${due} ${payment.currency}`];
  throw new TerminalError(`${was} were paid for ${payment.key}, ${wanted} were due`);
}

export async function settleMoney(
  deps: PaymentDependencies,
  confirm: ConfirmPurchase,
  payment: Payment,
  eventAt: Date,
): Promise<string> {
  if (payment.status === 'refunded') return 'ignored: refunded before';
  const lines = await linesOf(deps, payment);
  if (lines.length === 0) throw fault('UNAVAILABLE', `The holds of ${payment.key} are not written yet`);
  const paymentRef = payment.intentId ?? payment.paymentId;
  const answers = await Promise.all(lines.map(({ purchaseId }) => confirm(purchaseId, paymentRef)));
  const verdicts = new Map<string, Verdict>();
  let buyer: string | undefined;
  for (const answer of answers) {
    verdicts.set(answer.purchaseId, await verdictOf(deps, answer));
    buyer ??= answer.purchase?.buyer;
  }
  await movePayment(deps.postgres, { key: payment.key, status: 'succeeded', reason: '', eventAt });
  const unstocked = lines.filter((line) => verdicts.get(line.purchaseId) === 'refund');
  for (const { purchaseId, amount } of unstocked) {
    await refundOnce(deps, { payment, purchaseId, amount, reason: LATE });
    // NOT_FOUND and ILLEGAL are answers too: Redis has forgotten the purchase, or an operator refunded it first.
    await deps.stock.mark([{ purchaseId, status: 'REFUNDED', reason: LATE }]);
  }
  const isAllBack = unstocked.length === lines.length;
  if (isAllBack) await markRefunded(deps.postgres, payment.key, LATE);
  const status = isAllBack ? 'refunded' : 'succeeded';
  if (buyer !== undefined) {
    await deps.feed.publishPayment({ purchaseId: payment.key, buyer, clientSecret: '', status });
  }
  if (unstocked.length === 0) return 'confirmed';
  return isAllBack
    ? 'refunded: the hold had ended and the stock was gone'
    : `confirmed: ${unstocked.length} holds refunded`;
}

async function verdictOf(
  deps: PaymentDependencies,
  answer: { purchaseId: string; decision: 'CONFIRMED' | 'REFUND' | 'NOT_FOUND' | 'ILLEGAL' },
): Promise<Verdict> {
  if (answer.decision === 'CONFIRMED') return 'confirmed';
  if (answer.decision === 'REFUND') return 'refund';
  if (answer.decision === 'ILLEGAL') {
    throw new TerminalError(`${answer.purchaseId} was paid and was never asked to pay`);
  }
  // Redis forgets a purchase a day after its sale closed; a provider's event may be three days late.
  const status = await findPurchaseStatus(deps.postgres, answer.purchaseId);
  if (status === 'CONFIRMED') return 'confirmed';
  if (status === 'EXPIRED' || status === 'CANCELLED' || status === 'REFUNDED' || status === 'SOLD_OUT') return 'refund';
  throw fault('UNAVAILABLE', `Redis does not know ${answer.purchaseId}, which should live`);
}
