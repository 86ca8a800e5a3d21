// The payments slice, as the rest of the shop sees it: composes gateway, jobs and stores, and is what sales ask for a
// buyer's client secret. Money is the provider's, stock is Redis'; this slice carries news between them.
import {
  CANCEL_POLL_AGE_MS,
  PAYMENT_STARTS_PER_SECOND,
  SANDBOX_STARTS_PER_SECOND,
  SETTLE_POLL_AGE_MS,
  SETTLE_POLL_MAX,
} from '../../core/constants.ts';
import { fault } from '../../core/errors.ts';
import { gauge } from '../../core/metrics.ts';
import type { PaymentDependencies } from './dependencies.ts';
import { listUnsettled } from './event-store.ts';
import { createPaymentHandlers } from './jobs.ts';
import type { PaymentHandlers } from './jobs.ts';
import { returnMoney } from './return-money.ts';
import { createReceive, settleJobId } from './receive.ts';
import { findRefund } from './refund-store.ts';
import type { RefundRow } from './refund-store.ts';
import { findHeldLines, findOrders, findOwnedPayment, findPayments, findSecret, listEndedPayments } from './store.ts';
import type { Payment } from './store.ts';
import { createWanted } from './wanted.ts';

export { createPaymentGateway } from './gateway.ts';
export type { PaymentDependencies } from './dependencies.ts';
export type { PaymentHandlers } from './jobs.ts';

export interface Payments {
  readonly handlers: PaymentHandlers;
  /** What the buyer of a purchase is shown; undefined while no payment was begun. */
  lookup(purchaseId: string): Promise<{ clientSecret: string | null; status: string } | undefined>;
  /** Begins the payment of a purchase that has none, once somebody asks for it. */
  onPaymentWanted(purchaseId: string): Promise<void>;
  /** By purchase id, or by order id for a cart's order. */
  find(key: string): Promise<Payment | undefined>;
  findOwned(paymentId: string): Promise<{ payment: Payment; owner: string | null; refund?: RefundRow } | undefined>;
  /** The purchases held for a cart's order, with the user whose it is; undefined when there is no such order. */
  cartOrder(orderId: string): Promise<{ userId: string; purchaseIds: string[] } | undefined>;
  /** Verifies, stores once, enqueues. Throws WEBHOOK_SIGNATURE. */
  receive(rawBody: Buffer, signature: string | undefined): Promise<void>;
  /** Gives events and ended holds whose job was lost a new one; answers how many events. To be run every few seconds. */
  settlePending(): Promise<number>;
  /** Returns the money of purchases that Redis calls REFUNDED; answers how many. Throws when the provider is away. */
  refund(key: string, reason: string): Promise<number>;
}

/** The rate for one of `processes` that start payments: the provider's limit, or what the bundled sandbox can do. */
export function startsPerSecond(stripe: { apiBase?: string }, processes = 1): number {
  return (
    (stripe.apiBase === undefined ? PAYMENT_STARTS_PER_SECOND : SANDBOX_STARTS_PER_SECOND) / Math.max(1, processes)
  );
}

const oldest = gauge(
  'doorbuster_payment_event_oldest_seconds',
  'Age of the oldest provider event that is not settled.',
);

export function createPayments(deps: PaymentDependencies): Payments {
  const { postgres, queue, clock } = deps;

  async function settlePending(): Promise<number> {
    const events = await listUnsettled(postgres, SETTLE_POLL_AGE_MS, SETTLE_POLL_MAX);
    oldest.set(events[0]?.ageSeconds ?? 0);
    // A job that still exists keeps its id, so this adds only those that were lost.
    const jobs = events.map(({ eventId }) => ({ payload: { eventIds: [eventId] }, jobId: settleJobId([eventId]) }));
    await queue.addBulk('payment.settle', jobs);
    await cancelEnded();
    return jobs.length;
  }

  /** Orders that ended while their payment can still be made: the job that should have canceled it was lost. */
  async function cancelEnded(): Promise<void> {
    const ended = await listEndedPayments(postgres, CANCEL_POLL_AGE_MS, SETTLE_POLL_MAX);
    const jobs = ended.map((id) => ({ payload: { purchaseIds: [id] }, jobId: `cancel-${id}` }));
    await queue.addBulk('payment.cancel', jobs);
  }

  return {
    handlers: createPaymentHandlers(deps),
    receive: createReceive(deps),
    settlePending,
    lookup: (purchaseId) => findSecret(postgres, purchaseId),
    onPaymentWanted: createWanted({ postgres, queue, clock }),
    find: async (key) => (await findPayments(postgres, [key])).get(key),
    async cartOrder(orderId) {
      const order = (await findOrders(postgres, [orderId])).get(orderId);
      if (order === undefined) return undefined;
      const lines = await findHeldLines(postgres, [orderId]);
      return { userId: order.userId, purchaseIds: lines.map((line) => line.purchaseId) };
    },
    async findOwned(paymentId) {
      const found = await findOwnedPayment(postgres, paymentId);
      if (found === undefined) return undefined;
      const refund = await findRefund(postgres, found.payment.key);
      return refund === undefined ? found : { ...found, refund };
    },
    async refund(key, reason) {
      const payment = (await findPayments(postgres, [key])).get(key);
      if (payment === undefined) throw fault('NOT_FOUND', `There is no payment of ${key}`);
      return returnMoney(deps, payment, reason);
    },
  };
}
