// A refund happens once: whatever fails on the way to the provider, whoever else does the same at the same time, and however
// late it is tried again. And every paid order can be refunded, also where no unit can go back.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { partitionOf } from '../../core/ids.ts';
import { createPayments } from '../../shop/payments/payments.ts';
import { moneyOf } from '../support/money.ts';
import { openTestPayments, type TestPayments, until } from '../support/payments.ts';
import { spoilStored } from '../support/stored-purchase.ts';

let t: TestPayments;
let m: ReturnType<typeof moneyOf>;
beforeAll(async () => {
  t = await openTestPayments();
  m = moneyOf(t);
});
afterAll(() => t.close());
beforeEach(() => void t.sandbox.behave({ reset: true }));

async function buyAndPay(sale?: { saleId: string; sku: string }): Promise<{ purchaseId: string; intentId: string }> {
  const bought = await t.buyUntilPayable(sale ?? (await t.openSale()));
  await m.pay(bought.intentId);
  await m.becomes(bought.purchaseId, 'CONFIRMED');
  await m.rowBecomes(bought.purchaseId, 'succeeded');
  await t.drain();
  return bought;
}

const refund = (key: string) => t.payments.handlers['payment.refund']({ keys: [key] }, m.job);
const release = (purchaseId: string) => t.stock.release([{ purchaseId, reason: 'REFUND' }]);
const refundsAtProvider = (intentId: string) =>
  t.sandbox.refunds().filter((one) => one.payment_intent === intentId && one.status !== 'failed');

describe('a refund', () => {
  it.each([
    ['a 500 after the work', { status: 500, times: 1, afterWork: true, path: '/v1/refunds' }],
    ['a lost answer', { status: 0, times: 1, afterWork: true, path: '/v1/refunds' }],
    ['500s without the work', { status: 500, times: 2, path: '/v1/refunds' }],
  ] as const)('of one of two paid purchases is made once after %s', async (_name, failNext) => {
    const { orderId, purchaseIds, intentId } = await m.buyCart();
    await release(purchaseIds[0] ?? '');
    t.sandbox.behave({ failNext });
    await until(() =>
      refund(orderId).then(
        () => true,
        () => false,
      ),
    );
    await refund(orderId);
    expect(refundsAtProvider(intentId)).toMatchObject([{ amount: 49_900, metadata: { purchase_id: purchaseIds[0] } }]);
    expect(await m.refundRow(purchaseIds[0] ?? '')).toMatchObject({ status: 'succeeded' });
    expect(await t.paymentOf(orderId)).toMatchObject({ status: 'succeeded' });
  });

  it('is made once by two processes that do it at the same moment, over and over', async () => {
    const { orderId, purchaseIds, intentId } = await m.buyCart();
    await release(purchaseIds[1] ?? '');
    const other = createPayments(t.dependencies);
    t.sandbox.behave({ failNext: { status: 500, times: 2, afterWork: true, path: '/v1/refunds' } });
    const tries = Array.from({ length: 8 }, (_, i) =>
      (i % 2 === 0 ? t.payments : other).handlers['payment.refund']({ keys: [orderId] }, m.job),
    );
    await Promise.allSettled(tries);
    await refund(orderId);
    expect(refundsAtProvider(intentId)).toHaveLength(1);
  });

  it('is found again after the provider has forgotten its key, among more than a hundred', async () => {
    const { orderId, purchaseIds, intentId } = await m.buyCart();
    await release(purchaseIds[0] ?? '');
    await refund(orderId);
    // Other refunds of the same payment are made after it, so it is not on the first page any more.
    for (let i = 0; i < 101; i += 1) await t.stripe.refunds.create({ payment_intent: intentId, amount: 1 });
    // The process died before it could write down what the provider had answered; a day passes.
    await t.postgres.query("UPDATE refunds SET provider_refund_id = NULL, status = 'pending' WHERE purchase_id = $1", [
      purchaseIds[0],
    ]);
    t.sandbox.behave({ forgetKeys: true });
    await refund(orderId);
    expect(refundsAtProvider(intentId).filter((one) => one.amount === 49_900)).toHaveLength(1);
    expect(await m.refundRow(purchaseIds[0] ?? '')).toMatchObject({ status: 'succeeded' });
  });

  it('that fails later is an alarm, stays failed whatever older news comes, and is retried by the operator, once', async () => {
    const { purchaseId, intentId } = await buyAndPay();
    t.sandbox.behave({ failRefunds: true });
    await release(purchaseId);
    await refund(purchaseId);
    await until(async () => (await m.refundRow(purchaseId))?.['status'] === 'failed');
    await until(async () => (await m.decisionsOf(purchaseId)).some((one) => one.decision === 'REFUND_FAILED'));
    // `refund.created`, which said "pending", comes once more.
    const { event_id: eventId } = await until(async () => {
      const { rows } = await t.postgres.query<{ event_id: string }>(
        `UPDATE payment_events SET settled_at = NULL
          WHERE type = 'refund.created' AND purchase_id = $1 AND settled_at IS NOT NULL RETURNING event_id`,
        [purchaseId],
      );
      return rows[0];
    });
    await t.payments.handlers['payment.settle']({ eventIds: [eventId] }, m.job);
    expect(await m.refundRow(purchaseId)).toMatchObject({ status: 'failed' });
    await refund(purchaseId);
    expect(refundsAtProvider(intentId)).toEqual([]);
    t.sandbox.behave({ reset: true });
    expect(await t.payments.retryRefund(purchaseId)).toBe('succeeded');
    expect(await t.payments.retryRefund(purchaseId)).toBe('succeeded');
    expect(refundsAtProvider(intentId)).toHaveLength(1);
    const names = (await m.decisionsOf(purchaseId)).map((one) => one.decision);
    expect(names.slice(2)).toEqual(['REFUND_DUE', 'REFUND_FAILED', 'REFUND_RETRIED', 'REFUNDED']);
    await expect(t.payments.retryRefund('pur_03unknown00')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('that the provider refuses is an alarm and a dead letter, and is made when it is retried', async () => {
    const { purchaseId, intentId } = await buyAndPay();
    t.sandbox.behave({ failNext: { status: 400, times: 1, path: '/v1/refunds' } });
    await release(purchaseId);
    await expect(refund(purchaseId)).rejects.toThrow('was refused');
    expect(await m.refundRow(purchaseId)).toMatchObject({ status: 'failed', provider_refund_id: null });
    await expect(refund(purchaseId)).rejects.toThrow('was refused');
    expect(refundsAtProvider(intentId)).toEqual([]);
    expect(await t.payments.retryRefund(purchaseId)).toBe('succeeded');
    await m.rowBecomes(purchaseId, 'refunded');
    expect(refundsAtProvider(intentId)).toHaveLength(1);
  });

  it('meets one that a person has made in the dashboard: the money goes back once', async () => {
    const { purchaseId, intentId } = await buyAndPay();
    t.sandbox.behave({ dropWebhooks: true });
    await t.stripe.refunds.create({ payment_intent: intentId });
    await release(purchaseId);
    await refund(purchaseId);
    expect(refundsAtProvider(intentId)).toHaveLength(1);
    expect(await m.refundRow(purchaseId)).toMatchObject({ status: 'succeeded' });
    await m.rowBecomes(purchaseId, 'refunded');
  });
});

describe('a refund of the dashboard, told by its webhook', () => {
  it('takes the order back with its units, and is written down once', async () => {
    const sale = await t.openSale({ stock: 1 });
    const { purchaseId, intentId } = await buyAndPay(sale);
    t.sandbox.behave({ repeat: 3 });
    await t.stripe.refunds.create({ payment_intent: intentId });
    await m.becomes(purchaseId, 'REFUNDED');
    await t.drain();
    await m.rowBecomes(purchaseId, 'refunded');
    expect(await m.orderStatus(purchaseId)).toBe('REFUNDED');
    expect((await t.stock.snapshot([sale.saleId]))[0]?.items[0]).toMatchObject({ available: 1, sold: 0 });
    const names = (await m.decisionsOf(purchaseId)).map((one) => one.decision);
    expect(names.filter((name) => name === 'DASHBOARD_REFUND')).toHaveLength(1);
    expect(refundsAtProvider(intentId)).toHaveLength(1);
  });
});

describe('a refund of the dashboard before anybody here heard of the payment', () => {
  it('takes the order back once the payment is settled', async () => {
    const sale = await t.openSale({ stock: 1 });
    const { purchaseId, intentId } = await t.buyUntilPayable(sale);
    t.sandbox.behave({ enabledEvents: ['refund.created'] });
    await m.pay(intentId);
    await t.stripe.refunds.create({ payment_intent: intentId });
    await until(async () => (await m.refundRow(purchaseId))?.['reason'] === 'DASHBOARD');
    expect(await t.statusOf(purchaseId)).toBe('PAYMENT_PENDING');
    await t.payments.reconcile({ minAgeMs: 0 });
    await m.becomes(purchaseId, 'REFUNDED');
    await t.drain();
    await m.rowBecomes(purchaseId, 'refunded');
    expect((await t.stock.snapshot([sale.saleId]))[0]?.items[0]).toMatchObject({ available: 1, sold: 0 });
    expect(refundsAtProvider(intentId)).toHaveLength(1);
    const names = (await m.decisionsOf(purchaseId)).map((one) => one.decision);
    expect(names).not.toContain('OPERATOR_NEEDED');
  });

  it('takes it back though the process died between the two', async () => {
    const { purchaseId, intentId } = await buyAndPay();
    t.sandbox.behave({ dropWebhooks: true });
    const refunded = await t.stripe.refunds.create({ payment_intent: intentId });
    await t.postgres.query(
      `INSERT INTO refunds (purchase_id, provider_refund_id, amount, currency, status, reason)
       VALUES ($1, $2, 49900, 'INR', 'succeeded', 'DASHBOARD')`,
      [purchaseId, refunded.id],
    );
    await t.payments.recoverLost({ minAgeMs: 0 });
    await m.becomes(purchaseId, 'REFUNDED');
    await t.drain();
    await m.rowBecomes(purchaseId, 'refunded');
  });
});

describe('an order that cannot give its units back', () => {
  it.each(['SHIPPED', 'DELIVERED'] as const)('is refunded when it is %s, and no unit moves', async (stage) => {
    const sale = await t.openSale({ stock: 2 });
    const { purchaseId, intentId } = await buyAndPay(sale);
    const orderId = `ord_${purchaseId.slice(4)}`;
    for (const to of ['PACKED', 'SHIPPED', 'DELIVERED'] as const) {
      await t.orders.move(orderId, to);
      if (to === stage) break;
    }
    const before = (await t.stock.snapshot([sale.saleId]))[0]?.items[0];
    const [first, second] = await Promise.all([t.orders.refund(orderId), t.orders.refund(orderId)]);
    expect([first.status, second.status]).toEqual(['REFUNDED', 'REFUNDED']);
    await m.rowBecomes(purchaseId, 'refunded');
    await t.orders.refund(orderId);
    expect(refundsAtProvider(intentId)).toMatchObject([{ amount: 49_900, status: 'succeeded' }]);
    expect((await t.stock.snapshot([sale.saleId]))[0]?.items[0]).toEqual(before);
    await t.drain();
    expect(await m.orderStatus(purchaseId)).toBe('REFUNDED');
  });

  it('is refunded though its job is lost with the process', async () => {
    const sale = await t.openSale();
    const { purchaseId, intentId } = await buyAndPay(sale);
    const orderId = `ord_${purchaseId.slice(4)}`;
    for (const to of ['PACKED', 'SHIPPED'] as const) await t.orders.move(orderId, to);
    // What the API's process had done when it died: the order's status, and nothing after it.
    await t.postgres.query("UPDATE purchases SET order_status = 'REFUNDED' WHERE purchase_id = $1", [purchaseId]);
    expect(await t.payments.recoverLost({ minAgeMs: 0, saleIds: [sale.saleId] })).toMatchObject({ refunds: 1 });
    await m.rowBecomes(purchaseId, 'refunded');
    expect(refundsAtProvider(intentId)).toHaveLength(1);
  });

  it('is refunded after Redis has forgotten its sale', async () => {
    const sale = await t.openSale();
    const { purchaseId, intentId } = await buyAndPay(sale);
    const orderId = `ord_${purchaseId.slice(4)}`;
    const { redis } = t.testRedis;
    await spoilStored(redis, `db:{p${partitionOf(purchaseId)}}:`, purchaseId);
    expect(await t.statusOf(purchaseId)).toBeUndefined();
    expect(await t.orders.refund(orderId)).toMatchObject({ status: 'REFUNDED' });
    await m.rowBecomes(purchaseId, 'refunded');
    expect(await m.orderStatus(purchaseId)).toBe('REFUNDED');
    expect(refundsAtProvider(intentId)).toHaveLength(1);
    expect(await t.orders.cancel(orderId)).toMatchObject({ status: 'REFUNDED' });
  });
});
