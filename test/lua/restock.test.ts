// restock: a sale's stock grows or shrinks, once an operation, never below what is held and sold.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { idOf, openTestStock, readCensus, saleOf, type TestStock, told } from '../support/stock.ts';

let t: TestStock;
let saleId: string;
beforeAll(async () => {
  t = await openTestStock();
});
beforeEach(async () => {
  await t.reset();
  const sale = saleOf({ stock: 3, perBuyerLimit: 3, lineLimit: 20 });
  saleId = sale.saleId;
  await t.stock.createSale(sale);
});
afterAll(() => t.close());

const restock = (by: number, operationId = `op_${by}`) =>
  t.stock.restock({ saleId, sku: 'SHIRT', by, operationId, reason: 'COUNTED' });
const statuses = async () => (await readCensus(t.stock, saleId)).purchases.map((p) => p.status);

describe('restock', () => {
  it('offers new units to the line, in order, and tells the ledger', async () => {
    await t.buy(saleId, [{ quantity: 3 }, { quantity: 2 }, {}, {}]);
    expect(await restock(3)).toMatchObject({
      outcome: 'OK',
      counters: { loaded: 6, available: 0, held: 6, waiting: 1 },
    });
    expect(await statuses()).toEqual(['RESERVED', 'RESERVED', 'RESERVED', 'WAITING']);
    const records = (await t.outbox()).at(-1)?.records;
    expect(records?.map((r) => r.kind)).toEqual(['stock', 'purchase', 'purchase']);
    expect(records?.[0]).toMatchObject({
      movementId: 'op_3',
      reason: 'COUNTED',
      movement: { available: 3, held: 0, sold: 0, loaded: 3 },
    });
  });

  it('happens once an operation id', async () => {
    expect(await restock(2, 'op')).toMatchObject({ outcome: 'OK', counters: { loaded: 5 } });
    const before = await t.dump();
    expect(await restock(2, 'op')).toMatchObject({ outcome: 'REPLAY', counters: { loaded: 5 } });
    expect(await restock(3, 'op')).toMatchObject({ outcome: 'KEY_REUSED', counters: { loaded: 5 } });
    expect(await t.dump()).toEqual(before);
  });

  it('never goes below what is held and sold, and a refusal may be tried again', async () => {
    const [one, two] = await t.buy(saleId, [{}, {}]);
    await t.stock.confirm([{ purchaseId: idOf(one), paymentRef: 'pi' }]);
    const before = await t.dump();
    expect(await restock(-2, 'op')).toMatchObject({ outcome: 'BELOW', counters: { loaded: 3 } });
    expect(await t.dump()).toEqual(before);
    await t.stock.release([{ purchaseId: idOf(two), reason: 'BUYER' }]);
    expect(await restock(-2, 'op')).toMatchObject({ outcome: 'OK', counters: { loaded: 1, available: 0, sold: 1 } });
  });

  it('ends who can no longer be served when less is left than they wait for', async () => {
    const [one] = await t.buy(saleId, [{}, { quantity: 3 }, { quantity: 2 }, {}]);
    expect(await restock(-1)).toMatchObject({
      outcome: 'OK',
      counters: { loaded: 2, available: 1, waiting: 3, head: 3 },
    });
    expect(await statuses()).toEqual(['RESERVED', 'SOLD_OUT', 'WAITING', 'WAITING']);
    expect(await restock(-1, 'again')).toMatchObject({ outcome: 'OK', counters: { loaded: 1, waiting: 1 } });
    expect(await statuses()).toEqual(['RESERVED', 'SOLD_OUT', 'SOLD_OUT', 'WAITING']);
    await t.stock.confirm([{ purchaseId: idOf(one), paymentRef: 'pi' }]);
    expect(await statuses()).toEqual(['CONFIRMED', 'SOLD_OUT', 'SOLD_OUT', 'SOLD_OUT']);
  });

  it('brings a sold-out SKU back', async () => {
    const outcomes = await t.buy(saleId, [{ quantity: 3 }]);
    await t.stock.confirm([{ purchaseId: idOf(outcomes[0]), paymentRef: 'pi' }]);
    expect(told(await t.buy(saleId, [{}]))).toEqual(['SOLD_OUT']);
    await restock(1);
    expect(told(await t.buy(saleId, [{}]))).toEqual(['RESERVED 2']);
  });

  it('does not know other sales, other SKUs and closed sales', async () => {
    const change = { saleId, sku: 'SHIRT', by: 1, operationId: 'op', reason: '' };
    expect(await t.stock.restock({ ...change, saleId: saleOf().saleId })).toEqual({ outcome: 'SALE_NOT_FOUND' });
    expect(await t.stock.restock({ ...change, sku: 'CAP' })).toEqual({ outcome: 'SKU_NOT_FOUND' });
    await t.stock.setSaleState(saleId, 'close');
    expect(await t.stock.restock(change)).toMatchObject({ outcome: 'SALE_CLOSED' });
  });
});
