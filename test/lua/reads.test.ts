// snapshot, look, census: what others see of the stock; and the outbox, which tells Postgres everything that happened.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sweepPartition } from '../../actors/hold-sweeper.ts';
import { idOf, openTestStock, PARTITION, readCensus, saleOf, START_MS, type TestStock } from '../support/stock.ts';
import { readTrail } from './model/invariants.ts';

let t: TestStock;
beforeAll(async () => {
  t = await openTestStock();
});
beforeEach(() => t.reset());
afterAll(() => t.close());

const many = (count: number) => Array.from({ length: count }, () => ({}));

describe('snapshot', () => {
  it('answers in the order asked, over partitions, with undefined for what is not there', async () => {
    const sales = [saleOf({ partition: 5, stock: 1 }), saleOf({ stock: 2 }), saleOf({ partition: 5, stock: 3 })];
    for (const sale of sales) await t.stock.createSale(sale);
    const ids = [sales[2]?.saleId ?? '', 'nonsense', sales[1]?.saleId ?? '', saleOf().saleId, sales[0]?.saleId ?? ''];
    const snapshots = await t.stock.snapshot(ids);
    expect(snapshots.map((s) => s?.items[0]?.loaded)).toEqual([3, undefined, 2, undefined, 1]);
    expect(snapshots[2]).toMatchObject({ saleId: sales[1]?.saleId, status: 'OPEN', version: 2, seq: 3 });
  });
});

describe('look', () => {
  it('tells place and wait of who waits, and changes nothing', async () => {
    const sale = saleOf({ stock: 2, startNow: false, opensAt: START_MS + 10_000, admissionPerSecond: 1 });
    await t.stock.createSale(sale);
    const ids = (await t.buy(sale.saleId, many(3))).map(idOf);
    const before = await t.dump();
    const views = await t.stock.look([...ids, `pur_0${PARTITION}aaaaaaaa`]);
    expect(await t.dump()).toEqual(before);
    expect(views.map((v) => v && [v.ahead, v.estimatedWaitSeconds])).toEqual([[0, 11], [1, 12], [2, 70], undefined]);
    expect(views[0]?.counters).toMatchObject({ saleStatus: 'SCHEDULED', waiting: 3, head: 1, lastTicket: 3 });
  });

  it('counts the rounds of holds before the opening as after it', async () => {
    const sale = saleOf({ stock: 2, startNow: false, opensAt: START_MS + 10_000 });
    await t.stock.createSale(sale);
    const ids = (await t.buy(sale.saleId, many(7))).map(idOf);
    const waits = async () => (await t.stock.look(ids)).map((view) => view?.estimatedWaitSeconds);
    expect(await waits()).toEqual([10, 10, 70, 70, 130, 130, 190]);
    t.clock.advance(10_000);
    await sweepPartition(t.stock, PARTITION);
    expect(await waits()).toEqual([0, 0, 60, 60, 120, 120, 180]);
  });

  it('says nothing of the wait before an opening without a date, and during a pause', async () => {
    const sale = saleOf({ stock: 1, startNow: false });
    await t.stock.createSale(sale);
    const [one, two] = (await t.buy(sale.saleId, many(2))).map(idOf);
    const view = async (id = '') => (await t.stock.look([id]))[0];
    expect(await view(one)).toMatchObject({ ahead: 0, estimatedWaitSeconds: null });
    await t.stock.setSaleState(sale.saleId, 'open');
    await sweepPartition(t.stock, PARTITION);
    expect(await view(two)).toMatchObject({ ahead: 0, estimatedWaitSeconds: 60 });
    await t.stock.setSaleState(sale.saleId, 'pause');
    expect(await view(two)).toMatchObject({ ahead: 0, estimatedWaitSeconds: null });
  });
});

describe('census', () => {
  it('pages through all purchases by ticket, then the holds of orders', async () => {
    const sale = saleOf({ stock: 1_000, lineLimit: 0 });
    await t.stock.createSale(sale);
    for (let i = 0; i < 2; i++) await t.buy(sale.saleId, many(300));
    for (let i = 0; i < 3; i++) {
      await t.stock.reserveOrder({ orderId: `o${i}`, items: [{ saleId: sale.saleId, sku: 'SHIRT', quantity: 2 }] });
    }
    const first = await t.stock.census(sale.saleId, 'SHIRT', 1);
    expect([first?.purchases.length, first?.next, first?.counters.held]).toEqual([256, 257, 606]);
    const { purchases } = await readCensus(t.stock, sale.saleId);
    expect(purchases.map((p) => p.ticket)).toEqual([...Array.from({ length: 600 }, (_, i) => i + 1), 0, 0, 0]);
    expect(await t.stock.census(sale.saleId, 'SHIRT', 604)).toMatchObject({ purchases: [], next: 0 });
  });

  it('ends after an even page, and knows no other SKU', async () => {
    const sale = saleOf({ stock: 512 });
    await t.stock.createSale(sale);
    await t.buy(sale.saleId, many(512));
    expect((await t.stock.census(sale.saleId, 'SHIRT', 257))?.next).toBe(0);
    expect(await t.stock.census(sale.saleId, 'CAP', 1)).toBeUndefined();
    expect(await t.stock.census(saleOf().saleId, 'SHIRT', 1)).toBeUndefined();
  });
});

describe('the outbox', () => {
  it('has one record a changed purchase and call, with seq and versions that have no gap', async () => {
    const sale = saleOf({ stock: 3, lineLimit: 9 });
    await t.stock.createSale(sale);
    const ids = (await t.buy(sale.saleId, many(6))).map(idOf);
    const at = (i: number) => ids[i] ?? '';
    await t.stock.mark([
      { purchaseId: at(0), status: 'PAYMENT_PENDING' },
      { purchaseId: at(0), status: 'PAYMENT_FAILED' },
    ]);
    await t.stock.confirm([{ purchaseId: at(0), paymentRef: 'pi' }]);
    await t.stock.release([
      { purchaseId: at(1), reason: 'BUYER' },
      { purchaseId: at(0), reason: 'REFUND' },
    ]);
    await t.stock.restock({ saleId: sale.saleId, sku: 'SHIRT', by: 2, operationId: 'op', reason: 'found' });
    t.clock.advance(60_000);
    await sweepPartition(t.stock, PARTITION);
    const entries = await t.outbox();
    expect(entries.map(({ id, records }) => [id, records.length])).toEqual(
      entries.map(({ records }) => [`${records.at(-1)?.seq}-${records.length}`, records.length]),
    );
    const trail = readTrail(entries).get(`${sale.saleId} SHIRT`);
    const { counters } = await readCensus(t.stock, sale.saleId);
    expect(trail).toMatchObject({ loaded: 5, available: counters.available, held: counters.held, sold: counters.sold });
    expect(entries[2]?.records).toMatchObject([
      { purchaseId: at(0), version: 2, status: 'PAYMENT_FAILED', movement: { held: 0 } },
    ]);
    // Given back and handed on within one call: each purchase with its own movement.
    expect(entries[4]?.records.map((r) => r.kind === 'purchase' && [r.purchaseId, r.status, r.movement])).toEqual([
      [at(1), 'CANCELLED', { available: 1, held: -1, sold: 0, loaded: 0 }],
      [at(0), 'REFUNDED', { available: 1, held: 0, sold: -1, loaded: 0 }],
      [at(3), 'RESERVED', { available: -1, held: 1, sold: 0, loaded: 0 }],
      [at(4), 'RESERVED', { available: -1, held: 1, sold: 0, loaded: 0 }],
    ]);
  });

  it('gets no entry from a call that changes nothing', async () => {
    await t.stock.createSale(saleOf({ stock: 0 }));
    const before = await t.dump();
    await sweepPartition(t.stock, PARTITION);
    await t.stock.confirm([{ purchaseId: `pur_0${PARTITION}aaaaaaaa`, paymentRef: 'pi' }]);
    expect(await t.dump()).toEqual(before);
  });
});
