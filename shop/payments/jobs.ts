// The payment jobs of the shop's job map. Each may run more than once; what makes that harmless is in the files they call.
import type { JobHandlers } from '../../core/queue/queue.ts';
import type { JobMap } from '../job-map.ts';
import { createCancel } from './cancel.ts';
import { createConfirm } from './confirm.ts';
import { createPacer } from './pacer.ts';
import type { PaymentDependencies } from './dependencies.ts';
import { returnMoney } from './return-money.ts';
import { createSettle } from './settle.ts';
import { createStart } from './start.ts';
import { findPayments } from './store.ts';

export type PaymentHandlers = Required<
  Pick<JobHandlers<JobMap>, 'payment.start' | 'payment.cancel' | 'payment.settle' | 'payment.refund'>
>;

export function createPaymentHandlers(deps: PaymentDependencies): PaymentHandlers {
  const start = createStart(deps, createPacer(deps.startsPerSecond, deps.clock));
  // One for both, so that a hold's end and its payment's event share their scripts.
  const confirm = createConfirm(deps);
  const cancel = createCancel(deps, confirm);
  const settle = createSettle(deps, confirm);
  return {
    'payment.start': ({ purchaseIds }) => start(purchaseIds),
    'payment.cancel': ({ purchaseIds }) => cancel(purchaseIds),
    'payment.settle': ({ eventIds }) => settle(eventIds),
    async 'payment.refund'({ keys }) {
      const payments = await findPayments(deps.postgres, keys);
      for (const key of keys) {
        const payment = payments.get(key);
        if (payment !== undefined) await returnMoney(deps, payment, 'ORDER_CANCELLED');
        // An operator may have confirmed it by hand.
        else deps.log.warn({ key }, 'a purchase was given back that no payment paid for');
      }
    },
  };
}
