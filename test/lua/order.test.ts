// reserve-order and release-order: a checkout holds several SKUs, all or nothing, once per order id, over one partition or
// several.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { OrderLine } from '../../actors/order-verbs.ts';
import { createStockStore } from '../../actors/stock-store.ts';
import {
  createEpochRecord,
  openTestStock,
  PARTITION,
  readCensus,
  saleOf,
  type TestStock,
  told,
} from '../support/stock.ts';

let t: TestStock;
beforeAll(async () => {
  t = await openTestStock();
});
beforeEach(() => t.reset());
afterAll(() => t.close());

async function open(stock: Record<string, number>, overrides: Parameters<typeof saleOf>[0] = {}): Promise<string> {
  const items = Object.entries(stock).map(([sku, count]) => ({ sku, stock: count, unitPrice: 100, currency: 'EUR' }));
  const sale = saleOf({ items, ...overrides });
  await t.stock.createSale(sale);
  return sale.saleId;
}
const countsOf = async (saleId: string, sku: string) => {
  const { available, held, waiting, lastTicket } = (await readCensus(t.stock, saleId, sku)).counters;
  return { available, held, waiting, lastTicket };
};
const reserve = (orderId: string, items: OrderLine[]) => t.stock.reserveOrder({ orderId, items });

describe('an order in one partition', () => {
  it('holds all its lines, without ticket, buyer or limit', async () => {
    const saleId = await open({ A: 5, B: 2 });
    const items = [
      { saleId, sku: 'B', quantity: 2 },
      { saleId, sku: 'A', quantity: 1 },
      { saleId, sku: 'A', quantity: 2 },
    ];
    const { outcome, purchases } = await reserve('ord_1', items);
    expect(outcome).toBe('RESERVED');
    expect(purchases.map((p) => [p.sku, p.quantity, p.status, p.ticket, p.buyer, p.orderRef])).toEqual([
      ['A', 3, 'RESERVED', 0, '', 'ord_1'],
      ['B', 2, 'RESERVED', 0, '', 'ord_1'],
    ]);
    expect(await countsOf(saleId, 'A')).toEqual({ available: 2, held: 3, waiting: 0, lastTicket: 0 });
    expect((await readCensus(t.stock, saleId, 'A')).purchases.map((p) => p.purchaseId)).toEqual([
      purchases[0]?.purchaseId,
    ]);
  });

  it('holds nothing when one line cannot be served, and may be tried again with another body', async () => {
    const saleId = await open({ A: 5, B: 2 });
    const before = await t.dump();
    const items = [
      { saleId, sku: 'A', quantity: 1 },
      { saleId, sku: 'B', quantity: 3 },
    ];
    expect(await reserve('ord_1', items)).toEqual({ outcome: 'INSUFFICIENT_STOCK', sku: 'B', purchases: [] });
    const stranger = [
      { saleId, sku: 'A', quantity: 1 },
      { saleId, sku: 'NO-SUCH', quantity: 1 },
    ];
    expect(await reserve('ord_1', stranger)).toEqual({ outcome: 'SKU_NOT_FOUND', sku: 'NO-SUCH', purchases: [] });
    expect(await reserve('ord_1', [{ saleId: saleOf().saleId, sku: 'A', quantity: 1 }])).toMatchObject({
      outcome: 'SALE_NOT_FOUND',
    });
    expect(await reserve('ord_1', [])).toMatchObject({ outcome: 'BAD_REQUEST' });
    expect(await t.dump()).toEqual(before);
    expect(await reserve('ord_1', [{ saleId, sku: 'A', quantity: 1 }])).toMatchObject({ outcome: 'RESERVED' });
  });

  it('takes no stock while somebody waits for it', async () => {
    const saleId = await open({ A: 2 }, { perBuyerLimit: 2 });
    await t.buy(saleId, [{}, { quantity: 2 }], 'A');
    expect(await reserve('ord_1', [{ saleId, sku: 'A', quantity: 1 }])).toMatchObject({
      outcome: 'INSUFFICIENT_STOCK',
    });
    expect(await countsOf(saleId, 'A')).toEqual({ available: 1, held: 1, waiting: 2, lastTicket: 2 });
  });

  it('is answered again with its first holds, and refused with another body', async () => {
    const saleId = await open({ A: 5 });
    const items = [{ saleId, sku: 'A', quantity: 2 }];
    const first = await reserve('ord_1', items);
    const before = await t.dump();
    expect(await reserve('ord_1', items)).toEqual({ outcome: 'REPLAY', purchases: first.purchases });
    expect(await reserve('ord_1', [{ saleId, sku: 'A', quantity: 1 }])).toEqual({
      outcome: 'KEY_REUSED',
      purchases: [],
    });
    expect(await t.dump()).toEqual(before);
  });

  it('may try again when all its holds have ended', async () => {
    const saleId = await open({ A: 1 });
    const items = [{ saleId, sku: 'A', quantity: 1 }];
    const first = await reserve('ord_1', items);
    t.clock.advance(60_000);
    await t.stock.expire(PARTITION);
    const second = await reserve('ord_1', items);
    expect(second.outcome).toBe('RESERVED');
    expect(second.purchases[0]?.purchaseId).not.toBe(first.purchases[0]?.purchaseId);
    expect((await readCensus(t.stock, saleId, 'A')).purchases.map((p) => p.status)).toEqual(['EXPIRED', 'RESERVED']);
    await t.stock.confirm(second.purchases.map((p) => ({ purchaseId: p.purchaseId, paymentRef: 'pi' })));
    expect(await reserve('ord_1', items)).toMatchObject({ outcome: 'REPLAY', purchases: [{ status: 'CONFIRMED' }] });
  });

  it('ends due holds of its SKUs before it answers, and gives the line its turn first', async () => {
    const saleId = await open({ A: 1 });
    await t.buy(saleId, [{}, {}], 'A');
    t.clock.advance(60_000);
    expect(await reserve('ord_1', [{ saleId, sku: 'A', quantity: 1 }])).toMatchObject({
      outcome: 'INSUFFICIENT_STOCK',
    });
    expect((await readCensus(t.stock, saleId, 'A')).purchases.map((p) => p.status)).toEqual(['EXPIRED', 'RESERVED']);
    t.clock.advance(60_000);
    expect(await reserve('ord_1', [{ saleId, sku: 'A', quantity: 1 }])).toMatchObject({ outcome: 'RESERVED' });
  });

  it('is refused before the opening, in a pause and after the close', async () => {
    const [scheduled, sale] = [await open({ A: 1 }, { startNow: false }), await open({ A: 1 })];
    expect(await reserve('ord_1', [{ saleId: scheduled, sku: 'A', quantity: 1 }])).toMatchObject({
      outcome: 'SALE_PAUSED',
    });
    await t.stock.setSaleState(sale, 'pause');
    expect(await reserve('ord_1', [{ saleId: sale, sku: 'A', quantity: 1 }])).toMatchObject({
      outcome: 'SALE_PAUSED',
      sku: 'A',
    });
    await t.stock.setSaleState(sale, 'close');
    expect(await reserve('ord_1', [{ saleId: sale, sku: 'A', quantity: 1 }])).toMatchObject({ outcome: 'SALE_CLOSED' });
  });

  it('gives its units to the head of the line when it is released', async () => {
    const saleId = await open({ A: 2, B: 1 });
    await reserve('ord_1', [
      { saleId, sku: 'A', quantity: 2 },
      { saleId, sku: 'B', quantity: 1 },
    ]);
    expect(told(await t.buy(saleId, [{}], 'A'))).toEqual(['WAITING 1']);
    const released = await t.stock.releaseOrder('ord_1');
    expect(released).toMatchObject({
      outcome: 'RELEASED',
      purchases: [{ status: 'CANCELLED', reason: 'ORDER_CANCELLED' }, {}],
    });
    expect(await countsOf(saleId, 'A')).toEqual({ available: 1, held: 1, waiting: 0, lastTicket: 1 });
    const before = await t.dump();
    expect(await t.stock.releaseOrder('ord_1')).toMatchObject({ outcome: 'REPLAY' });
    expect(await t.stock.releaseOrder('ord_2')).toEqual({ outcome: 'NOT_FOUND', purchases: [] });
    expect(await t.dump()).toEqual(before);
  });

  it('is one order whatever its id looks like', async () => {
    const saleId = await open({ A: 9 });
    for (const id of ['o', 'o:ids', 'o holds', '{p4}']) {
      expect(await reserve(id, [{ saleId, sku: 'A', quantity: 1 }])).toMatchObject({ outcome: 'RESERVED' });
    }
    expect(await countsOf(saleId, 'A')).toMatchObject({ held: 4 });
  });
});

describe('an order over several partitions', () => {
  const lines = (...saleIds: string[]) => saleIds.map((saleId) => ({ saleId, sku: 'A', quantity: 1 }));
  const openIn = (partition: number, stock = 1) => open({ A: stock }, { partition });

  it('holds everywhere, is answered again, and is released everywhere', async () => {
    const sales = [await openIn(6), await openIn(1), await openIn(2)];
    const first = await reserve('ord_1', lines(...sales));
    expect(first.outcome).toBe('RESERVED');
    expect(first.purchases.map((p) => p.saleId).sort()).toEqual([...sales].sort());
    expect(await reserve('ord_1', lines(...sales))).toEqual({ ...first, outcome: 'REPLAY' });
    expect(await t.stock.releaseOrder('ord_1')).toMatchObject({ outcome: 'RELEASED', purchases: [{}, {}, {}] });
    for (const saleId of sales) expect(await countsOf(saleId, 'A')).toMatchObject({ available: 1, held: 0 });
  });

  it('gives back what it had reserved when one partition refuses, and binds no retry', async () => {
    const [one, two] = [await openIn(1, 2), await openIn(2, 0)];
    expect(await reserve('ord_1', lines(one, two))).toMatchObject({
      outcome: 'INSUFFICIENT_STOCK',
      sku: 'A',
      purchases: [],
    });
    expect(await countsOf(one, 'A')).toMatchObject({ available: 2, held: 0 });
    expect(await reserve('ord_1', lines(one))).toMatchObject({ outcome: 'RESERVED' });
  });

  it('gives back what an interrupted attempt had reserved', async () => {
    const [one, two] = [await openIn(1), await openIn(2)];
    const first = await reserve('ord_1', lines(one, two));
    // The second half ended and its stock went to somebody else.
    const second = first.purchases.filter((p) => p.saleId === two);
    await t.stock.release(second.map((p) => ({ purchaseId: p.purchaseId, reason: 'OPERATOR' })));
    expect(told(await t.buy(two, [{}], 'A'))).toEqual(['RESERVED 1']);
    expect(await reserve('ord_1', lines(one, two))).toMatchObject({ outcome: 'INSUFFICIENT_STOCK' });
    expect(await countsOf(one, 'A')).toMatchObject({ available: 1, held: 0 });
  });

  it('ends whole, held or given back, whoever comes between', async () => {
    const sales = [await openIn(1, 100), await openIn(4, 100), await openIn(6, 100)];
    // A process far away: the release passes it in every place, at one partition after the other.
    let pauses = 0;
    const far = createStockStore({
      testNow: t.clock.now,
      redis: new Proxy(t.redis, {
        get(redis, name) {
          if (name !== 'callBuffer') return Reflect.get(redis, name);
          return async (...words: Parameters<typeof redis.callBuffer>) => {
            for (let turn = 0; turn < pauses; turn++) await new Promise((resolve) => setImmediate(resolve));
            return redis.callBuffer(...words);
          };
        },
      }),
    });
    const record = createEpochRecord();
    for (let partition = 0; partition < 8; partition++) record.rows.set(partition, { epoch: 1, seq: 0 });
    await far.attach(record);
    for (let round = 0; round < 40; round++) {
      const orderId = `ord_race_${round}`;
      pauses = 20;
      const reserving = far.reserveOrder({ orderId, items: lines(...sales) });
      for (let turn = 0; turn < round * 2; turn++) await new Promise((resolve) => setImmediate(resolve));
      await Promise.all([reserving, t.stock.releaseOrder(orderId)]);
      const held = await Promise.all(sales.map(async (saleId) => (await countsOf(saleId, 'A'))?.held));
      expect(new Set(held).size).toBe(1);
      await t.stock.releaseOrder(orderId);
    }
    for (const saleId of sales) expect(await countsOf(saleId, 'A')).toMatchObject({ available: 100, held: 0 });
  });

  it('is refused with another body even if the two share no partition', async () => {
    const [one, two, three] = [await openIn(1), await openIn(2), await openIn(4)];
    expect(await reserve('ord_1', lines(one))).toMatchObject({ outcome: 'RESERVED' });
    expect(await reserve('ord_1', lines(two, three))).toEqual({ outcome: 'KEY_REUSED', purchases: [] });
    for (const saleId of [two, three]) expect(await countsOf(saleId, 'A')).toMatchObject({ available: 1, held: 0 });
    expect(await countsOf(one, 'A')).toMatchObject({ held: 1 });
  });
});
