// payment.cancel: holds that ended. An unpaid intent is canceled, so that nobody pays for what they cannot get. One that
// was paid in the last moment is settled at once, whether or not its event ever comes: the two meet in one settling.
// Money of purchases that were given back after they had been paid is returned here too.
import { counter } from '../../core/metrics.ts';
import type { ConfirmPurchase } from './confirm.ts';
import type { DecisionSource } from './decision-store.ts';
import type { PaymentDependencies } from './dependencies.ts';
import { returnMoney } from './return-money.ts';
import { settlePaid } from './settle-money.ts';
import { findOrderRefs, findPayments, movePayment, touchPayment } from './store.ts';
import type { Payment } from './store.ts';

const canceled = counter('doorbuster_payment_cancels_total', 'Payment intents whose hold ended, by outcome.', [
  'outcome',
]);

const OPEN: ReadonlySet<Payment['status']> = new Set(['requires_payment_method', 'processing', 'failed']);

export function createCancel(
  deps: PaymentDependencies,
  confirm: ConfirmPurchase,
): (purchaseIds: readonly string[]) => Promise<void> {
  return async (purchaseIds) => {
    const orderRefs = await findOrderRefs(deps.postgres, purchaseIds);
    const payments = await findPayments(deps.postgres, [...purchaseIds, ...orderRefs]);
    const failures: unknown[] = [];
    for (const payment of payments.values()) {
      await cancelOne(deps, confirm, payment).catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  };
}

async function cancelOne(deps: PaymentDependencies, confirm: ConfirmPurchase, payment: Payment): Promise<void> {
  if (payment.status === 'succeeded') {
    await returnMoney(deps, payment, 'CANCELLED_AFTER_PAYMENT', 'hold_ended');
    return;
  }
  // `starting` without an intent: payment.start looks at the hold again after its call, and withdraws it itself; where that
  // start has died, reconciliation finds the intent.
  if (payment.intentId === null || !OPEN.has(payment.status)) return;
  await withdrawOrSettle(deps, confirm, { ...payment, intentId: payment.intentId }, 'hold_ended');
}

/** Ends what can still be paid though its hold has ended; what was paid already is settled. Answers the intent's state. */
export async function withdrawOrSettle(
  deps: PaymentDependencies,
  confirm: ConfirmPurchase,
  payment: Payment & { intentId: string },
  source: DecisionSource,
): Promise<string> {
  if (await withdraw(deps, payment.key, payment.intentId, source)) {
    canceled.inc({ outcome: 'canceled' });
    return 'canceled';
  }
  const intent = await deps.gateway.retrieve(payment.intentId);
  if (intent?.status === 'succeeded') {
    const paid = { amount: intent.amountReceived, currency: intent.currency };
    await settlePaid(deps, confirm, payment, paid, { source, eventAt: new Date(deps.clock.now()) });
    canceled.inc({ outcome: 'paid' });
    return 'succeeded';
  }
  // The provider is at work, which may take days; the poll asks again.
  await touchPayment(deps.postgres, payment.key);
  const outcome = intent?.status ?? 'gone';
  canceled.inc({ outcome });
  return outcome;
}

/** Cancels an intent whose hold is gone. False when it was paid or is being paid. */
export async function withdraw(
  deps: Pick<PaymentDependencies, 'gateway' | 'postgres'>,
  key: string,
  intentId: string,
  source: DecisionSource,
): Promise<boolean> {
  if ((await deps.gateway.cancel(intentId)) === 'paid') return false;
  const why = 'The hold ended unpaid: the payment was withdrawn, so that nobody pays for what they cannot get.';
  const notes = [{ decision: 'INTENT_CANCELED', why, source } as const];
  await movePayment(deps.postgres, { key, status: 'canceled', reason: 'the hold ended', notes });
  return true;
}
