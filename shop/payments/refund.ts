// Money back, exactly once a purchase: the row first, then the provider under a key of the purchase, and where a former
// try may have got through, a look before another. Whoever runs second finds the first one's refund.
import { PAYMENT_START_TRIES } from '../../core/constants.ts';
import { fault } from '../../core/errors.ts';
import { counter } from '../../core/metrics.ts';
import { TerminalError } from '../../core/queue/queue.ts';
import type { DecisionSource, Note } from './decision-store.ts';
import type { PaymentDependencies } from './dependencies.ts';
import type { ProviderRefund } from './gateway-refunds.ts';
import { toProviderAmount } from './provider-amount.ts';
import { failRefund, openRefund, raiseRefundAttempt, saveRefund, withdrawRefund } from './refund-store.ts';
import type { Payment } from './store.ts';

const refunded = counter('doorbuster_payment_refunds_total', 'Refunds made, by reason.', ['reason']);

/** Why money goes back, as a merchant reads it. */
const SENTENCES = {
  LATE_PAYMENT: 'The payment came after the hold had ended, and no unit was left for it.',
  CANCELLED_AFTER_PAYMENT: 'The purchase had been paid and was given back.',
  ORDER_CANCELLED: 'The paid order was taken back.',
  DASHBOARD: "The money was returned in the provider's dashboard.",
} as const;

export type RefundReason = keyof typeof SENTENCES;

export interface RefundOrder {
  payment: Payment;
  purchaseId: string;
  amount: number;
  reason: RefundReason;
  source: DecisionSource;
}

type RefundDependencies = Pick<PaymentDependencies, 'postgres' | 'gateway' | 'log'>;

/**
 * Answers the refund's state at the provider, or 'withdrawn' where `isStillDue` says no: it is asked when the row is written
 * and the provider is not asked yet. Throws UNAVAILABLE to be run again, TerminalError where a person must look.
 */
export async function refundOnce(
  deps: RefundDependencies,
  order: RefundOrder,
  isStillDue: () => Promise<boolean> = async () => true,
): Promise<string> {
  const { postgres } = deps;
  const { payment, purchaseId, amount, reason, source } = order;
  const { intentId, currency } = payment;
  const due: Note = { decision: 'REFUND_DUE', why: SENTENCES[reason], source, purchaseId, amount };
  const { refund, isNew } = await openRefund(postgres, { purchaseId, amount, currency, reason }, [due]);
  if (refund.providerRefundId !== null) return refund.status;
  if (refund.amount === 0) {
    await saveRefund(postgres, { purchaseId, refundId: `free_${purchaseId}`, status: 'succeeded', notes: [] });
    return 'succeeded';
  }
  if (intentId === null) throw new TerminalError(`The payment of ${purchaseId} has no intent to refund`);
  if (refund.status === 'failed') throw new TerminalError(`The refund of ${purchaseId} was refused before`);
  const known = isNew ? undefined : await adopt(deps, order, intentId, false);
  if (known !== undefined) return known;
  if (!(await isStillDue())) {
    await withdrawRefund(postgres, purchaseId);
    return 'withdrawn';
  }
  for (let attempt = refund.attempt; attempt < refund.attempt + PAYMENT_START_TRIES; attempt += 1) {
    const outcome = await deps.gateway.refund({ purchaseId, intentId, amount: refund.amount, currency, attempt });
    if (outcome.kind === 'refund') return save(deps, order, outcome.refund, SENTENCES[reason]);
    // The failure may have come after the work; and a charge that is refunded already was so by us, or by a person.
    const status = await adopt(deps, order, intentId, outcome.kind === 'refused');
    if (status !== undefined) return status;
    if (outcome.kind === 'refused') return refuse(deps, order, outcome.reason);
    await raiseRefundAttempt(postgres, purchaseId, attempt);
  }
  throw fault('UNAVAILABLE', `The payment provider failed to refund ${purchaseId}`);
}

/** What the provider says of a refund, as a note; nothing while it is under way. */
export function notesOf(
  refund: Pick<ProviderRefund, 'refundId' | 'status' | 'failure'>,
  facts: Omit<Note, 'decision'>,
) {
  const { refundId: providerId, status, failure } = refund;
  if (status === 'succeeded') return [{ ...facts, decision: 'REFUNDED' as const, providerId }];
  if (status !== 'failed' && status !== 'canceled') return [];
  const why = `The refund ${status === 'failed' ? 'failed' : 'was canceled'} at the provider${failure === '' ? '' : ` (${failure})`}: the buyer has no money yet. Retry it, or return the money by another way.`;
  return [{ ...facts, decision: 'REFUND_FAILED' as const, providerId, why }];
}

async function save(deps: RefundDependencies, order: RefundOrder, refund: ProviderRefund, why: string) {
  const { payment, purchaseId, amount, reason, source } = order;
  const notes = notesOf(refund, { why, source, purchaseId, amount });
  const { refundId, status } = refund;
  if (!(await saveRefund(deps.postgres, { purchaseId, refundId, status, notes }))) {
    deps.log.error({ purchaseId, refundId }, 'a purchase has two refunds at the provider');
  }
  refunded.inc({ reason });
  const facts = { purchaseId, paymentId: payment.paymentId, refundId, amount, currency: payment.currency, reason };
  deps.log.warn(facts, 'a payment was refunded');
  return status;
}

/** A refund that is there already: of ours, or (`isForeignToo`) those of a person in the dashboard that return it all. */
async function adopt(
  deps: RefundDependencies,
  order: RefundOrder,
  intentId: string,
  isForeignToo: boolean,
): Promise<string | undefined> {
  const { payment, purchaseId, amount } = order;
  const there = await deps.gateway.refundsOf(intentId);
  const mine = there.find((refund) => refund.purchaseId === purchaseId);
  if (mine !== undefined) return save(deps, order, mine, SENTENCES[order.reason]);
  if (!isForeignToo || payment.key !== purchaseId) return undefined;
  const [newest] = there;
  const returned = there.reduce((sum, refund) => sum + refund.amount, 0);
  if (newest === undefined || returned < toProviderAmount(amount, payment.currency)) return undefined;
  return save(deps, order, newest, SENTENCES.DASHBOARD);
}

async function refuse(deps: RefundDependencies, order: RefundOrder, reason: string): Promise<never> {
  const { purchaseId, amount, source } = order;
  const why = `The provider refuses the refund (${reason}): the buyer has no money yet. Retry it, or return the money by another way.`;
  await failRefund(deps.postgres, purchaseId, [{ decision: 'REFUND_FAILED', why, source, purchaseId, amount }]);
  throw new TerminalError(`The refund of ${purchaseId} was refused: ${reason}`);
}
