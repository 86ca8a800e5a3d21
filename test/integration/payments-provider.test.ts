// A provider that fails in every way it can: before its work, after it, or without an answer. One purchase gets one intent
// that can be paid, and one secret is shown.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openTestPayments, type TestPayments, until } from '../support/payments.ts';

let t: TestPayments;
beforeAll(async () => {
  t = await openTestPayments();
});
afterAll(() => t.close());
beforeEach(() => void t.sandbox.behave({ reset: true }));

const intentsOf = (purchaseId: string) =>
  t.sandbox.intents().filter((intent) => intent.metadata['purchase_id'] === purchaseId);

describe('a provider that fails', () => {
  it('with a 500 after doing the work leads to one intent', async () => {
    const sale = await t.openSale();
    t.sandbox.behave({ failNext: { status: 500, times: 1, afterWork: true, path: '/v1/payment_intents' } });
    const { purchaseId, intentId } = await t.buyUntilPayable(sale);
    expect(intentsOf(purchaseId).map((intent) => intent.id)).toEqual([intentId]);
    expect(await t.paymentOf(purchaseId)).toMatchObject({ attempt: 2 });
  });

  it('with 500s and nothing done leads to one intent under a new key', async () => {
    const sale = await t.openSale();
    t.sandbox.behave({ failNext: { status: 500, times: 5 } });
    const { purchaseId, intentId } = await t.buyUntilPayable(sale);
    expect(intentsOf(purchaseId).map((intent) => intent.id)).toEqual([intentId]);
  });

  it('with 429s and cut connections is asked again under the same key', async () => {
    const sale = await t.openSale();
    t.sandbox.behave({ failNext: { status: 429, times: 2 } });
    const first = await t.buyUntilPayable(sale);
    t.sandbox.behave({ failNext: { status: 0, times: 4, afterWork: true } });
    const second = await t.buyUntilPayable(sale);
    for (const { purchaseId, intentId } of [first, second]) {
      expect(intentsOf(purchaseId).map((intent) => intent.id)).toEqual([intentId]);
      expect(await t.paymentOf(purchaseId)).toMatchObject({ attempt: 1 });
    }
  });

  it('with another call under the same key under way ends nobody: the payment is begun once, and so is the refund', async () => {
    t.sandbox.behave({ failNext: { status: 409, times: 3, path: '/v1/payment_intents' } });
    const { purchaseId, intentId } = await t.buyUntilPayable(await t.openSale());
    expect(intentsOf(purchaseId).map((intent) => intent.id)).toEqual([intentId]);
    expect(await t.paymentOf(purchaseId)).toMatchObject({ attempt: 1 });
    await t.stripe.paymentIntents.confirm(intentId, { payment_method: 'pm_card_visa' });
    await until(async () => (await t.paymentOf(purchaseId))?.['status'] === 'succeeded');
    t.sandbox.behave({ failNext: { status: 409, times: 3, path: '/v1/refunds' } });
    await t.stock.release([{ purchaseId, reason: 'REFUND' }]);
    await t.drain();
    await until(async () => (await t.paymentOf(purchaseId))?.['status'] === 'refunded');
    const { rows } = await t.postgres.query('SELECT attempt FROM refunds WHERE purchase_id = $1', [purchaseId]);
    expect(rows).toEqual([{ attempt: 1 }]);
  });

  it('shows one secret although two runs of the job meet', async () => {
    const sale = await t.openSale({ paymentStart: 'on_demand' });
    const purchaseId = await t.buy(sale);
    await t.drain();
    t.sandbox.behave({ failNext: { status: 500, times: 2, afterWork: true, path: '/v1/payment_intents' } });
    const start = () => t.payments.handlers['payment.start']({ purchaseIds: [purchaseId] }, { id: 'x', attempt: 1 });
    await Promise.all([start(), start(), start()]);
    await until(() => t.news.some((one) => one.purchaseId === purchaseId));
    const shown = new Set(t.news.filter((one) => one.purchaseId === purchaseId).map((one) => one.clientSecret));
    expect(shown.size).toBe(1);
    const payable = intentsOf(purchaseId).filter((intent) => intent.status === 'requires_payment_method');
    expect(payable.map((intent) => intent.client_secret)).toEqual([...shown]);
  });
});
