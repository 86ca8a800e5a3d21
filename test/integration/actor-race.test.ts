// The counter under a crowd: two processes' worth of actors, each on its own connection, sell exactly what there is, and
// serve their own callers in the order in which they came.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { newPurchaseId } from '../../actors/purchase-ids.ts';
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import { createCounter, type Counter } from '../../actors/sku-actor.ts';
import { type Clock, systemClock } from '../../core/clock.ts';
import { connectRedis, type Redis, whenReady } from '../../core/redis/redis.ts';
import { createEpochRecord, openTestStock, readCensus, saleOf, type TestStock } from '../support/stock.ts';

const BUYERS = 2_000;
const UNITS = 50;
let t: TestStock;
let connections: Redis[] = [];
let counters: Counter[] = [];

beforeAll(async () => {
  t = await openTestStock({ isDurable: true });
});
beforeEach(() => t.reset());
afterEach(async () => {
  await Promise.all(counters.map((counter) => counter.drain()));
  for (const redis of connections) redis.disconnect();
  [connections, counters] = [[], []];
});
afterAll(() => t.close());

/** A counter as another process would have it. */
async function openCounter(
  change: (stock: StockStore) => Partial<StockStore> = () => ({}),
  clock: Clock = systemClock,
): Promise<Counter> {
  const redis = connectRedis(t.url, 'scripts');
  connections.push(redis);
  await whenReady(redis, 10_000);
  const stock = createStockStore({ redis, testNow: t.clock.now });
  const record = createEpochRecord();
  for (let partition = 0; partition < 8; partition++) record.rows.set(partition, { epoch: 1, seq: 0 });
  await stock.attach(record);
  const counter = createCounter({ stock: { ...stock, ...change(stock) }, clock });
  counters.push(counter);
  return counter;
}

const wishOf = (saleId: string, i: number, overrides: { hasKey?: boolean; sku?: string } = {}) => ({
  ...{ saleId, sku: 'SHIRT', buyer: `u_${i}`, quantity: 1, fingerprint: 'f', hasKey: false },
  ...{ purchaseId: newPurchaseId(saleId, `u_${i}`), ...overrides },
});
const deadline = () => systemClock.now() + 60_000;

describe('2,000 buyers who race for 50 units over two counters', () => {
  it('get exactly 50 holds, gapless tickets, and each counter keeps the order of its callers', async () => {
    const sale = saleOf({ stock: UNITS, lineLimit: BUYERS });
    await t.stock.createSale(sale);
    const doors = [await openCounter(), await openCounter()];
    const tickets: number[][] = [[], []];
    const buys = Array.from({ length: BUYERS }, async (_, i) => {
      const outcome = await doors[i % 2]?.buy(wishOf(sale.saleId, i), deadline());
      if (outcome?.kind !== 'purchase') throw new Error(`buyer ${i} was refused`);
      tickets[i % 2]?.push(outcome.purchase.ticket);
      return outcome.purchase;
    });
    const purchases = await Promise.all(buys);
    expect(purchases.filter((p) => p.status === 'RESERVED').length).toBe(UNITS);
    expect(purchases.filter((p) => p.status === 'WAITING').length).toBe(BUYERS - UNITS);
    const sorted = purchases.map((p) => p.ticket).sort((a, b) => a - b);
    expect(sorted).toEqual(Array.from({ length: BUYERS }, (_, i) => i + 1));
    for (const door of [0, 1]) {
      const own = purchases.filter((_, i) => i % 2 === door).map((p) => p.ticket);
      expect(own).toEqual([...own].sort((a, b) => a - b));
    }
    expect(purchases.filter((p) => p.status === 'RESERVED').every((p) => p.ticket <= UNITS)).toBe(true);
    const { counters: counts } = await readCensus(t.stock, sale.saleId);
    expect(counts).toMatchObject({ available: 0, held: UNITS, sold: 0, waiting: BUYERS - UNITS, lastTicket: BUYERS });
  });

  it('are told the same when all of them ask again', async () => {
    const sale = saleOf({ stock: UNITS, lineLimit: 100 });
    await t.stock.createSale(sale);
    const doors = [await openCounter(), await openCounter()];
    const wishes = Array.from({ length: 500 }, (_, i) => wishOf(sale.saleId, i, { hasKey: true }));
    const ask = (door: number) =>
      Promise.all(
        wishes.map(async (wish, i) => {
          const outcome = await doors[(i + door) % 2]?.buy(wish, deadline());
          return outcome?.kind === 'purchase' ? `${outcome.purchase.status} ${outcome.purchase.ticket}` : outcome?.code;
        }),
      );
    const first = await ask(0);
    expect(await ask(1)).toEqual(first);
    expect(first.filter((text) => text === 'LINE_FULL').length).toBe(350);
  });
});

describe('a counter', () => {
  it('puts whoever comes meanwhile into one batch', async () => {
    const sale = saleOf({ stock: 1_000 });
    await t.stock.createSale(sale);
    const sizes: number[] = [];
    const counter = await openCounter((stock) => ({
      reserve: (saleId, sku, items) => {
        sizes.push(items.length);
        return stock.reserve(saleId, sku, items);
      },
    }));
    const first = counter.buy(wishOf(sale.saleId, 0), deadline());
    await Promise.resolve();
    await Promise.resolve();
    await Promise.all([
      first,
      ...Array.from({ length: 600 }, (_, i) => counter.buy(wishOf(sale.saleId, i + 1), deadline())),
    ]);
    expect(sizes).toEqual([1, 512, 88]);
  });

  it('refuses newcomers when it drains, and answers who is in', async () => {
    const sale = saleOf();
    await t.stock.createSale(sale);
    const counter = await openCounter();
    const inside = counter.buy(wishOf(sale.saleId, 1), deadline());
    const drained = counter.drain();
    await expect(counter.buy(wishOf(sale.saleId, 2), deadline())).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    expect(await inside).toMatchObject({ kind: 'purchase', purchase: { status: 'RESERVED' } });
    await drained;
  });

  it('answers for sales and SKUs that do not exist', async () => {
    const counter = await openCounter();
    const sale = saleOf();
    expect(await counter.buy(wishOf(sale.saleId, 1), deadline())).toEqual({ kind: 'refused', code: 'SALE_NOT_FOUND' });
    await t.stock.createSale(sale);
    expect(await counter.buy(wishOf(sale.saleId, 1, { sku: 'CAP' }), deadline())).toEqual({
      kind: 'refused',
      code: 'SKU_NOT_FOUND',
    });
  });
});

describe('sold out', () => {
  it('is repeated from memory for 250 ms, never to a request with a key, and a restock is seen', async () => {
    const sale = saleOf({ stock: 1, perBuyerLimit: 0 });
    await t.stock.createSale(sale);
    let nowMs = 0;
    let calls = 0;
    const count = (stock: StockStore): Partial<StockStore> => ({
      reserve: (...args) => {
        calls += 1;
        return stock.reserve(...args);
      },
    });
    const counter = await openCounter(count, { now: () => nowMs });
    const ask = async (hasKey = false) => {
      const outcome = await counter.buy(wishOf(sale.saleId, 1, { hasKey }), 60_000);
      return outcome.kind === 'purchase' ? outcome.purchase.status : outcome.code;
    };
    expect(await ask()).toBe('RESERVED');
    const [held] = (await readCensus(t.stock, sale.saleId)).purchases;
    await t.stock.confirm([{ purchaseId: held?.purchaseId ?? '', paymentRef: 'pi' }]);
    expect([await ask(), await ask(), await ask()]).toEqual(['SOLD_OUT', 'SOLD_OUT', 'SOLD_OUT']);
    expect(calls).toBe(2);
    expect(await ask(true)).toBe('SOLD_OUT');
    expect(calls).toBe(3);
    nowMs += 250;
    expect(await ask()).toBe('SOLD_OUT');
    expect(calls).toBe(4);
    await t.stock.restock({ saleId: sale.saleId, sku: 'SHIRT', by: 1, operationId: 'op', reason: '' });
    nowMs += 250;
    expect(await ask()).toBe('RESERVED');
  });
});
