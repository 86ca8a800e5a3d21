// A payment that succeeded: Redis confirms the purchase, or says that there is no stock for it any more; then the money
// goes back. Every step may be repeated, and a crash between two of them is finished by the event's next try.
import type { ConfirmOutcome } from '../../actors/stock-store.ts';
import { fault } from '../../core/errors.ts';
import { TerminalError } from '../../core/queue/queue.ts';
import type { ConfirmPurchase } from './confirm.ts';
import { insertNotes } from './decision-store.ts';
import type { DecisionSource, Note } from './decision-store.ts';
import type { PaymentDependencies } from './dependencies.ts';
import { linesOf } from './lines.ts';
import { clearReturns } from './lost-store.ts';
import { toProviderAmount } from './provider-amount.ts';
import { refundOnce } from './refund.ts';
import { followDashboard } from './refund-news.ts';
import { findRefund } from './refund-store.ts';
import { findPurchaseStatus, markRefunded, movePayment } from './store.ts';
import type { Payment } from './store.ts';

const LATE = 'LATE_PAYMENT';
const WHY = {
  CONFIRMED: 'The payment succeeded, and the units are sold.',
  CONFIRMED_LATE: 'The payment came after the hold had ended; units were still free, and nobody waited for them.',
} as const;

type Verdict = 'CONFIRMED' | 'CONFIRMED_LATE' | 'refund';

export interface Settling {
  source: DecisionSource;
  eventAt?: Date;
}

/** Answers whether what is to be paid, or was, is what is due. The mismatch is noted, and told to whoever watches. */
export async function checkAmount(
  deps: Pick<PaymentDependencies, 'postgres' | 'log'>,
  payment: Payment,
  paid: { amount?: number | undefined; currency?: string | undefined },
  source: DecisionSource,
): Promise<string | undefined> {
  const due = toProviderAmount(payment.amount, payment.currency);
  if (paid.amount === due && paid.currency?.toUpperCase() === payment.currency) return undefined;
  const [was, wanted] = [`${paid.amount} ${paid.currency}`, `${due} ${payment.currency}`];
  const why = `The provider's payment is of ${was}, ${wanted} were due: it confirms nothing. Return it at the provider, or collect the difference.`;
  const isNew = await insertNotes(deps.postgres, payment.key, [{ decision: 'AMOUNT_MISMATCH', why, source }]);
  if (isNew > 0)
    deps.log.error({ purchaseId: payment.key, was, wanted }, 'a payment has another amount than its order');
  return `${was} were paid for ${payment.key}, ${wanted} were due`;
}

/** Throws TerminalError where the provider took something else than what was due. */
export async function settlePaid(
  deps: PaymentDependencies,
  confirm: ConfirmPurchase,
  payment: Payment,
  paid: { amount?: number | undefined; currency?: string | undefined },
  settling: Settling,
): Promise<string> {
  const mismatch = await checkAmount(deps, payment, paid, settling.source);
  if (mismatch !== undefined) throw new TerminalError(mismatch);
  return settleMoney(deps, confirm, payment, settling);
}

export async function settleMoney(
  deps: PaymentDependencies,
  confirm: ConfirmPurchase,
  payment: Payment,
  { source, eventAt }: Settling,
): Promise<string> {
  if (payment.status === 'refunded') return 'ignored: refunded before';
  const lines = await linesOf(deps, payment);
  if (lines.length === 0) throw fault('UNAVAILABLE', `The holds of ${payment.key} are not written yet`);
  const paymentRef = payment.intentId ?? payment.paymentId;
  const verdicts = new Map<string, Verdict>();
  for (const purchaseId of await findBegunReturns(deps, payment, lines)) verdicts.set(purchaseId, 'refund');
  const open = lines.filter(({ purchaseId }) => !verdicts.has(purchaseId));
  const answers = await Promise.all(open.map(({ purchaseId }) => confirm(purchaseId, paymentRef)));
  let buyer: string | undefined;
  for (const answer of answers) {
    verdicts.set(answer.purchaseId, await verdictOf(deps, answer));
    buyer ??= answer.purchase?.buyer;
  }
  const notes = lines.flatMap(({ purchaseId, amount }): Note[] => {
    const decision = verdicts.get(purchaseId);
    if (decision === undefined || decision === 'refund') return [];
    return [{ decision, why: WHY[decision], source, purchaseId, amount }];
  });
  // Noted also where a former try has moved the payment: it may have died before it asked Redis, or Redis may have changed.
  const paid = { key: payment.key, status: 'succeeded', reason: '', notedOf: 'any' } as const;
  await movePayment(deps.postgres, { ...paid, eventAt, notes });
  const unstocked = lines.filter((line) => verdicts.get(line.purchaseId) === 'refund');
  // The money may be back already, by a person's hand, before we heard that it was paid.
  if (notes.length > 0) await followDashboard(deps, payment.key, source);
  // Redis may have been built again since it was asked, from a Postgres that knew nothing of this refund yet.
  const isDue = async (purchaseId: string): Promise<boolean> =>
    (await confirm(purchaseId, paymentRef)).decision !== 'CONFIRMED';
  const isAllBack = await giveBack(deps, payment, unstocked, { source, of: lines.length, isDue });
  const status = isAllBack ? 'refunded' : 'succeeded';
  if (buyer !== undefined) {
    await deps.feed.publishPayment({ purchaseId: payment.key, buyer, clientSecret: '', status });
  }
  if (unstocked.length === 0) return 'confirmed';
  return isAllBack
    ? 'refunded: the hold had ended and the stock was gone'
    : `confirmed: ${unstocked.length} holds refunded`;
}

/** What a former try began to give back stays so, also where Redis was built again meanwhile and knows nothing of it. */
async function findBegunReturns(
  deps: PaymentDependencies,
  payment: Payment,
  lines: readonly { purchaseId: string }[],
): Promise<string[]> {
  // Nothing is given back before the payment is written down as succeeded.
  if (payment.status !== 'succeeded') return [];
  const refunds = await Promise.all(lines.map(({ purchaseId }) => findRefund(deps.postgres, purchaseId)));
  return lines.filter((_, i) => refunds[i]?.reason === LATE).map(({ purchaseId }) => purchaseId);
}

/** Answers whether that was all of the payment. */
async function giveBack(
  deps: PaymentDependencies,
  payment: Payment,
  unstocked: readonly { purchaseId: string; amount: number }[],
  { source, of, isDue }: { source: DecisionSource; of: number; isDue(purchaseId: string): Promise<boolean> },
): Promise<boolean> {
  let returned = 0;
  for (const { purchaseId, amount } of unstocked) {
    const order = { payment, purchaseId, amount, reason: LATE, source } as const;
    const status = await refundOnce(deps, order, () => isDue(purchaseId));
    if (status === 'withdrawn') {
      const note = { decision: 'CONFIRMED_LATE', why: WHY.CONFIRMED_LATE, source, purchaseId, amount } as const;
      await insertNotes(deps.postgres, payment.key, [note]);
      continue;
    }
    // NOT_FOUND and ILLEGAL are answers too: Redis has forgotten the purchase, or an operator refunded it first.
    await deps.stock.mark([{ purchaseId, status: 'REFUNDED', reason: LATE }]);
    if (status !== 'failed' && status !== 'canceled') returned += 1;
  }
  const isAllBack = returned === of;
  if (isAllBack) await markRefunded(deps.postgres, payment.key, LATE);
  if (unstocked.length > 0)
    await clearReturns(
      deps.postgres,
      unstocked.map((line) => line.purchaseId),
    );
  return isAllBack;
}

async function verdictOf(deps: PaymentDependencies, answer: ConfirmOutcome): Promise<Verdict> {
  const { decision, purchase } = answer;
  if (decision === 'CONFIRMED') {
    // A hold keeps its deadline when it ends: who was confirmed after it had no hold any more, but for the moment until the sweep.
    const isLate = purchase !== undefined && purchase.expiresAt > 0 && purchase.updatedAt > purchase.expiresAt;
    return isLate ? 'CONFIRMED_LATE' : 'CONFIRMED';
  }
  if (decision === 'REFUND') return 'refund';
  if (decision === 'ILLEGAL') {
    throw new TerminalError(`${answer.purchaseId} was paid and was never asked to pay`);
  }
  // Redis forgets a purchase a day after its sale closed; a provider's event may be three days late.
  const status = await findPurchaseStatus(deps.postgres, answer.purchaseId);
  if (status === 'CONFIRMED') return 'CONFIRMED';
  if (status === 'EXPIRED' || status === 'CANCELLED' || status === 'REFUNDED' || status === 'SOLD_OUT') return 'refund';
  throw fault('UNAVAILABLE', `Redis does not know ${answer.purchaseId}, which should live`);
}
