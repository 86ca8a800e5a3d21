// release and mark: what a buyer, an operator or a payment says of a purchase between its hold and its end.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { idOf, openTestStock, PARTITION, readCensus, saleOf, type TestStock, told } from '../support/stock.ts';

let t: TestStock;
beforeAll(async () => {
  t = await openTestStock();
});
beforeEach(() => t.reset());
afterAll(() => t.close());

const statuses = async (saleId: string) => (await readCensus(t.stock, saleId)).purchases.map((p) => p.status);

describe('release', () => {
  it('gives the units of a hold to the head of the line, not to whoever asks next', async () => {
    const sale = saleOf({ stock: 1 });
    await t.stock.createSale(sale);
    const [one] = await t.buy(sale.saleId, [{ buyer: 'u_1' }, {}, {}]);
    expect(await t.stock.release([{ purchaseId: idOf(one), buyer: 'u_1', reason: 'BUYER' }])).toMatchObject([
      { outcome: 'RELEASED', purchase: { status: 'CANCELLED', reason: 'BUYER' } },
    ]);
    expect(told(await t.buy(sale.saleId, [{}]))).toEqual(['WAITING 3']);
    expect(await statuses(sale.saleId)).toEqual(['CANCELLED', 'RESERVED', 'WAITING']);
  });

  it('leaves the line, and lets those behind pass', async () => {
    const sale = saleOf({ stock: 2, perBuyerLimit: 2 });
    await t.stock.createSale(sale);
    const [one, , big] = await t.buy(sale.saleId, [{}, {}, { quantity: 2, buyer: 'u_big' }, {}]);
    await t.stock.release([{ purchaseId: idOf(one), reason: 'BUYER' }]);
    expect(await statuses(sale.saleId)).toEqual(['CANCELLED', 'RESERVED', 'WAITING', 'WAITING']);
    await t.stock.release([{ purchaseId: idOf(big), buyer: 'u_big', reason: 'BUYER' }]);
    expect(await statuses(sale.saleId)).toEqual(['CANCELLED', 'RESERVED', 'CANCELLED', 'RESERVED']);
    expect(told(await t.buy(sale.saleId, [{ buyer: 'u_big' }]))).toEqual(['WAITING 5']);
  });

  it("does not know another buyer's purchase", async () => {
    const sale = saleOf();
    await t.stock.createSale(sale);
    const [one] = await t.buy(sale.saleId, [{ buyer: 'u_1' }]);
    const before = await t.dump();
    expect(await t.stock.release([{ purchaseId: idOf(one), buyer: 'u_2', reason: 'BUYER' }])).toEqual([
      { purchaseId: idOf(one), outcome: 'NOT_FOUND' },
    ]);
    expect(await t.dump()).toEqual(before);
  });

  it('refuses what is paid, except for a refund, whose units go to the head of the line', async () => {
    const sale = saleOf({ stock: 2, lineLimit: 9 });
    await t.stock.createSale(sale);
    const [one] = await t.buy(sale.saleId, [{ buyer: 'u_1' }, {}, {}]);
    await t.stock.confirm([{ purchaseId: idOf(one), paymentRef: 'pi' }]);
    expect(await t.stock.release([{ purchaseId: idOf(one), reason: 'BUYER' }])).toMatchObject([
      { outcome: 'CONFIRMED' },
    ]);
    expect(await t.stock.release([{ purchaseId: idOf(one), reason: 'REFUND' }])).toMatchObject([
      { outcome: 'RELEASED', purchase: { status: 'REFUNDED' } },
    ]);
    expect(await statuses(sale.saleId)).toEqual(['REFUNDED', 'RESERVED', 'RESERVED']);
    expect((await readCensus(t.stock, sale.saleId)).counters).toMatchObject({ available: 0, held: 2, sold: 0 });
    expect(await t.stock.release([{ purchaseId: idOf(one), reason: 'REFUND' }])).toMatchObject([{ outcome: 'REPLAY' }]);
    expect(told(await t.buy(sale.saleId, [{ buyer: 'u_1' }]))).toEqual(['WAITING 4']);
  });

  it('of many at once admits as many, in order', async () => {
    const sale = saleOf({ stock: 300, lineLimit: 1_000 });
    await t.stock.createSale(sale);
    const held = await t.buy(
      sale.saleId,
      Array.from({ length: 300 }, () => ({})),
    );
    await t.buy(
      sale.saleId,
      Array.from({ length: 400 }, () => ({})),
    );
    const outcomes = await t.stock.release(held.map((o) => ({ purchaseId: idOf(o), reason: 'OPERATOR' })));
    expect(new Set(outcomes.map((o) => o.outcome))).toEqual(new Set(['RELEASED']));
    const { counters, purchases } = await readCensus(t.stock, sale.saleId);
    expect(counters).toMatchObject({ held: 300, available: 0, waiting: 100, head: 601 });
    expect(purchases.slice(300, 600).every((p) => p.status === 'RESERVED')).toBe(true);
  });
});

describe('mark', () => {
  it('follows the payment while the hold lives', async () => {
    const sale = saleOf({ stock: 1 });
    await t.stock.createSale(sale);
    const [one] = await t.buy(sale.saleId, [{}]);
    const purchaseId = idOf(one);
    const mark = async (status: 'PAYMENT_PENDING' | 'PAYMENT_FAILED' | 'REFUNDED') =>
      (await t.stock.mark([{ purchaseId, status, reason: 'because' }]))[0]?.outcome;
    expect(await mark('PAYMENT_PENDING')).toBe('MARKED');
    expect(await mark('PAYMENT_PENDING')).toBe('REPLAY');
    expect(await mark('PAYMENT_FAILED')).toBe('MARKED');
    expect(await mark('PAYMENT_PENDING')).toBe('MARKED');
    expect(await mark('REFUNDED')).toBe('ILLEGAL');
    expect((await readCensus(t.stock, sale.saleId)).counters).toMatchObject({ held: 1, available: 0 });
    t.clock.advance(60_000);
    expect(await t.stock.expire(PARTITION)).toMatchObject({ ended: 1 });
    expect(await mark('PAYMENT_FAILED')).toBe('ILLEGAL');
    expect(await mark('REFUNDED')).toBe('ILLEGAL'); // no late payment, nothing to return
  });

  it('returns a late payment once', async () => {
    const sale = saleOf({ stock: 1 });
    await t.stock.createSale(sale);
    const [one] = await t.buy(sale.saleId, [{}, {}]);
    const purchaseId = idOf(one);
    await t.stock.release([{ purchaseId, reason: 'BUYER' }]);
    await t.stock.confirm([{ purchaseId, paymentRef: 'pi' }]);
    const before = (await readCensus(t.stock, sale.saleId)).counters;
    expect(await t.stock.mark([{ purchaseId, status: 'REFUNDED', reason: 're_1' }])).toMatchObject([
      { outcome: 'MARKED', purchase: { status: 'REFUNDED', reason: 're_1' } },
    ]);
    expect(await t.stock.mark([{ purchaseId, status: 'REFUNDED', reason: 're_1' }])).toMatchObject([
      { outcome: 'REPLAY' },
    ]);
    const { available, held, sold, waiting } = (await readCensus(t.stock, sale.saleId)).counters;
    expect({ available, held, sold, waiting }).toEqual({
      available: before.available,
      held: before.held,
      sold: before.sold,
      waiting: before.waiting,
    });
  });
});
