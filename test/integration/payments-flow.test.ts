// A purchase's payment from the hold to the money, with everything real. What must hold: one intent a purchase, one charge,
// one refund at most, and no unit or payment lost, in whatever order and number the provider's events come.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openTestPayments, type TestPayments, until } from '../support/payments.ts';

let t: TestPayments;
beforeAll(async () => {
  t = await openTestPayments();
});
afterAll(() => t.close());
beforeEach(() => {
  t.sandbox.behave({ reset: true });
  t.news.length = 0;
});

const intentsOf = (purchaseId: string) =>
  t.sandbox.intents().filter((intent) => intent.metadata['purchase_id'] === purchaseId);
const refundsOf = (purchaseId: string) =>
  t.sandbox.refunds().filter((refund) => refund.metadata['purchase_id'] === purchaseId);
const pay = (intentId: string) => t.stripe.paymentIntents.confirm(intentId, { payment_method: 'pm_card_visa' });
const becomes = (purchaseId: string, status: string) => until(async () => (await t.statusOf(purchaseId)) === status);
const rowBecomes = (purchaseId: string, status: string) =>
  until(async () => {
    const row = await t.paymentOf(purchaseId);
    return row?.['status'] === status && row;
  });
const settledCount = async (intentId: string, type: string) => {
  const { rowCount } = await t.postgres.query(
    'SELECT 1 FROM payment_events WHERE provider_payment_id = $1 AND type = $2 AND settled_at IS NOT NULL',
    [intentId, type],
  );
  return rowCount;
};
const countsOf = async (saleId: string) => (await t.stock.snapshot([saleId]))[0]?.items[0];

describe('a payment', () => {
  it('starts when the order is written, is paid, and confirms the purchase', async () => {
    const sale = await t.openSale();
    const { purchaseId, intentId } = await t.buyUntilPayable(sale, 'u_flow');
    const [intent] = intentsOf(purchaseId);
    expect(intent).toMatchObject({
      amount: 49_900,
      currency: 'inr',
      metadata: { purchase_id: purchaseId, order_id: `ord_${purchaseId.slice(4)}`, sale_id: sale.saleId },
    });
    expect(await t.payments.lookup(purchaseId)).toEqual({
      clientSecret: intent?.client_secret,
      status: 'requires_payment_method',
    });
    const [news] = await until(() => t.news.length > 0 && t.news);
    expect(news).toEqual({
      purchaseId,
      buyer: 'u_flow',
      clientSecret: intent?.client_secret,
      status: 'requires_payment_method',
    });
    await pay(intentId);
    await becomes(purchaseId, 'CONFIRMED');
    await rowBecomes(purchaseId, 'succeeded');
    await t.drain();
    const { rows } = await t.postgres.query('SELECT status FROM orders WHERE purchase_id = $1', [purchaseId]);
    expect(rows).toEqual([{ status: 'CONFIRMED' }]);
    expect(await countsOf(sale.saleId)).toMatchObject({ loaded: 10, available: 9, held: 0, sold: 1 });
    expect(refundsOf(purchaseId)).toEqual([]);
  });

  it('of a sale on demand starts when the buyer asks, once, however often they ask', async () => {
    const sale = await t.openSale({ paymentStart: 'on_demand' });
    const purchaseId = await t.buy(sale);
    // Asked for before the order is written: it waits for the order.
    await t.payments.onPaymentWanted(purchaseId);
    await t.payments.onPaymentWanted(purchaseId);
    await t.drain();
    await becomes(purchaseId, 'PAYMENT_PENDING');
    await t.payments.handlers['payment.start']({ purchaseIds: [purchaseId] }, { id: 'x', attempt: 1 });
    expect(intentsOf(purchaseId)).toHaveLength(1);
  });

  it('that fails can be tried again with the same intent', async () => {
    const sale = await t.openSale();
    const { purchaseId, intentId } = await t.buyUntilPayable(sale);
    await t.stripe.paymentIntents
      .confirm(intentId, { payment_method: 'pm_card_chargeDeclinedInsufficientFunds' })
      .catch(() => undefined);
    await becomes(purchaseId, 'PAYMENT_FAILED');
    expect(await rowBecomes(purchaseId, 'failed')).toMatchObject({ reason: 'insufficient_funds' });
    expect((await t.payments.lookup(purchaseId))?.clientSecret).toBeTruthy();
    await pay(intentId);
    await becomes(purchaseId, 'CONFIRMED');
    await rowBecomes(purchaseId, 'succeeded');
    expect(intentsOf(purchaseId)).toHaveLength(1);
  });

  it('of nothing is confirmed without the provider', async () => {
    const sale = await t.openSale({ unitPrice: 0 });
    const purchaseId = await t.buy(sale);
    await t.drain();
    await becomes(purchaseId, 'CONFIRMED');
    await rowBecomes(purchaseId, 'succeeded');
    expect(intentsOf(purchaseId)).toEqual([]);
  });

  it('that the provider refuses ends that purchase alone', async () => {
    const dear = await t.openSale({ unitPrice: 100_000_000 });
    const cheap = await t.openSale();
    const [refused, fine] = [await t.buy(dear), await t.buy(cheap)];
    await t.drain();
    await t.payments.handlers['payment.start']({ purchaseIds: [refused, fine] }, { id: 'x', attempt: 1 });
    expect((await rowBecomes(refused, 'refused'))['reason']).toContain('amount_too_large');
    await becomes(refused, 'CANCELLED');
    await becomes(fine, 'PAYMENT_PENDING');
    expect(await countsOf(dear.saleId)).toMatchObject({ available: 10, held: 0 });
  });
});

describe('a hold that ends', () => {
  it('has its intent canceled, and nobody can pay it any more', async () => {
    const sale = await t.openSale();
    const { purchaseId, intentId } = await t.buyUntilPayable(sale);
    t.clock.advance(61_000);
    await t.expireHolds();
    await rowBecomes(purchaseId, 'canceled');
    expect(await t.stripe.paymentIntents.retrieve(intentId)).toMatchObject({ status: 'canceled' });
    await expect(pay(intentId)).rejects.toMatchObject({ code: 'payment_intent_unexpected_state' });
    expect(await t.statusOf(purchaseId)).toBe('EXPIRED');
  });

  it('has its intent canceled by the poll when the job was lost', async () => {
    const sale = await t.openSale();
    const { purchaseId, intentId } = await t.buyUntilPayable(sale);
    const { addBulk } = t.dependencies.queue;
    t.dependencies.queue.addBulk = async () => {};
    t.clock.advance(61_000);
    await t.expireHolds();
    t.dependencies.queue.addBulk = addBulk;
    await t.payments.recoverLost();
    expect(await t.paymentOf(purchaseId)).toMatchObject({ status: 'requires_payment_method' });
    await t.postgres.query("UPDATE payments SET updated_at = now() - interval '2 minutes' WHERE purchase_id = $1", [
      purchaseId,
    ]);
    await t.payments.recoverLost();
    await rowBecomes(purchaseId, 'canceled');
    expect(await t.stripe.paymentIntents.retrieve(intentId)).toMatchObject({ status: 'canceled' });
  });

  it('before its intent exists leaves nothing to pay', async () => {
    const sale = await t.openSale({ paymentStart: 'on_demand' });
    const purchaseId = await t.buy(sale);
    await t.drain();
    t.clock.advance(61_000);
    await t.expireHolds();
    await t.payments.handlers['payment.start']({ purchaseIds: [purchaseId] }, { id: 'x', attempt: 1 });
    expect(intentsOf(purchaseId)).toEqual([]);
  });

  it('while its intent is being made has it withdrawn, and its secret shown to nobody', async () => {
    const sale = await t.openSale({ paymentStart: 'on_demand' });
    const purchaseId = await t.buy(sale);
    await t.drain();
    const { createPayments } = await import('../../shop/payments/payments.ts');
    const gateway = t.dependencies.gateway;
    const slow = createPayments({
      ...t.dependencies,
      gateway: {
        ...gateway,
        async start(order, attempt, since) {
          const outcome = await gateway.start(order, attempt, since);
          await t.stock.release([{ purchaseId, reason: 'BUYER' }]);
          return outcome;
        },
      },
    });
    await slow.handlers['payment.start']({ purchaseIds: [purchaseId] }, { id: 'x', attempt: 1 });
    expect(intentsOf(purchaseId)).toMatchObject([{ status: 'canceled' }]);
    expect(await t.paymentOf(purchaseId)).toMatchObject({ status: 'canceled' });
    expect(t.news.filter((one) => one.purchaseId === purchaseId)).toEqual([]);
  });
});

describe('a payment after its hold ended', () => {
  /** Paid in the last moment: the hold expires before the event arrives, and who waits in the line gets the unit. */
  async function payLate(sale: { saleId: string; sku: string }, options: { isNextInLine: boolean }) {
    const { purchaseId, intentId } = await t.buyUntilPayable(sale);
    const next = options.isNextInLine ? await t.buy(sale) : '';
    t.door.isOpen = false;
    t.sandbox.behave({ repeat: 3 });
    await pay(intentId);
    t.clock.advance(61_000);
    await t.expireHolds();
    t.door.isOpen = true;
    return { purchaseId, intentId, next };
  }

  it('takes stock again when it is there', async () => {
    const sale = await t.openSale({ stock: 1 });
    const { purchaseId } = await payLate(sale, { isNextInLine: false });
    await becomes(purchaseId, 'CONFIRMED');
    await rowBecomes(purchaseId, 'succeeded');
    expect((await t.payments.decisions({ purchaseId, limit: 1 }))[0]).toMatchObject({ decision: 'CONFIRMED_LATE' });
    expect(await countsOf(sale.saleId)).toMatchObject({ available: 0, held: 0, sold: 1 });
    expect(refundsOf(purchaseId)).toEqual([]);
  });

  it('is refunded exactly once when the stock is gone, although the event comes three times', async () => {
    const sale = await t.openSale({ stock: 1 });
    const { purchaseId, intentId, next: other } = await payLate(sale, { isNextInLine: true });
    await becomes(purchaseId, 'REFUNDED');
    expect(await rowBecomes(purchaseId, 'refunded')).toMatchObject({ reason: 'LATE_PAYMENT' });
    await until(async () => (await settledCount(intentId, 'payment_intent.succeeded')) === 1);
    // A second event of the same payment, as after a redelivery under a new id, changes nothing either.
    await t.postgres.query('UPDATE payment_events SET settled_at = NULL WHERE provider_payment_id = $1', [intentId]);
    await t.postgres.query("UPDATE payments SET status = 'requires_payment_method' WHERE purchase_id = $1", [
      purchaseId,
    ]);
    const { rows } = await t.postgres.query<{ event_id: string }>(
      "SELECT event_id FROM payment_events WHERE provider_payment_id = $1 AND type = 'payment_intent.succeeded'",
      [intentId],
    );
    await t.payments.handlers['payment.settle']({ eventIds: [rows[0]?.event_id ?? ''] }, { id: 'x', attempt: 1 });
    expect(refundsOf(purchaseId)).toMatchObject([{ amount: 49_900, status: 'succeeded' }]);
    expect(await countsOf(sale.saleId)).toMatchObject({ available: 0, held: 1, sold: 0 });
    expect(await t.statusOf(other)).not.toBe('EXPIRED');
    const refund = await t.postgres.query('SELECT amount, status, reason FROM refunds WHERE purchase_id = $1', [
      purchaseId,
    ]);
    expect(refund.rows).toEqual([{ amount: 49_900, status: 'succeeded', reason: 'LATE_PAYMENT' }]);
    expect(t.news.filter((one) => one.purchaseId === purchaseId).at(-1)).toMatchObject({
      status: 'refunded',
      clientSecret: '',
    });
  });

  it('is settled although its event never comes', async () => {
    t.sandbox.behave({ dropWebhooks: true });
    const [lucky, late] = [await t.openSale({ stock: 1 }), await t.openSale({ stock: 1 })];
    const first = await t.buyUntilPayable(lucky);
    const second = await t.buyUntilPayable(late);
    await t.buy(late);
    await pay(first.intentId);
    await pay(second.intentId);
    t.clock.advance(61_000);
    await t.expireHolds();
    await becomes(first.purchaseId, 'CONFIRMED');
    await rowBecomes(first.purchaseId, 'succeeded');
    await becomes(second.purchaseId, 'REFUNDED');
    await rowBecomes(second.purchaseId, 'refunded');
    expect(refundsOf(second.purchaseId)).toHaveLength(1);
    const { rowCount } = await t.postgres.query(
      'SELECT 1 FROM payment_events WHERE provider_payment_id = ANY($1::text[])',
      [[first.intentId, second.intentId]],
    );
    expect(rowCount).toBe(0);
  });

  it('is refunded once when the provider fails after it has done the refund', async () => {
    const sale = await t.openSale({ stock: 1 });
    t.sandbox.behave({ failNext: { status: 500, times: 1, afterWork: true, path: '/v1/refunds' } });
    const { purchaseId } = await payLate(sale, { isNextInLine: true });
    await rowBecomes(purchaseId, 'refunded');
    expect(refundsOf(purchaseId)).toHaveLength(1);
  });
});
