// payment.cancel: holds that ended. An unpaid intent is canceled, so that nobody pays for what they cannot get; one that
// was paid is left to its event. Money of purchases that were given back after they had been paid is returned here too.
import { counter } from '../../core/metrics.ts';
import type { PaymentDependencies } from './dependencies.ts';
import { returnMoney } from './return-money.ts';
import { withdraw } from './start.ts';
import { findOrderRefs, findPayments } from './store.ts';
import type { Payment } from './store.ts';

const canceled = counter('doorbuster_payment_cancels_total', 'Payment intents whose hold ended, by outcome.', [
  'outcome',
]);

const OPEN: ReadonlySet<Payment['status']> = new Set(['requires_payment_method', 'processing', 'failed']);

export function createCancel(deps: PaymentDependencies): (purchaseIds: readonly string[]) => Promise<void> {
  return async (purchaseIds) => {
    const orderRefs = await findOrderRefs(deps.postgres, purchaseIds);
    const payments = await findPayments(deps.postgres, [...purchaseIds, ...orderRefs]);
    const failures: unknown[] = [];
    for (const payment of payments.values()) {
      await cancelOne(deps, payment).catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  };
}

async function cancelOne(deps: PaymentDependencies, payment: Payment): Promise<void> {
  // `starting` without an intent: payment.start looks at the hold again after its call, and withdraws it itself.
  if (payment.intentId !== null && OPEN.has(payment.status)) {
    await withdraw(deps, payment.key, payment.intentId);
    canceled.inc({ outcome: 'canceled' });
  } else if (payment.status === 'succeeded') {
    await returnMoney(deps, payment, 'CANCELLED_AFTER_PAYMENT');
  }
}
