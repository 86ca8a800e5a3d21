// What holds newcomers and the line back: the throttle, the payment backlog, the outbox backlog, memory. What ends holds
// goes on meanwhile.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sweepPartition } from '../../actors/hold-sweeper.ts';
import { keys } from '../../actors/keys.ts';
import { unownedPurchaseId } from '../../actors/purchase-ids.ts';
import { OUTBOX_BACKLOG_MAX_RECORDS } from '../../core/constants.ts';
import { idOf, openTestStock, PARTITION, readCensus, saleOf, type TestStock, told } from '../support/stock.ts';

let t: TestStock;
beforeAll(async () => {
  t = await openTestStock();
});
beforeEach(() => t.reset());
afterAll(() => t.close());

const many = (count: number) => Array.from({ length: count }, () => ({}));
const heldOf = async (saleId: string) => (await readCensus(t.stock, saleId)).counters.held;

describe('the throttle', () => {
  it('admits at its rate, also below one a second', async () => {
    const sale = saleOf({ stock: 10, admissionPerSecond: 0.5 });
    await t.stock.createSale(sale);
    expect(told(await t.buy(sale.saleId, many(3)))).toEqual(['WAITING 1', 'WAITING 2', 'WAITING 3']);
    const admitted: number[] = [];
    for (let second = 1; second <= 7; second++) {
      t.clock.advance(1_000);
      await sweepPartition(t.stock, PARTITION);
      admitted.push(await heldOf(sale.saleId));
    }
    expect(admitted).toEqual([0, 1, 1, 2, 2, 3, 3]);
  });

  it('keeps its pace over many sweeps, and saves half a second of burst at most', async () => {
    const sale = saleOf({ stock: 1_000, admissionPerSecond: 10, lineLimit: 1_000 });
    await t.stock.createSale(sale);
    t.clock.advance(60_000);
    expect(told(await t.buy(sale.saleId, many(7))).map((text) => text.split(' ')[0])).toEqual([
      ...['RESERVED', 'RESERVED', 'RESERVED', 'RESERVED', 'RESERVED'],
      ...['WAITING', 'WAITING'],
    ]);
    await t.buy(sale.saleId, many(300));
    for (let i = 0; i < 40; i++) {
      t.clock.advance(250);
      await sweepPartition(t.stock, PARTITION);
    }
    expect(await heldOf(sale.saleId)).toBe(105); // 5 of the burst, 10 a second in 10 s
  });

  it('is shared by the SKUs of a sale', async () => {
    const items = ['A', 'B'].map((sku) => ({ sku, stock: 10, unitPrice: 1, currency: 'EUR' }));
    const sale = saleOf({ items, admissionPerSecond: 2 });
    await t.stock.createSale(sale);
    await t.buy(sale.saleId, many(5), 'A');
    await t.buy(sale.saleId, many(5), 'B');
    for (let i = 0; i < 4; i++) {
      t.clock.advance(500);
      await sweepPartition(t.stock, PARTITION);
    }
    const held = await Promise.all(
      ['A', 'B'].map(async (sku) => (await readCensus(t.stock, sale.saleId, sku)).counters.held),
    );
    expect((held[0] ?? 0) + (held[1] ?? 0)).toBe(4);
  });

  it('loses nothing when the clock is set back', async () => {
    const sale = saleOf({ stock: 10, admissionPerSecond: 1 });
    await t.stock.createSale(sale);
    t.clock.advance(500);
    await t.buy(sale.saleId, [{}]);
    t.clock.advance(-10_000);
    await t.buy(sale.saleId, [{}]);
    t.clock.advance(10_500);
    await sweepPartition(t.stock, PARTITION);
    expect(await heldOf(sale.saleId)).toBe(1);
  });
});

describe('the payment backlog', () => {
  it('stops admission, and a started payment resumes it', async () => {
    const sale = saleOf({ stock: 10, paymentStart: 'eager', startBacklogLimit: 2 });
    await t.stock.createSale(sale);
    const ids = (await t.buy(sale.saleId, many(4))).map(idOf);
    expect(await heldOf(sale.saleId)).toBe(2);
    await t.stock.mark([{ purchaseId: ids[0] ?? '', status: 'PAYMENT_PENDING' }]);
    expect(await heldOf(sale.saleId)).toBe(3);
    await t.stock.release([{ purchaseId: ids[1] ?? '', reason: 'BUYER' }]);
    expect(await heldOf(sale.saleId)).toBe(3);
    t.clock.advance(60_000);
    await sweepPartition(t.stock, PARTITION);
    const { purchases } = await readCensus(t.stock, sale.saleId);
    expect(purchases.map((p) => p.status)).toEqual(['EXPIRED', 'CANCELLED', 'EXPIRED', 'EXPIRED']);
    expect(told(await t.buy(sale.saleId, many(3)))).toEqual(['RESERVED 5', 'RESERVED 6', 'WAITING 7']);
  });

  it('does not bind where buyers start their payments themselves, nor count the holds of orders', async () => {
    const sale = saleOf({ stock: 10, paymentStart: 'on_demand', startBacklogLimit: 1 });
    const eager = saleOf({ stock: 10, paymentStart: 'eager', startBacklogLimit: 1 });
    await t.stock.createSale(sale);
    await t.stock.createSale(eager);
    await t.buy(sale.saleId, many(3));
    expect(await heldOf(sale.saleId)).toBe(3);
    await t.stock.reserveOrder({ orderId: 'ord_1', items: [{ saleId: eager.saleId, sku: 'SHIRT', quantity: 3 }] });
    expect(told(await t.buy(eager.saleId, many(2)))).toEqual(['RESERVED 1', 'WAITING 2']);
  });
});

describe('a full outbox', () => {
  it('refuses newcomers with BACKLOG_FULL, while what holds stock is confirmed, released and expired', async () => {
    const sale = saleOf({ stock: 3 });
    await t.stock.createSale(sale);
    const wishes = Array.from({ length: 4 }, (_, i) => ({ purchaseId: unownedPurchaseId(PARTITION), buyer: `u_${i}` }));
    const ids = (await t.buy(sale.saleId, wishes)).map(idOf);
    await t.redis.hincrby(keys.fence(PARTITION), 'applied', -OUTBOX_BACKLOG_MAX_RECORDS);
    const before = await t.dump();
    expect(told(await t.buy(sale.saleId, [{}]))).toEqual(['BACKLOG_FULL']);
    const items = [{ saleId: sale.saleId, sku: 'SHIRT', quantity: 1 }];
    expect(await t.stock.reserveOrder({ orderId: 'ord_1', items })).toMatchObject({ outcome: 'BACKLOG_FULL' });
    await expect(t.stock.admit(PARTITION)).rejects.toMatchObject({ code: 'BACKLOG_FULL', retryAfterSeconds: 1 });
    expect(await t.dump()).toEqual(before);
    expect(told(await t.buy(sale.saleId, wishes.slice(0, 1)))).toEqual(['RESERVED 1']); // a retry gets its answer
    await t.stock.confirm([{ purchaseId: ids[0] ?? '', paymentRef: 'pi' }]);
    await t.stock.release([{ purchaseId: ids[1] ?? '', reason: 'BUYER' }]);
    t.clock.advance(60_000);
    await sweepPartition(t.stock, PARTITION);
    const { purchases } = await readCensus(t.stock, sale.saleId);
    expect(purchases.map((p) => p.status)).toEqual(['CONFIRMED', 'CANCELLED', 'EXPIRED', 'EXPIRED']);
  });

  it('does not slow the sweep down: all due holds end, however many', async () => {
    const sale = saleOf({ stock: 512 });
    await t.stock.createSale(sale);
    await t.buy(sale.saleId, many(512));
    await t.redis.hincrby(keys.fence(PARTITION), 'applied', -OUTBOX_BACKLOG_MAX_RECORDS);
    t.clock.advance(60_000);
    await sweepPartition(t.stock, PARTITION);
    expect(await heldOf(sale.saleId)).toBe(0);
  });
});

describe('short memory', () => {
  async function usedMemory(): Promise<number> {
    return Number(/used_memory:(\d+)/.exec(await t.redis.info('memory'))?.[1]);
  }

  it('refuses newcomers from 80 % on, and serves who is in even when it is full', async () => {
    const sale = saleOf({ stock: 3 });
    await t.stock.createSale(sale);
    const ids = (await t.buy(sale.saleId, many(4))).map(idOf);
    try {
      await t.redis.config('SET', 'maxmemory', String(Math.round((await usedMemory()) / 0.9)));
      expect(told(await t.buy(sale.saleId, [{}]))).toEqual(['LOW_MEMORY']);
      await expect(t.stock.admit(PARTITION)).rejects.toMatchObject({ code: 'LOW_MEMORY' });
      await t.redis.config('SET', 'maxmemory', '1mb');
      await expect(t.buy(sale.saleId, [{}])).rejects.toMatchObject({ code: 'LOW_MEMORY' });
      await expect(t.stock.createSale(saleOf())).rejects.toMatchObject({ code: 'LOW_MEMORY' });
      expect(await t.stock.confirm([{ purchaseId: ids[0] ?? '', paymentRef: 'pi' }])).toMatchObject([
        { decision: 'CONFIRMED' },
      ]);
      expect(await t.stock.mark([{ purchaseId: ids[1] ?? '', status: 'PAYMENT_PENDING' }])).toMatchObject([
        { outcome: 'MARKED' },
      ]);
      expect(await t.stock.release([{ purchaseId: ids[1] ?? '', reason: 'BUYER' }])).toMatchObject([
        { outcome: 'RELEASED' },
      ]);
      t.clock.advance(60_000);
      await sweepPartition(t.stock, PARTITION);
      expect(
        await t.stock.acknowledge(
          PARTITION,
          (await t.outbox()).map(({ id }) => id),
        ),
      ).toBeGreaterThan(0);
    } finally {
      await t.redis.config('SET', 'maxmemory', '0');
    }
    const { purchases } = await readCensus(t.stock, sale.saleId);
    // The released unit went to the head of the line, whose hold has ended since.
    expect(purchases.map((p) => p.status)).toEqual(['CONFIRMED', 'CANCELLED', 'EXPIRED', 'EXPIRED']);
  });
});
