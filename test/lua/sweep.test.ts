// expire and admit: the ends of holds, and what the lines are owed afterwards, in slices that never block Redis for long.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sweepPartition } from '../../actors/hold-sweeper.ts';
import { idOf, openTestStock, PARTITION, readCensus, saleOf, type TestStock, told } from '../support/stock.ts';

let t: TestStock;
beforeAll(async () => {
  t = await openTestStock();
});
beforeEach(() => t.reset());
afterAll(() => t.close());

const many = (count: number) => Array.from({ length: count }, () => ({}));
const countsOf = async (saleId: string) => (await readCensus(t.stock, saleId)).counters;

describe('expire', () => {
  it('gives the units of an ended hold to the head of the line in the same step', async () => {
    const sale = saleOf({ stock: 1 });
    await t.stock.createSale(sale);
    const [first, second] = await t.buy(sale.saleId, [{}, {}]);
    t.clock.advance(59_999);
    expect(await t.stock.expire(PARTITION)).toEqual({ ended: 0, hasMore: false, lagMs: 0 });
    t.clock.advance(1);
    expect(await t.stock.expire(PARTITION)).toEqual({ ended: 1, hasMore: false, lagMs: 0 });
    const [one, two] = await t.stock.look([idOf(first), idOf(second)]);
    expect([one?.status, one?.reason, two?.status]).toEqual(['EXPIRED', 'HOLD_EXPIRED', 'RESERVED']);
    expect(two?.expiresAt).toBe(t.clock.now() + 60_000);
  });

  it('tells how late the oldest was, over all sales of the partition', async () => {
    const [one, two] = [saleOf({ holdMs: 1_000 }), saleOf({ holdMs: 3_000 })];
    for (const sale of [one, two]) {
      await t.stock.createSale(sale);
      await t.buy(sale.saleId, [{}]);
    }
    t.clock.advance(3_500);
    expect(await t.stock.expire(PARTITION)).toEqual({ ended: 2, hasMore: false, lagMs: 2_500 });
  });

  it('takes 256 a call', async () => {
    const sale = saleOf({ stock: 600 });
    await t.stock.createSale(sale);
    await t.buy(sale.saleId, many(512));
    await t.buy(sale.saleId, many(88));
    t.clock.advance(60_000);
    expect(await t.stock.expire(PARTITION)).toMatchObject({ ended: 256, hasMore: true });
    expect(await t.stock.expire(PARTITION)).toMatchObject({ ended: 256, hasMore: true });
    expect(await t.stock.expire(PARTITION)).toMatchObject({ ended: 88, hasMore: false });
    expect(await countsOf(sale.saleId)).toMatchObject({ held: 0, available: 600 });
  });

  it('ends each hold in its own time, though the clock was set back between them', async () => {
    const sale = saleOf({ stock: 3 });
    await t.stock.createSale(sale);
    for (const step of [0, -5_000, 1_000]) {
      t.clock.advance(step);
      await t.buy(sale.saleId, [{}]);
    }
    t.clock.advance(60_000 - 1_000 - 1);
    expect(await t.stock.expire(PARTITION)).toMatchObject({ ended: 0 });
    t.clock.advance(1);
    expect(await t.stock.expire(PARTITION)).toMatchObject({ ended: 1, lagMs: 0 });
    t.clock.advance(1_000);
    expect(await t.stock.expire(PARTITION)).toMatchObject({ ended: 1, lagMs: 0 });
    t.clock.advance(4_000);
    expect(await t.stock.expire(PARTITION)).toMatchObject({ ended: 1, lagMs: 0 });
    expect(await countsOf(sale.saleId)).toMatchObject({ held: 0, available: 3 });
  });

  it('passes over what was paid or given back by then, and comes no more', async () => {
    const sale = saleOf({ stock: 600 });
    await t.stock.createSale(sale);
    const ids = (await t.buy(sale.saleId, many(500))).map(idOf);
    await t.stock.confirm(ids.slice(0, 300).map((purchaseId) => ({ purchaseId, paymentRef: 'pi' })));
    await t.stock.release(ids.slice(300, 499).map((purchaseId) => ({ purchaseId, reason: 'BUYER' as const })));
    t.clock.advance(60_000);
    expect(await t.stock.expire(PARTITION)).toMatchObject({ ended: 0, hasMore: true });
    expect(await t.stock.expire(PARTITION)).toMatchObject({ ended: 1, hasMore: false });
    expect(await countsOf(sale.saleId)).toMatchObject({ held: 0, sold: 300, available: 300 });
    const names = [...(await t.dump()).keys()];
    expect(names.filter((name) => /:(holds|ends|deadlines)\b/.test(name))).toEqual([]);
  });

  it('offers to 256 who wait over all SKUs, and leaves the rest to admit', async () => {
    const items = Array.from({ length: 4 }, (_, i) => ({ sku: `S${i}`, stock: 200, unitPrice: 1, currency: 'EUR' }));
    const sale = saleOf({ items, holdMs: 1_000 });
    await t.stock.createSale(sale);
    for (const { sku } of items) await t.buy(sale.saleId, many(400), sku);
    await t.stock.setSaleState(sale.saleId, 'pause');
    t.clock.advance(1_000);
    await sweepPartition(t.stock, PARTITION);
    await t.stock.setSaleState(sale.saleId, 'open');
    expect(await t.stock.admit(PARTITION)).toEqual({ admitted: 256, hasMore: true });
    await sweepPartition(t.stock, PARTITION);
    for (const { sku } of items) {
      expect((await readCensus(t.stock, sale.saleId, sku)).counters).toMatchObject({
        held: 200,
        waiting: 0,
        head: 401,
      });
    }
  });

  it('runs while a sale is paused or closed, and admits nobody then', async () => {
    const sale = saleOf({ stock: 1 });
    await t.stock.createSale(sale);
    await t.buy(sale.saleId, many(2));
    await t.stock.setSaleState(sale.saleId, 'pause');
    t.clock.advance(60_000);
    await sweepPartition(t.stock, PARTITION);
    expect(await countsOf(sale.saleId)).toMatchObject({ available: 1, held: 0, waiting: 1, saleStatus: 'PAUSED' });
    await t.stock.setSaleState(sale.saleId, 'open');
    await sweepPartition(t.stock, PARTITION);
    expect(await countsOf(sale.saleId)).toMatchObject({ available: 0, held: 1, waiting: 0, saleStatus: 'OPEN' });
  });
});

describe('a long line', () => {
  it('of 20,000 who wait when the last unit is sold ends in slices', async () => {
    const sale = saleOf({ stock: 1, lineLimit: 30_000 });
    await t.stock.createSale(sale);
    const [first] = await t.buy(sale.saleId, [{}]);
    for (let i = 0; i < 40; i++) await t.buy(sale.saleId, many(500));
    await t.stock.confirm([{ purchaseId: idOf(first), paymentRef: 'pi' }]);
    // The script that sold it ended a slice of the line; nobody new is taken in meanwhile.
    expect(await countsOf(sale.saleId)).toMatchObject({ waiting: 20_000 - 256 });
    expect(told(await t.buy(sale.saleId, [{}]))).toEqual(['SOLD_OUT']);
    await sweepPartition(t.stock, PARTITION);
    expect(await countsOf(sale.saleId)).toMatchObject({ waiting: 0, sold: 1, lastTicket: 20_001 });
    const last = await t.stock.census(sale.saleId, 'SHIRT', 19_900);
    expect(new Set(last?.purchases.map((p) => p.status))).toEqual(new Set(['SOLD_OUT']));
    const sizes = (await t.outbox()).slice(42).map(({ records }) => records.length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(257);
  });

  it('of which most have left is passed over in slices, and the next is the first who stayed', async () => {
    const sale = saleOf({ stock: 1, lineLimit: 9_999 });
    await t.stock.createSale(sale);
    const [held, ...line] = (await t.buy(sale.saleId, many(500))).map(idOf);
    const release = (ids: readonly string[]) =>
      t.stock.release(ids.map((purchaseId) => ({ purchaseId, reason: 'BUYER' as const })));
    await release(line.slice(1, 400));
    expect(await countsOf(sale.saleId)).toMatchObject({ head: 2, waiting: 100 });
    await release(line.slice(0, 1)); // a slice of those behind it was looked at, and not all of them
    expect((await countsOf(sale.saleId)).head).toBe(2 + 256);
    await release([held ?? '']); // here the head goes on, and the unit finds the first who still waits
    const views = await t.stock.look(line.slice(400, 402));
    expect(views.map((v) => v?.status)).toEqual(['RESERVED', 'WAITING']);
    expect(await countsOf(sale.saleId)).toMatchObject({ head: 403, waiting: 98, held: 1 });
    await release(line.slice(401));
    expect(await countsOf(sale.saleId)).toMatchObject({ head: 501, waiting: 0, lastTicket: 500 });
  });

  it('that a slice left over is served in order before newcomers', async () => {
    const sale = saleOf({ stock: 1, lineLimit: 9_999 });
    await t.stock.createSale(sale);
    await t.buy(sale.saleId, [{}]);
    await t.buy(sale.saleId, many(500));
    await t.stock.restock({ saleId: sale.saleId, sku: 'SHIRT', by: 1_000, operationId: 'op', reason: 'found' });
    expect(await countsOf(sale.saleId)).toMatchObject({ held: 257, waiting: 244, available: 744 });
    // A newcomer's own call offers first, so that it may find the line empty; ticket order holds all the same.
    expect(told(await t.buy(sale.saleId, [{}]))).toEqual(['RESERVED 502']);
    await sweepPartition(t.stock, PARTITION);
    expect(await countsOf(sale.saleId)).toMatchObject({ held: 502, waiting: 0 });
  });
});
