// What the tests of money ask of a TestPayments again and again: to pay, to wait for a state, to read the provider's books and
// the decisions, and to lose jobs as a lost Redis does.
import type { TestPayments } from './payments.ts';
import { until } from './payments.ts';

export interface Decided {
  decision: string;
  source: string;
  amount: number;
  providerId: string;
  why: string;
}

export function moneyOf(t: TestPayments) {
  const intentsOf = (purchaseId: string) =>
    t.sandbox.intents().filter((intent) => intent.metadata['purchase_id'] === purchaseId);
  return {
    job: { id: 'test', attempt: 1 },
    intentsOf,
    refundsOf: (purchaseId: string) => {
      const ids = new Set(intentsOf(purchaseId).map((intent) => intent.id));
      return t.sandbox.refunds().filter((refund) => ids.has(refund.payment_intent));
    },
    pay: (intentId: string) => t.stripe.paymentIntents.confirm(intentId, { payment_method: 'pm_card_visa' }),
    becomes: (purchaseId: string, status: string) => until(async () => (await t.statusOf(purchaseId)) === status),
    rowBecomes: (purchaseId: string, status: string) =>
      until(async () => {
        const row = await t.paymentOf(purchaseId);
        return row?.['status'] === status && row;
      }),
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
