// Every job of money is lost, as with a Redis that comes back empty: what Postgres alone knows is enough to do what was
// promised, once, and a second look finds nothing more to do.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { moneyOf } from '../support/money.ts';
import { openTestPayments, type TestPayments, until } from '../support/payments.ts';

let t: TestPayments;
let m: ReturnType<typeof moneyOf>;
beforeAll(async () => {
  t = await openTestPayments();
  m = moneyOf(t);
});
afterAll(() => t.close());
beforeEach(() => void t.sandbox.behave({ reset: true }));

const NOTHING = { starts: 0, settles: 0, refunds: 0, cancels: 0 };
const recover = (saleId: string) => t.payments.recoverLost({ minAgeMs: 0, saleIds: [saleId] });

describe('lost work', () => {
  it('begins the payments of holds in eager sales, and of no others', async () => {
    const [eager, onDemand] = [await t.openSale(), await t.openSale({ paymentStart: 'on_demand' })];
    const [a, b, c] = await m.withoutJobs(async () => {
      const ids = [await t.buy(eager), await t.buy(eager), await t.buy(onDemand)] as const;
      await t.drain();
      return ids;
    });
    const found = await t.payments.recoverLost({ minAgeMs: 0, saleIds: [eager.saleId, onDemand.saleId] });
    expect(found).toEqual({ ...NOTHING, starts: 2 });
    await m.becomes(a, 'PAYMENT_PENDING');
    await m.becomes(b, 'PAYMENT_PENDING');
    await t.drain();
    expect(await recover(eager.saleId)).toEqual(NOTHING);
    expect([a, b].map((id) => m.intentsOf(id).length)).toEqual([1, 1]);
    expect(m.intentsOf(c)).toEqual([]);
  });

  it('goes on with a payment that was begun and has no intent, or whose buyer was not told', async () => {
    const sale = await t.openSale({ paymentStart: 'on_demand' });
    const [unasked, untold] = [await t.buy(sale), await t.buy(sale)];
    await t.drain();
    for (const purchaseId of [unasked, untold]) {
      await t.postgres.query(
        `INSERT INTO payments (payment_id, purchase_id, order_id, attempt, amount, currency, status)
         VALUES ($1, $2, $3, 1, 49900, 'INR', 'starting')`,
        [`pay_${purchaseId.slice(4)}`, purchaseId, `ord_${purchaseId.slice(4)}`],
      );
    }
    const intent = await t.stripe.paymentIntents.create(
      { amount: 49_900, currency: 'inr', metadata: { purchase_id: untold } },
      { idempotencyKey: untold },
    );
    await t.postgres.query(
      `UPDATE payments SET provider_payment_id = $2, client_secret = 's', status = 'requires_payment_method' WHERE purchase_id = $1`,
      [untold, intent.id],
    );
    expect(await recover(sale.saleId)).toEqual({ ...NOTHING, starts: 2 });
    await m.becomes(unasked, 'PAYMENT_PENDING');
    await m.becomes(untold, 'PAYMENT_PENDING');
    expect([unasked, untold].map((id) => m.intentsOf(id).length)).toEqual([1, 1]);
  });

  it('settles what was paid and is neither sold nor returned: the hold lives, stock is left, or it is refunded once', async () => {
    const sales = [await t.openSale(), await t.openSale({ stock: 1 }), await t.openSale({ stock: 1 })] as const;
    const bought = [];
    for (const sale of sales) bought.push({ sale, ...(await t.buyUntilPayable(sale)) });
    const [live, free, gone] = bought.map((one) => one.purchaseId) as [string, string, string];
    await t.buy(sales[2]);
    t.sandbox.behave({ dropWebhooks: true });
    for (const { intentId } of bought) await m.pay(intentId);
    // Postgres knows that all three were paid; whoever should have told Redis died before it did.
    await t.postgres.query("UPDATE payments SET status = 'succeeded' WHERE purchase_id = ANY($1::text[])", [
      [live, free, gone],
    ]);
    await m.withoutJobs(async () => {
      await t.stock.release([{ purchaseId: free, reason: 'BUYER' }]);
      await t.stock.release([{ purchaseId: gone, reason: 'BUYER' }]);
      await t.drain();
    });
    for (const { saleId } of sales) expect(await recover(saleId)).toMatchObject({ settles: 1 });
    await m.becomes(live, 'CONFIRMED');
    await m.becomes(free, 'CONFIRMED');
    await m.becomes(gone, 'REFUNDED');
    await m.rowBecomes(gone, 'refunded');
    await t.drain();
    for (const { saleId } of sales) expect(await recover(saleId)).toMatchObject({ settles: 0 });
    expect(m.refundsOf(gone)).toHaveLength(1);
    expect(m.refundsOf(live).concat(m.refundsOf(free))).toEqual([]);
    const names = async (id: string) => (await m.decisionsOf(id)).map((one) => `${one.decision} ${one.source}`);
    expect(await names(live)).toContain('CONFIRMED recovery');
    expect(await names(gone)).toEqual(expect.arrayContaining(['REFUND_DUE recovery', 'REFUNDED recovery']));
  });

  it('returns the money of what was taken back, and of a refund that was begun and never asked for', async () => {
    const sale = await t.openSale();
    const [job, half] = [await t.buyUntilPayable(sale), await t.buyUntilPayable(sale)];
    for (const { intentId, purchaseId } of [job, half]) {
      await m.pay(intentId);
      await m.becomes(purchaseId, 'CONFIRMED');
      await m.rowBecomes(purchaseId, 'succeeded');
    }
    await m.withoutJobs(async () => {
      for (const { purchaseId } of [job, half]) await t.stock.release([{ purchaseId, reason: 'REFUND' }]);
      await t.drain();
    });
    await t.postgres.query(
      "INSERT INTO refunds (purchase_id, amount, currency, status, reason) VALUES ($1, 49900, 'INR', 'pending', 'ORDER_CANCELLED')",
      [half.purchaseId],
    );
    expect(await recover(sale.saleId)).toMatchObject({ refunds: 2 });
    for (const { purchaseId } of [job, half]) {
      await m.rowBecomes(purchaseId, 'refunded');
      expect(m.refundsOf(purchaseId)).toHaveLength(1);
    }
    await until(async () => (await recover(sale.saleId)).refunds === 0);
  });

  it("returns the money of one of a cart's purchases, whose order goes on", async () => {
    const { orderId, purchaseIds, sales } = await m.buyCart();
    await m.withoutJobs(async () => {
      await t.stock.release([{ purchaseId: purchaseIds[0] ?? '', reason: 'REFUND' }]);
      await t.drain();
    });
    const recoverBoth = () => t.payments.recoverLost({ minAgeMs: 0, saleIds: sales.map((sale) => sale.saleId) });
    expect(await recoverBoth()).toMatchObject({ refunds: 1 });
    await until(async () => (await recoverBoth()).refunds === 0);
    expect(m.refundsOf(orderId)).toMatchObject([{ amount: 49_900, metadata: { purchase_id: purchaseIds[0] } }]);
  });

  it('withdraws what could still be paid though its hold has ended', async () => {
    const sale = await t.openSale();
    const { purchaseId, intentId } = await t.buyUntilPayable(sale);
    await m.withoutJobs(async () => {
      t.clock.advance(61_000);
      await t.expireHolds();
    });
    expect(await recover(sale.saleId)).toEqual({ ...NOTHING, cancels: 1 });
    await m.rowBecomes(purchaseId, 'canceled');
    expect(await t.stripe.paymentIntents.retrieve(intentId)).toMatchObject({ status: 'canceled' });
    expect(await recover(sale.saleId)).toEqual(NOTHING);
  });

  it('is left to its own job while it is young', async () => {
    const sale = await t.openSale();
    const { purchaseId, intentId } = await t.buyUntilPayable(sale);
    t.sandbox.behave({ dropWebhooks: true });
    await m.pay(intentId);
    await t.postgres.query("UPDATE payments SET status = 'succeeded', updated_at = now() WHERE purchase_id = $1", [
      purchaseId,
    ]);
    const filter = { minAgeMs: 3_600_000, saleIds: [sale.saleId] };
    expect(await t.payments.recoverLost(filter)).toEqual(NOTHING);
    await t.postgres.query("UPDATE payments SET updated_at = now() - interval '2 hours' WHERE purchase_id = $1", [
      purchaseId,
    ]);
    expect(await t.payments.recoverLost(filter)).toEqual({ ...NOTHING, settles: 1 });
    await m.becomes(purchaseId, 'CONFIRMED');
  });
});
