// sku-block: one SKU of a sale stops selling and sells again, while what is held can be paid, given back and ends in time.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sweepPartition } from '../../actors/hold-sweeper.ts';
import { keys } from '../../actors/keys.ts';
import { unpackAll } from '../../core/redis/msgpack.ts';
import { connectRedis } from '../../core/redis/redis.ts';
import { idOf, openTestStock, PARTITION, readCensus, saleOf, type TestStock, told } from '../support/stock.ts';

let t: TestStock;
let saleId: string;
const stockKey = (sku = 'A') => `db:{p${PARTITION}}:stock:${saleId}:${sku}`;

beforeAll(async () => {
  t = await openTestStock();
});
beforeEach(async () => {
  await t.reset();
  const items = ['A', 'B'].map((sku) => ({ sku, stock: 3, unitPrice: 1, currency: 'EUR' }));
  const sale = saleOf({ items, perBuyerLimit: 3, holdMs: 1_000 });
  saleId = sale.saleId;
  await t.stock.createSale(sale);
});
afterAll(() => t.close());

const block = (reason: 'AUDIT' | 'OPERATOR' = 'AUDIT') => t.stock.blockSku(saleId, 'A', reason, 'one unit too many');

describe('a blocked SKU', () => {
  it('sells nothing, whatever way is tried, and its neighbour sells on', async () => {
    expect(await block()).toMatchObject({ outcome: 'OK', reason: 'AUDIT', counters: { saleStatus: 'PAUSED' } });
    expect(told(await t.buy(saleId, [{}], 'A'))).toEqual(['SALE_PAUSED']);
    expect(await t.stock.reserveOrder({ orderId: 'o', items: [{ saleId, sku: 'A', quantity: 1 }] })).toMatchObject({
      outcome: 'SALE_PAUSED',
    });
    expect(told(await t.buy(saleId, [{}], 'B'))).toEqual(['RESERVED 1']);
    expect((await t.stock.snapshot([saleId]))[0]?.items.map((i) => i.saleStatus)).toEqual(['PAUSED', 'OPEN']);
    expect(await t.stock.blocksOf(saleId)).toEqual([
      { sku: 'A', reason: 'AUDIT', note: 'one unit too many', since: t.clock.now() },
    ]);
  });

  it('lets holds be paid, given back and expire, and admits nobody', async () => {
    const ids = (await t.buy(saleId, [{}, {}, {}, {}], 'A')).map(idOf);
    await block();
    const [paid, released, expired, waiting] = ids;
    expect(await t.stock.confirm([{ purchaseId: paid ?? '', paymentRef: 'pi' }])).toMatchObject([
      { decision: 'CONFIRMED' },
    ]);
    await t.stock.release([{ purchaseId: released ?? '', reason: 'BUYER' }]);
    t.clock.advance(1_000);
    await sweepPartition(t.stock, PARTITION);
    const { counters, purchases } = await readCensus(t.stock, saleId, 'A');
    expect(counters).toMatchObject({ available: 2, held: 0, sold: 1, waiting: 1 });
    const status = (id: string | undefined) => purchases.find((p) => p.purchaseId === id)?.status;
    expect([expired, waiting].map(status)).toEqual(['EXPIRED', 'WAITING']);
  });

  it('offers its stock to the line again once it is unblocked', async () => {
    const ids = (await t.buy(saleId, [{}, {}, {}, {}, {}], 'A')).map(idOf);
    await block();
    await t.stock.release(ids.slice(0, 2).map((purchaseId) => ({ purchaseId, reason: 'BUYER' as const })));
    expect((await readCensus(t.stock, saleId, 'A')).counters).toMatchObject({ available: 2, waiting: 2 });
    expect(await t.stock.unblockSku(saleId, 'A')).toMatchObject({ outcome: 'OK', counters: { saleStatus: 'OPEN' } });
    await sweepPartition(t.stock, PARTITION);
    expect((await readCensus(t.stock, saleId, 'A')).counters).toMatchObject({ available: 0, held: 3, waiting: 0 });
    expect(await t.stock.blocksOf(saleId)).toEqual([]);
  });

  it('is blocked and unblocked once, however often it is told to be', async () => {
    await block();
    const blocked = await t.dump();
    expect(await block('OPERATOR')).toMatchObject({ outcome: 'REPLAY', reason: 'AUDIT' });
    expect(await t.dump()).toEqual(blocked);
    await t.stock.unblockSku(saleId, 'A');
    const free = await t.dump();
    expect(await t.stock.unblockSku(saleId, 'A')).toMatchObject({ outcome: 'REPLAY' });
    expect(await t.dump()).toEqual(free);
  });

  it('has a newer version each time, and everybody is told', async () => {
    const listener = connectRedis(t.url, 'subscriber');
    const heard: unknown[] = [];
    await listener.subscribe(keys.feed(PARTITION));
    listener.on('messageBuffer', (_channel: Buffer, bytes: Buffer) => heard.push(unpackAll(bytes)[0]));
    const before = (await t.stock.snapshot([saleId]))[0]?.items[0]?.version ?? 0;
    expect((await block()).counters?.version).toBe(before + 1);
    expect((await t.stock.unblockSku(saleId, 'A')).counters?.version).toBe(before + 2);
    await expect.poll(() => heard.length).toBe(2);
    const counts = (status: string, version: number) => [saleId, 'A', status, version, 3, 3, 0, 0, 0, 1, 0];
    expect(heard).toEqual([
      ['c', expect.any(Number), [counts('PAUSED', before + 1)]],
      ['c', expect.any(Number), [counts('OPEN', before + 2)]],
    ]);
    listener.disconnect();
  });

  it('stays blocked when it is unblocked before what is broken was mended', async () => {
    await t.redis.set(`db:{p${PARTITION}}:holds:${saleId}:A`, 'no list');
    await t.buy(saleId, [{}], 'A');
    expect(await t.stock.blocksOf(saleId)).toMatchObject([{ sku: 'A', reason: 'FAULT' }]);
    expect(await t.stock.unblockSku(saleId, 'A')).toMatchObject({ outcome: 'OK', reason: 'FAULT' });
    expect(await t.redis.hget(stockKey(), 'blocked')).toBe('FAULT');
    await t.redis.del(`db:{p${PARTITION}}:holds:${saleId}:A`);
    await t.stock.unblockSku(saleId, 'A');
    expect(told(await t.buy(saleId, [{}], 'A'))).toEqual(['RESERVED 1']);
  });

  it('is looked for where there is none', async () => {
    expect(await t.stock.blockSku(saleId, 'Z', 'AUDIT', '')).toEqual({ outcome: 'SKU_NOT_FOUND' });
    const other = saleOf().saleId;
    expect(await t.stock.unblockSku(other, 'A')).toEqual({ outcome: 'SALE_NOT_FOUND' });
    expect(await t.stock.unblockSku('nonsense', 'A')).toEqual({ outcome: 'SALE_NOT_FOUND' });
    expect(await t.stock.blocksOf(other)).toEqual([]);
    expect(await t.stock.auditSlice(saleId, 'Z')).toBeUndefined();
  });
});

describe('a slice of the audit', () => {
  it('shows each purchase with its places, page by page, then the holds of orders', async () => {
    const wide = saleOf({ stock: 300, perBuyerLimit: 1, lineLimit: 100 });
    await t.stock.createSale(wide);
    await t.buy(
      wide.saleId,
      Array.from({ length: 299 }, () => ({})),
    );
    await t.stock.reserveOrder({ orderId: 'o', items: [{ saleId: wide.saleId, sku: 'SHIRT', quantity: 1 }] });
    await t.buy(wide.saleId, [{}, {}]);
    const first = await t.stock.auditSlice(wide.saleId, 'SHIRT');
    expect(first).toMatchObject({ sizes: { holds: 300, line: 2, tickets: 301, orders: 1 }, missing: [] });
    expect(first?.next).toEqual({ ticket: 257, lastTicket: 301, order: 1, lastOrder: 1 });
    expect(first?.purchases).toHaveLength(256);
    const held = { status: 'RESERVED', quantity: 1, ticket: 1, sweptAt: t.clock.now() + 60_000, linePlace: 0 };
    expect(first?.purchases[0]).toMatchObject(held);
    // Who comes while it is read is not for this reader: it would never come to an end.
    await t.buy(wide.saleId, [{}, {}]);
    const second = await t.stock.auditSlice(wide.saleId, 'SHIRT', first?.next);
    expect(second).toMatchObject({ next: undefined, sizes: { tickets: 303 } });
    expect(second?.purchases).toHaveLength(46);
    expect(second?.purchases.at(-2)).toMatchObject({ status: 'WAITING', ticket: 301, sweptAt: 0, linePlace: 301 });
    expect(second?.purchases.at(-1)).toMatchObject({ status: 'RESERVED', ticket: 0 });
  });
});
