// Reconciliation against a provider whose webhooks never come: what it knows and we do not is settled on the webhook's own
// path, once; what cannot be right is an alarm and confirms nothing.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fault } from '../../core/errors.ts';
import { randomId } from '../../core/ids.ts';
import { renderMetrics } from '../../core/metrics.ts';
import { createPayments } from '../../shop/payments/payments.ts';
import { moneyOf } from '../support/money.ts';
import { openTestPayments, type TestPayments, until } from '../support/payments.ts';

let t: TestPayments;
let m: ReturnType<typeof moneyOf>;
beforeAll(async () => {
  t = await openTestPayments();
  m = moneyOf(t);
});
afterAll(() => t.close());
beforeEach(() => void t.sandbox.behave({ reset: true, dropWebhooks: true }));

const reconcile = () => t.payments.reconcile({ minAgeMs: 0 });
const decisionNames = async (purchaseId: string) => (await m.decisionsOf(purchaseId)).map((one) => one.decision);

/** The provider makes the payment, and its answer is lost, however often it is asked. */
async function startUnheard(purchaseId: string): Promise<void> {
  const { gateway } = t.dependencies;
  const start: typeof gateway.start = async (...order) => {
    await gateway.start(...order);
    throw fault('UNAVAILABLE', 'no answer');
  };
  const deaf = createPayments({ ...t.dependencies, gateway: { ...gateway, start } });
  await deaf.handlers['payment.start']({ purchaseIds: [purchaseId] }, m.job);
}

describe('reconciliation', () => {
  it('settles a success that no webhook told of, once, and says so', async () => {
    const { purchaseId, intentId } = await t.buyUntilPayable(await t.openSale());
    await m.pay(intentId);
    const first = await reconcile();
    expect(first.differences).toEqual({ missed_success: 1 });
    expect(await t.statusOf(purchaseId)).toBe('CONFIRMED');
    expect(await t.paymentOf(purchaseId)).toMatchObject({ status: 'succeeded' });
    expect((await reconcile()).differences).toEqual({});
    expect(await m.decisionsOf(purchaseId)).toMatchObject([
      { decision: 'INTENT_CREATED', source: 'purchase', providerId: intentId, amount: 49_900 },
      { decision: 'MISSED_WEBHOOK', source: 'reconciliation' },
      { decision: 'CONFIRMED', source: 'reconciliation' },
    ]);
    expect(await renderMetrics()).toMatch(
      /doorbuster_reconciliation_differences_total\{[^}]*kind="missed_success"[^}]*\} 1/,
    );
  });

  it('records a failure, a processing and a cancellation that no webhook told of', async () => {
    const sale = await t.openSale();
    const [failed, slow, ended] = [
      await t.buyUntilPayable(sale),
      await t.buyUntilPayable(sale),
      await t.buyUntilPayable(sale),
    ];
    await t.stripe.paymentIntents
      .confirm(failed.intentId, { payment_method: 'pm_card_chargeDeclinedInsufficientFunds' })
      .catch(() => undefined);
    t.sandbox.behave({ processingMs: 600_000 });
    await m.pay(slow.intentId);
    await t.stripe.paymentIntents.cancel(ended.intentId);
    expect((await reconcile()).differences).toEqual({ missed_failure: 1, missed_processing: 1, missed_cancel: 1 });
    expect(await t.paymentOf(failed.purchaseId)).toMatchObject({ status: 'failed', reason: 'insufficient_funds' });
    expect(await t.statusOf(failed.purchaseId)).toBe('PAYMENT_FAILED');
    expect(await t.paymentOf(slow.purchaseId)).toMatchObject({ status: 'processing' });
    expect(await t.paymentOf(ended.purchaseId)).toMatchObject({ status: 'canceled' });
    expect((await reconcile()).differences).toEqual({});
  });

  it('leaves a payment alone whose webhook is stored and about to be settled', async () => {
    const { purchaseId, intentId } = await t.buyUntilPayable(await t.openSale());
    t.sandbox.behave({ dropWebhooks: false });
    await m.withoutJobs(async () => {
      await m.pay(intentId);
      await until(async () => {
        const stored = await t.postgres.query('SELECT 1 FROM payment_events WHERE purchase_id = $1', [purchaseId]);
        return stored.rowCount > 0;
      });
    });
    expect((await reconcile()).differences).toEqual({});
    expect(await t.statusOf(purchaseId)).toBe('PAYMENT_PENDING');
    await t.postgres.query(
      "UPDATE payment_events SET received_at = now() - interval '1 minute' WHERE purchase_id = $1",
      [purchaseId],
    );
    await t.payments.settlePending();
    await m.becomes(purchaseId, 'CONFIRMED');
    expect(await decisionNames(purchaseId)).not.toContain('MISSED_WEBHOOK');
  });

  it('never confirms another amount: it tells of it, and the purchase stays unpaid', async () => {
    const { purchaseId, intentId } = await t.buyUntilPayable(await t.openSale());
    await t.postgres.query('UPDATE payments SET amount = 49901 WHERE purchase_id = $1', [purchaseId]);
    await m.pay(intentId);
    expect((await reconcile()).differences).toEqual({ amount: 1 });
    await reconcile();
    expect(await t.statusOf(purchaseId)).toBe('PAYMENT_PENDING');
    const decided = await m.decisionsOf(purchaseId);
    expect(decided.map((one) => one.decision)).toEqual(['INTENT_CREATED', 'AMOUNT_MISMATCH']);
    expect(decided[1]?.why).toContain('49901 INR were due');
    await t.postgres.query("UPDATE payments SET status = 'canceled' WHERE purchase_id = $1", [purchaseId]);
  });

  it('adopts a payment that the provider made and whose answer was lost, while the hold lives', async () => {
    const sale = await t.openSale({ paymentStart: 'on_demand' });
    const purchaseId = await t.buy(sale);
    await t.drain();
    await expect(startUnheard(purchaseId)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await t.paymentOf(purchaseId)).toMatchObject({ status: 'starting', provider_payment_id: null });
    expect((await reconcile()).differences).toEqual({ adopted: 1 });
    await m.becomes(purchaseId, 'PAYMENT_PENDING');
    const [intent, ...others] = m.intentsOf(purchaseId);
    expect(others).toEqual([]);
    expect(await t.payments.lookup(purchaseId)).toMatchObject({ clientSecret: intent?.client_secret });
    expect(await decisionNames(purchaseId)).toEqual(['ADOPTED']);
  });

  it('withdraws such a payment when the hold has ended, and closes one that was never made', async () => {
    const sale = await t.openSale({ paymentStart: 'on_demand' });
    const [made, unmade] = [await t.buy(sale), await t.buy(sale)];
    await t.drain();
    await startUnheard(made).catch(() => undefined);
    t.sandbox.behave({ failNext: { status: 429, times: 3 } });
    await t.payments.handlers['payment.start']({ purchaseIds: [unmade] }, m.job).catch(() => undefined);
    t.sandbox.behave({ reset: true, dropWebhooks: true });
    t.clock.advance(61_000);
    await t.expireHolds();
    await reconcile();
    expect(m.intentsOf(made)).toMatchObject([{ status: 'canceled' }]);
    expect(m.intentsOf(unmade)).toEqual([]);
    expect(await t.paymentOf(made)).toMatchObject({ status: 'canceled' });
    expect(await t.paymentOf(unmade)).toMatchObject({ status: 'canceled' });
    expect(await decisionNames(made)).toEqual(['ADOPTED', 'INTENT_CANCELED']);
  });

  it("goes on with a cart's payment and with a free one that were begun and left alone", async () => {
    const [a, b, free] = [
      await t.openSale({ paymentStart: 'on_demand' }),
      await t.openSale({ paymentStart: 'on_demand' }),
      await t.openSale({ paymentStart: 'on_demand', unitPrice: 0 }),
    ];
    const orderId = randomId('ord');
    await t.stock.reserveOrder({ orderId, items: [a, b].map((sale) => ({ ...sale, quantity: 1 })) });
    const gift = await t.buy(free);
    await t.drain();
    await t.postgres.query(
      `INSERT INTO cart_orders (order_id, user_id, status, version, total_amount, currency, created_at, updated_at)
       VALUES ($1, 'u_cart', 'CREATED', 1, 99800, 'INR', now(), now())`,
      [orderId],
    );
    await t.postgres.query(
      `INSERT INTO payments (payment_id, purchase_id, order_id, attempt, amount, currency, status)
       VALUES ('pay_cart', $1, $1, 1, 99800, 'INR', 'starting'), ('pay_gift', $2, $3, 1, 0, 'INR', 'starting')`,
      [orderId, gift, `ord_${gift.slice(4)}`],
    );
    // What is free was sold already when its process died.
    await t.stock.confirm([{ purchaseId: gift, paymentRef: 'free' }]);
    await t.drain();
    await reconcile();
    await m.rowBecomes(gift, 'succeeded');
    await m.rowBecomes(orderId, 'requires_payment_method');
    expect(m.intentsOf(orderId)).toMatchObject([{ amount: 99_800 }]);
  });

  it('follows refunds on their way to their end, good or bad', async () => {
    const sale = await t.openSale();
    const paid = [await t.buyUntilPayable(sale), await t.buyUntilPayable(sale)];
    for (const { intentId } of paid) await m.pay(intentId);
    await reconcile();
    const [good, bad] = paid.map((one) => one.purchaseId) as [string, string];
    for (const purchaseId of [good, bad]) {
      t.sandbox.behave({ refundMs: 20, failRefunds: purchaseId === bad });
      await t.stock.release([{ purchaseId, reason: 'REFUND' }]);
      await t.payments.handlers['payment.refund']({ keys: [purchaseId] }, m.job);
      expect(await m.refundRow(purchaseId)).toMatchObject({ status: 'pending' });
    }
    await until(() => t.sandbox.refunds().every((refund) => refund.status !== 'pending'));
    expect((await reconcile()).differences).toMatchObject({ missed_refund: 2 });
    expect(await m.refundRow(good)).toMatchObject({ status: 'succeeded' });
    expect(await m.refundRow(bad)).toMatchObject({ status: 'failed' });
    expect(await decisionNames(good)).toContain('REFUNDED');
    expect((await m.decisionsOf(bad)).at(-1)).toMatchObject({ decision: 'REFUND_FAILED', source: 'reconciliation' });
  });

  it("finds refunds that were made in the provider's dashboard, and takes the order back", async () => {
    const sale = await t.openSale();
    const paid = [await t.buyUntilPayable(sale), await t.buyUntilPayable(sale)];
    for (const { intentId } of paid) await m.pay(intentId);
    await reconcile();
    await t.drain();
    const [whole, part] = paid.map((one) => one.purchaseId) as [string, string];
    await t.stripe.refunds.create({ payment_intent: paid[0]?.intentId ?? '' });
    await t.stripe.refunds.create({ payment_intent: paid[1]?.intentId ?? '', amount: 100 });
    expect((await reconcile()).differences).toMatchObject({ foreign_refund: 2 });
    await t.drain();
    expect(await t.statusOf(whole)).toBe('REFUNDED');
    expect(await m.orderStatus(whole)).toBe('REFUNDED');
    await m.rowBecomes(whole, 'refunded');
    expect(m.refundsOf(whole)).toHaveLength(1);
    expect(await m.orderStatus(part)).toBe('CONFIRMED');
    expect((await m.decisionsOf(part)).at(-1)).toMatchObject({ decision: 'DASHBOARD_REFUND', amount: 100 });
    await reconcile();
    expect((await decisionNames(whole)).filter((name) => name === 'DASHBOARD_REFUND')).toHaveLength(1);
  });

  it('changes nothing while the provider is away, and goes on afterwards', async () => {
    const { purchaseId, intentId } = await t.buyUntilPayable(await t.openSale());
    await m.pay(intentId);
    t.sandbox.behave({ failNext: { status: 503, times: 1_000, method: 'GET' } });
    const during = await reconcile();
    expect(during.differences).toEqual({});
    expect(during.failed).toBeGreaterThan(0);
    expect(await t.statusOf(purchaseId)).toBe('PAYMENT_PENDING');
    t.sandbox.behave({ reset: true, dropWebhooks: true });
    expect((await reconcile()).differences).toMatchObject({ missed_success: 1 });
    expect(await t.statusOf(purchaseId)).toBe('CONFIRMED');
  });
});
