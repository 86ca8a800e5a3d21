// The payments slice, as the rest of the shop sees it: composes gateway, jobs and stores, and is what sales ask for a
// buyer's client secret. Money is the provider's, stock is Redis'; this slice carries news between them.
import {
  LOST_WORK_AGE_MS,
  PAYMENT_STARTS_PER_SECOND,
  SANDBOX_STARTS_PER_SECOND,
  SETTLE_ALARM_MS,
  SETTLE_POLL_AGE_MS,
  SETTLE_POLL_MAX,
} from '../../core/constants.ts';
import { fault } from '../../core/errors.ts';
import { gauge } from '../../core/metrics.ts';
import type { PaymentDependencies } from './dependencies.ts';
import { createConfirm } from './confirm.ts';
import { listDecisions } from './decision-store.ts';
import type { DecisionPage, DecisionRow } from './decision-store.ts';
import { createDeadEvents } from './dead-events.ts';
import type { DeadEvents } from './dead-events.ts';
import { listUnsettled } from './event-store.ts';
import { createPaymentHandlers } from './jobs.ts';
import type { PaymentHandlers } from './jobs.ts';
import { createReconcile } from './reconcile.ts';
import type { ReconcileOptions, ReconcileReport } from './reconcile.ts';
import { createRecover } from './recover.ts';
import type { Recovered, RecoverOptions } from './recover.ts';
import { retryRefund } from './return-money.ts';
import { createReceive, settleJobId } from './receive.ts';
import { findRefund } from './refund-store.ts';
import type { RefundRow } from './refund-store.ts';
import { findHeldLines, findOrderRefs, findOrders, findOwnedPayment, findPayments, findSecret } from './store.ts';
import type { Payment } from './store.ts';
import { createWanted } from './wanted.ts';

export { createPaymentGateway } from './gateway.ts';
export type { PaymentDependencies } from './dependencies.ts';
export type { PaymentHandlers } from './jobs.ts';
export type { DeadEvent } from './event-store.ts';
export { createDeadEvents } from './dead-events.ts';
export type { DecisionRow } from './decision-store.ts';
export type { ReconcileReport } from './reconcile.ts';
export type { Recovered, RecoverOptions } from './recover.ts';

export interface Payments {
  readonly handlers: PaymentHandlers;
  /** What the buyer of a purchase is shown; undefined while no payment was begun. */
  lookup(purchaseId: string): Promise<{ clientSecret: string | null; status: string } | undefined>;
  /** Begins the payment of a purchase that has none, once somebody asks for it. */
  onPaymentWanted(purchaseId: string): Promise<void>;
  /** Which of these purchases have a payment of their own, in whatever state. */
  begunAmong(purchaseIds: readonly string[]): Promise<ReadonlySet<string>>;
  /** By purchase id, or by order id for a cart's order. */
  find(key: string): Promise<Payment | undefined>;
  findOwned(paymentId: string): Promise<{ payment: Payment; owner: string | null; refund?: RefundRow } | undefined>;
  /** The purchases held for a cart's order, with the user whose it is; undefined when there is no such order. */
  cartOrder(orderId: string): Promise<{ userId: string; purchaseIds: string[] } | undefined>;
  /** Verifies, stores once, enqueues. Throws WEBHOOK_SIGNATURE. */
  receive(rawBody: Buffer, signature: string | undefined): Promise<void>;
  /** Gives events whose job was lost a new one; answers how many. To be run every few seconds. */
  settlePending(): Promise<number>;
  /** Finds everything of money that is undone by Postgres alone, and gives it a job. To be run every few seconds, and after a rebuild. */
  recoverLost(options?: RecoverOptions): Promise<Recovered>;
  /** Compares open payments and refunds with the provider. */
  reconcile(options?: ReconcileOptions): Promise<ReconcileReport>;
  /** What was decided and why, newest first. */
  decisions(page: DecisionPage): Promise<DecisionRow[]>;
  /** Tries a refund that failed again; answers its state at the provider. Repeating it refunds nothing twice. */
  retryRefund(purchaseId: string): Promise<string>;
  readonly dead: DeadEvents;
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
  const { postgres, queue, clock, log } = deps;
  const confirm = createConfirm(deps);
  const recover = createRecover(deps);
  let hasAlarmed = false;

  async function settlePending(): Promise<number> {
    const events = await listUnsettled(postgres, SETTLE_POLL_AGE_MS, SETTLE_POLL_MAX);
    const oldestSeconds = events[0]?.ageSeconds ?? 0;
    oldest.set(oldestSeconds);
    const isAlarming = oldestSeconds * 1000 > SETTLE_ALARM_MS;
    // Said once, when it begins: the jobs that try tell of each event themselves, but they may be what does not run.
    if (isAlarming && !hasAlarmed) log.error({ oldestSeconds }, 'payment events wait for their settlement too long');
    hasAlarmed = isAlarming;
    // A job that still exists keeps its id, so this adds only those that were lost.
    const jobs = events.map(({ eventId }) => ({ payload: { eventIds: [eventId] }, jobId: settleJobId([eventId]) }));
    await queue.addBulk('payment.settle', jobs);
    return jobs.length;
  }

  return {
    handlers: createPaymentHandlers(deps, confirm),
    receive: createReceive(deps),
    settlePending,
    recoverLost: (options = { minAgeMs: LOST_WORK_AGE_MS }) => recover(options),
    reconcile: createReconcile(deps, confirm),
    decisions: (page) => listDecisions(postgres, page),
    dead: createDeadEvents(deps),
    lookup: (purchaseId) => findSecret(postgres, purchaseId),
    onPaymentWanted: createWanted({ postgres, queue, clock }),
    begunAmong: async (purchaseIds) => new Set((await findPayments(postgres, purchaseIds)).keys()),
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
    async retryRefund(purchaseId) {
      const [orderRef] = await findOrderRefs(postgres, [purchaseId]);
      const payment = (await findPayments(postgres, [orderRef ?? purchaseId])).get(orderRef ?? purchaseId);
      if (payment === undefined) throw fault('NOT_FOUND', `There is no payment of ${purchaseId}`);
      return retryRefund(deps, payment, purchaseId);
    },
  };
}
