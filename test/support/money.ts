// What the tests of money ask of a TestPayments again and again: to pay, for one thing or a cart, to wait for a state, to read the
// provider's books and the decisions, and to lose jobs as a lost Redis does.
import { randomId } from '../../core/ids.ts';
import type { TestPayments } from './payments.ts';
import { until } from './payments.ts';

export interface Decided {
  decision: string;
  source: string;
  amount: number;
  providerId: string;
  why: string;
}

export interface PaidCart {
  orderId: string;
  /** One in each of two sales. */
  purchaseIds: string[];
  sales: { saleId: string; sku: string }[];
  intentId: string;
}

export function moneyOf(t: TestPayments) {
  const intentsOf = (purchaseId: string) =>
    t.sandbox.intents().filter((intent) => intent.metadata['purchase_id'] === purchaseId);
  const job = { id: 'test', attempt: 1 };
  const pay = (intentId: string) => t.stripe.paymentIntents.confirm(intentId, { payment_method: 'pm_card_visa' });
  const rowBecomes = (purchaseId: string, status: string) =>
    until(async () => {
      const row = await t.paymentOf(purchaseId);
      return row?.['status'] === status && row;
    });
  return {
    ...{ job, intentsOf, pay, rowBecomes },
    /** Two units of two sales, paid as one: the provider would take a second refund of either. */
    async buyCart(): Promise<PaidCart> {
      const sales = [await t.openSale({ paymentStart: 'on_demand' }), await t.openSale({ paymentStart: 'on_demand' })];
      const orderId = randomId('ord');
      const reserved = await t.stock.reserveOrder({ orderId, items: sales.map((sale) => ({ ...sale, quantity: 1 })) });
      await t.postgres.query(
        `INSERT INTO cart_orders (order_id, user_id, status, version, total_amount, currency, created_at, updated_at)
         VALUES ($1, 'u_cart', 'CREATED', 1, 99800, 'INR', now(), now())`,
        [orderId],
      );
      await t.drain();
      const purchaseIds = reserved.purchases.map((purchase) => purchase.purchaseId);
      await t.payments.handlers['payment.start']({ purchaseIds }, job);
      const intentId = intentsOf(orderId)[0]?.id ?? '';
      await pay(intentId);
      await rowBecomes(orderId, 'succeeded');
      return { orderId, purchaseIds, sales, intentId };
    },
    refundsOf: (purchaseId: string) => {
      const ids = new Set(intentsOf(purchaseId).map((intent) => intent.id));
      return t.sandbox.refunds().filter((refund) => ids.has(refund.payment_intent));
    },
    becomes: (purchaseId: string, status: string) => until(async () => (await t.statusOf(purchaseId)) === status),
    refundRow: async (purchaseId: string) =>
      (await t.postgres.query('SELECT * FROM refunds WHERE purchase_id = $1', [purchaseId])).rows[0],
    orderStatus: async (purchaseId: string) =>
      (await t.postgres.query('SELECT status FROM orders WHERE purchase_id = $1', [purchaseId])).rows[0]?.['status'],
    /** Oldest first. */
    decisionsOf: async (purchaseId: string): Promise<Decided[]> =>
      (await t.payments.decisions({ purchaseId, limit: 100 })).toReversed(),
    /** What is enqueued while `work` runs is lost, as with a Redis that is emptied before its jobs ran. */
    async withoutJobs<T>(work: () => Promise<T>): Promise<T> {
      const { add, addBulk } = t.dependencies.queue;
      t.dependencies.queue.add = async () => {};
      t.dependencies.queue.addBulk = async () => {};
      try {
        return await work();
      } finally {
        t.dependencies.queue.add = add;
        t.dependencies.queue.addBulk = addBulk;
      }
    },
  };
}
