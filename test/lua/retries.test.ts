// The purchase id is the key of every retry: whatever is sent again gets its first answer and changes nothing; whoever was
// refused left nothing behind.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { unownedPurchaseId } from '../../actors/purchase-ids.ts';
import { idOf, openTestStock, PARTITION, saleOf, type TestStock, told } from '../support/stock.ts';

let t: TestStock;
beforeAll(async () => {
  t = await openTestStock();
});
beforeEach(() => t.reset());
afterAll(() => t.close());

const wishesOf = (count: number, quantity = 1) =>
  Array.from({ length: count }, (_, i) => ({ purchaseId: unownedPurchaseId(PARTITION), buyer: `u_${i}`, quantity }));

describe('a batch that is sent again', () => {
  it('of reserve gets the same answers and changes no key', async () => {
    const sale = saleOf({ stock: 3, lineLimit: 3 });
    await t.stock.createSale(sale);
    const wishes = wishesOf(8);
    const first = await t.buy(sale.saleId, wishes);
    const before = await t.dump();
    const again = await t.buy(sale.saleId, wishes);
    expect(told(again)).toEqual(told(first));
    expect(again.slice(0, 6).every((o) => o.kind === 'purchase' && o.isReplay)).toBe(true);
    expect(await t.dump()).toEqual(before);
  });

  it('of confirm, release and mark gets the same answers and changes no key', async () => {
    const sale = saleOf({ stock: 4 });
    await t.stock.createSale(sale);
    const ids = (await t.buy(sale.saleId, wishesOf(6))).map(idOf);
    const [a = '', b = '', c = '', d = ''] = ids;
    const act = async () => [
      await t.stock.mark([{ purchaseId: a, status: 'PAYMENT_FAILED', reason: 'card_declined' }]),
      await t.stock.confirm([
        { purchaseId: b, paymentRef: 'pi_b' },
        { purchaseId: b, paymentRef: 'pi_b' },
      ]),
      await t.stock.release([
        { purchaseId: c, reason: 'BUYER' },
        { purchaseId: d, buyer: 'u_3', reason: 'BUYER' },
      ]),
    ];
    await act();
    const before = await t.dump();
    const [marks, confirms, releases] = await act();
    expect(marks).toMatchObject([
      { outcome: 'REPLAY', purchase: { status: 'PAYMENT_FAILED', reason: 'card_declined' } },
    ]);
    expect(confirms).toMatchObject([{ decision: 'CONFIRMED' }, { decision: 'CONFIRMED' }]);
    expect(releases).toMatchObject([{ outcome: 'REPLAY' }, { outcome: 'REPLAY' }]);
    expect(await t.dump()).toEqual(before);
  });

  it('finds its purchase before any other check: closed, sold out, over the limit, full', async () => {
    const sale = saleOf({ stock: 1, lineLimit: 1 });
    await t.stock.createSale(sale);
    const wishes = wishesOf(2);
    const [first] = await t.buy(sale.saleId, wishes);
    await t.stock.confirm([{ purchaseId: idOf(first), paymentRef: 'pi' }]);
    expect(told(await t.buy(sale.saleId, wishes))).toEqual(['CONFIRMED 1', 'SOLD_OUT 2']);
    await t.stock.setSaleState(sale.saleId, 'pause');
    expect(told(await t.buy(sale.saleId, wishes))).toEqual(['CONFIRMED 1', 'SOLD_OUT 2']);
    await t.stock.setSaleState(sale.saleId, 'close');
    expect(told(await t.buy(sale.saleId, [...wishes, {}]))).toEqual(['CONFIRMED 1', 'SOLD_OUT 2', 'SALE_CLOSED']);
  });

  it('with another body, buyer or SKU is KEY_REUSED and changes nothing', async () => {
    const items = ['SHIRT', 'CAP'].map((sku) => ({ sku, stock: 5, unitPrice: 1, currency: 'EUR' }));
    const sale = saleOf({ items, perBuyerLimit: 3 });
    await t.stock.createSale(sale);
    const purchaseId = unownedPurchaseId(PARTITION);
    const wish = { purchaseId, buyer: 'u_retry', quantity: 2 };
    expect(told(await t.buy(sale.saleId, [wish, { ...wish, quantity: 1 }]))).toEqual(['RESERVED 1', 'KEY_REUSED']);
    const before = await t.dump();
    expect(told(await t.buy(sale.saleId, [{ ...wish, buyer: 'u_other' }]))).toEqual(['KEY_REUSED']);
    expect(told(await t.buy(sale.saleId, [wish], 'CAP'))).toEqual(['KEY_REUSED']);
    expect(told(await t.buy(sale.saleId, [wish, {}], 'NOT-HERE'))).toEqual(['KEY_REUSED', 'SKU_NOT_FOUND']);
    expect(await t.dump()).toEqual(before);
  });

  it('within one batch is one purchase', async () => {
    const sale = saleOf({ stock: 5 });
    await t.stock.createSale(sale);
    const [wish = {}] = wishesOf(1);
    expect(told(await t.buy(sale.saleId, [wish, {}, wish]))).toEqual(['RESERVED 1', 'RESERVED 2', 'RESERVED 1']);
  });
});

describe('a refusal', () => {
  it.each([
    ['SOLD_OUT', { stock: 0 }, 1],
    ['LINE_FULL', { stock: 1, lineLimit: 0 }, 1],
    ['LIMIT_EXCEEDED', { stock: 5 }, 2],
    ['LINE_FULL', { stock: 5, lineLimit: 0, admissionPerSecond: 1 }, 1],
    ['SKU_NOT_FOUND', { items: [{ sku: 'CAP', stock: 1, unitPrice: 1, currency: 'EUR' }] }, 1],
  ] as const)('with %s (%o) leaves nothing behind and binds no retry', async (code, terms, quantity) => {
    const sale = saleOf({ ...terms, ...('items' in terms ? { items: [...terms.items] } : {}) });
    await t.stock.createSale(sale);
    if ('lineLimit' in terms && terms.stock === 1) await t.buy(sale.saleId, [{}]);
    const before = await t.dump();
    const purchaseId = unownedPurchaseId(PARTITION);
    expect(told(await t.buy(sale.saleId, [{ purchaseId, quantity }, { quantity }]))).toEqual([code, code]);
    expect(await t.dump()).toEqual(before);
    if (code === 'SKU_NOT_FOUND') return;
    await t.stock.restock({ saleId: sale.saleId, sku: 'SHIRT', by: 9, operationId: 'op', reason: 'test' });
    t.clock.advance(5_000);
    expect(told(await t.buy(sale.saleId, [{ purchaseId }]))).toEqual([expect.stringMatching(/^RESERVED/)]);
  });

  it('by a pause or a close leaves nothing behind', async () => {
    const sale = saleOf();
    await t.stock.createSale(sale);
    for (const [verb, code] of [
      ['pause', 'SALE_PAUSED'],
      ['close', 'SALE_CLOSED'],
    ] as const) {
      await t.stock.setSaleState(sale.saleId, verb);
      const before = await t.dump();
      expect(told(await t.buy(sale.saleId, [{}, {}]))).toEqual([code, code]);
      expect(await t.dump()).toEqual(before);
    }
  });
});
