// Money back, exactly once a purchase: the row first, then the provider under a key of the purchase, and where a former
// try may have got through, a look before another. Whoever runs second finds the first one's refund.
import { PAYMENT_START_TRIES } from '../../core/constants.ts';
import { fault } from '../../core/errors.ts';
import { counter } from '../../core/metrics.ts';
import { TerminalError } from '../../core/queue/queue.ts';
import type { PaymentDependencies } from './dependencies.ts';
import { openRefund, raiseRefundAttempt, saveRefund } from './refund-store.ts';
import type { Payment } from './store.ts';

const refunded = counter('doorbuster_payment_refunds_total', 'Refunds made, by reason.', ['reason']);

export interface RefundOrder {
  payment: Payment;
  purchaseId: string;
  amount: number;
  /** For the merchant: why the money went back, such as LATE_PAYMENT. */
  reason: string;
}

/** Answers the refund's state at the provider. Throws UNAVAILABLE to be run again, TerminalError where a person must look. */
export async function refundOnce(
  deps: Pick<PaymentDependencies, 'postgres' | 'gateway' | 'log'>,
  order: RefundOrder,
): Promise<string> {
  const { postgres, gateway, log } = deps;
  const { payment, purchaseId, amount, reason } = order;
  const { intentId, currency } = payment;
  if (amount === 0) {
    await openRefund(postgres, { purchaseId, amount, currency, reason });
    await saveRefund(postgres, purchaseId, `free_${purchaseId}`, 'succeeded');
    return 'succeeded';
  }
  if (intentId === null) throw new TerminalError(`The payment of ${purchaseId} has no intent to refund`);
  const { refund, isNew } = await openRefund(postgres, { purchaseId, amount, currency, reason });
  if (refund.providerRefundId !== null) return refund.status;
  const adopt = async (): Promise<string | undefined> => {
    const known = await gateway.findRefund(intentId, purchaseId);
    if (known === undefined) return undefined;
    await saveRefund(postgres, purchaseId, known.refundId, known.status);
    return known.status;
  };
  if (!isNew) {
    const status = await adopt();
    if (status !== undefined) return status;
  }
  for (let attempt = refund.attempt; attempt < refund.attempt + PAYMENT_START_TRIES; attempt += 1) {
    const outcome = await gateway.refund({ purchaseId, intentId, amount: refund.amount, currency, attempt });
    if (outcome.kind === 'refund') {
      await saveRefund(postgres, purchaseId, outcome.refundId, outcome.status);
      refunded.inc({ reason });
      log.warn({ purchaseId, paymentId: payment.paymentId, amount, currency, reason }, 'a payment was refunded');
      return outcome.status;
    }
    // The failure may have come after the work; and a charge that is refunded already was so by us, or by a person.
    const status = await adopt();
    if (status !== undefined) return status;
    if (outcome.kind === 'refused')
      throw new TerminalError(`The refund of ${purchaseId} was refused: ${outcome.reason}`);
    await raiseRefundAttempt(postgres, purchaseId, attempt);
  }
  throw fault('UNAVAILABLE', `The payment provider failed to refund ${purchaseId}`);
}
