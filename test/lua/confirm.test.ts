// confirm: a payment that succeeded. In time it buys the held units; late it takes stock again only where that wrongs
// nobody, and is to be refunded for ever otherwise.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { idOf, openTestStock, PARTITION, readCensus, saleOf, type TestStock, told } from '../support/stock.ts';

let t: TestStock;
beforeAll(async () => {
  t = await openTestStock();
});
beforeEach(() => t.reset());
afterAll(() => t.close());

const confirm = async (purchaseId: string) => (await t.stock.confirm([{ purchaseId, paymentRef: 'pi_1' }]))[0];

describe('confirm', () => {
  it('turns held units into sold ones', async () => {
    const sale = saleOf({ stock: 3, perBuyerLimit: 2 });
    await t.stock.createSale(sale);
    const [one] = await t.buy(sale.saleId, [{ quantity: 2 }]);
    expect(await confirm(idOf(one))).toMatchObject({
      decision: 'CONFIRMED',
      purchase: { status: 'CONFIRMED', reason: 'pi_1', version: 2 },
    });
    expect((await readCensus(t.stock, sale.saleId)).counters).toMatchObject({ available: 1, held: 0, sold: 2 });
    t.clock.advance(60_000);
    expect(await t.stock.expire(PARTITION)).toMatchObject({ ended: 0 });
  });

  it('ends everybody who waits for more than is left, in the same script', async () => {
    const sale = saleOf({ stock: 3, perBuyerLimit: 3, lineLimit: 99 });
    await t.stock.createSale(sale);
    const [a, b] = await t.buy(sale.saleId, [{}, { quantity: 2 }, { quantity: 3 }, {}, { quantity: 2 }, {}]);
    await confirm(idOf(a));
    const statuses = async () => (await readCensus(t.stock, sale.saleId)).purchases.map((p) => p.status);
    expect(await statuses()).toEqual(['CONFIRMED', 'RESERVED', 'SOLD_OUT', 'WAITING', 'WAITING', 'WAITING']);
    await confirm(idOf(b));
    expect(await statuses()).toEqual(['CONFIRMED', 'CONFIRMED', 'SOLD_OUT', 'SOLD_OUT', 'SOLD_OUT', 'SOLD_OUT']);
    expect((await readCensus(t.stock, sale.saleId)).counters).toMatchObject({ sold: 3, waiting: 0, head: 7 });
  });

  it('of a due hold that no sweep has ended yet is in time: the script that runs first decides', async () => {
    const sale = saleOf({ stock: 1 });
    await t.stock.createSale(sale);
    const [one] = await t.buy(sale.saleId, [{}]);
    t.clock.advance(90_000);
    expect(await confirm(idOf(one))).toMatchObject({ decision: 'CONFIRMED' });
  });

  it('late takes stock again when enough is free and nobody waits', async () => {
    const sale = saleOf({ stock: 1 });
    await t.stock.createSale(sale);
    const [one] = await t.buy(sale.saleId, [{}]);
    t.clock.advance(60_000);
    await t.stock.expire(PARTITION);
    expect(await confirm(idOf(one))).toMatchObject({ decision: 'CONFIRMED', purchase: { isRefundDue: false } });
    expect((await readCensus(t.stock, sale.saleId)).counters).toMatchObject({ available: 0, held: 0, sold: 1 });
    expect(await confirm(idOf(one))).toMatchObject({ decision: 'CONFIRMED' });
  });

  it('late is to be refunded when the units are gone, for ever', async () => {
    const sale = saleOf({ stock: 1 });
    await t.stock.createSale(sale);
    const [one] = await t.buy(sale.saleId, [{}]);
    t.clock.advance(60_000);
    const [two] = await t.buy(sale.saleId, [{}]);
    expect(told(two ? [two] : [])).toEqual(['RESERVED 2']);
    expect(await confirm(idOf(one))).toMatchObject({
      decision: 'REFUND',
      purchase: { status: 'EXPIRED', isRefundDue: true, reason: 'LATE_PAYMENT' },
    });
    await t.stock.release([{ purchaseId: idOf(two), reason: 'BUYER' }]);
    const before = await t.dump();
    expect(await confirm(idOf(one))).toMatchObject({ decision: 'REFUND' });
    expect(await t.dump()).toEqual(before);
    await t.stock.mark([{ purchaseId: idOf(one), status: 'REFUNDED' }]);
    expect(await confirm(idOf(one))).toMatchObject({ decision: 'REFUND', purchase: { status: 'REFUNDED' } });
  });

  it('late never overtakes who waits', async () => {
    const sale = saleOf({ stock: 2, perBuyerLimit: 2 });
    await t.stock.createSale(sale);
    const [one, , three] = await t.buy(sale.saleId, [{}, {}, { quantity: 2 }]);
    await t.stock.release([{ purchaseId: idOf(one), reason: 'BUYER' }]);
    // One unit is free, for the head of the line.
    expect(await confirm(idOf(one))).toMatchObject({ decision: 'REFUND' });
    expect((await t.stock.look([idOf(three)]))[0]).toMatchObject({ status: 'WAITING' });
  });

  it("late respects the buyer's limit", async () => {
    const sale = saleOf({ stock: 5 });
    await t.stock.createSale(sale);
    const [one] = await t.buy(sale.saleId, [{ buyer: 'u_a' }]);
    t.clock.advance(60_000);
    await t.stock.expire(PARTITION);
    expect(told(await t.buy(sale.saleId, [{ buyer: 'u_a' }]))).toEqual(['RESERVED 2']);
    expect(await confirm(idOf(one))).toMatchObject({ decision: 'REFUND' });
  });

  it('late counts for the limit again', async () => {
    const sale = saleOf({ stock: 5 });
    await t.stock.createSale(sale);
    const [one] = await t.buy(sale.saleId, [{ buyer: 'u_a' }]);
    await t.stock.release([{ purchaseId: idOf(one), buyer: 'u_a', reason: 'BUYER' }]);
    expect(await confirm(idOf(one))).toMatchObject({ decision: 'CONFIRMED' });
    const again = await t.buy(sale.saleId, [{ buyer: 'u_a' }]);
    expect(again).toEqual([{ kind: 'refused', code: 'LIMIT_EXCEEDED', purchaseId: idOf(one) }]);
  });

  it('works in a paused and in a closed sale, and is ILLEGAL for who never had a hold', async () => {
    const sale = saleOf({ stock: 2 });
    await t.stock.createSale(sale);
    const [one, two, three] = await t.buy(sale.saleId, [{}, {}, {}]);
    expect(await confirm(idOf(three))).toMatchObject({ decision: 'ILLEGAL' });
    await t.stock.setSaleState(sale.saleId, 'pause');
    expect(await confirm(idOf(one))).toMatchObject({ decision: 'CONFIRMED' });
    await t.stock.setSaleState(sale.saleId, 'close');
    expect(await confirm(idOf(two))).toMatchObject({ decision: 'CONFIRMED' });
    // Its line ended with the sale: money that comes all the same goes back.
    expect(await confirm(idOf(three))).toMatchObject({ decision: 'REFUND' });
  });
});
