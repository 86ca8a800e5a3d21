// The payment jobs of the shop's job map. Each may run more than once; what makes that harmless is in the files they call.
import type { JobHandlers } from '../../core/queue/queue.ts';
import type { JobMap } from '../job-map.ts';
import { createCancel } from './cancel.ts';
import { createPacer } from './pacer.ts';
import type { PaymentDependencies } from './dependencies.ts';
import { createSettle } from './settle.ts';
import { createStart } from './start.ts';

export type PaymentHandlers = Required<
  Pick<JobHandlers<JobMap>, 'payment.start' | 'payment.cancel' | 'payment.settle'>
>;

export function createPaymentHandlers(deps: PaymentDependencies): PaymentHandlers {
  const start = createStart(deps, createPacer(deps.startsPerSecond, deps.clock));
  const cancel = createCancel(deps);
  const settle = createSettle(deps);
  return {
    'payment.start': ({ purchaseIds }) => start(purchaseIds),
    'payment.cancel': ({ purchaseIds }) => cancel(purchaseIds),
    'payment.settle': ({ eventId }) => settle(eventId),
  };
}
