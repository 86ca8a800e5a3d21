// The payment jobs of the shop's job map. Each may run more than once; what makes that harmless is in the files they call.
import type { JobHandlers } from '../../core/queue/queue.ts';
import type { JobMap } from '../job-map.ts';
import { createCancel } from './cancel.ts';
import type { ConfirmPurchase } from './confirm.ts';
import { createPacer } from './pacer.ts';
import type { PaymentDependencies } from './dependencies.ts';
import { followDashboard } from './refund-news.ts';
import { returnMoney } from './return-money.ts';
import { createSettle } from './settle.ts';
import { settleMoney } from './settle-money.ts';
import { createStart } from './start.ts';
import { findPayments } from './store.ts';

export type PaymentHandlers = Required<
  Pick<JobHandlers<JobMap>, 'payment.start' | 'payment.cancel' | 'payment.settle' | 'payment.refund' | 'payment.resume'>
>;

/** `confirm` is one for all, so that a hold's end, its payment's event and reconciliation share their scripts. */
export function createPaymentHandlers(deps: PaymentDependencies, confirm: ConfirmPurchase): PaymentHandlers {
  const start = createStart(deps, createPacer(deps.startsPerSecond, deps.clock));
  const cancel = createCancel(deps, confirm);
  const settle = createSettle(deps, confirm);
  return {
    'payment.start': ({ purchaseIds }) => start(purchaseIds),
    'payment.cancel': ({ purchaseIds }) => cancel(purchaseIds),
    'payment.settle': ({ eventIds }) => settle(eventIds),
    async 'payment.resume'({ keys, source }) {
      for (const payment of (await findPayments(deps.postgres, keys)).values()) {
        if (payment.status === 'succeeded') await settleMoney(deps, confirm, payment, { source });
      }
    },
    async 'payment.refund'({ keys }) {
      const payments = await findPayments(deps.postgres, keys);
      for (const key of keys) {
        const payment = payments.get(key);
        if (payment === undefined) {
          // An operator may have confirmed it by hand.
          deps.log.warn({ key }, 'a purchase was given back that no payment paid for');
          continue;
        }
        await followDashboard(deps, key, 'recovery');
        await returnMoney(deps, payment, 'ORDER_CANCELLED', 'cancellation');
      }
    },
  };
}
