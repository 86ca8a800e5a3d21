// A sale's own life: installed once, moved by the clock or an operator, its line ended in slices, and purged a day later.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sweepPartition } from '../../actors/hold-sweeper.ts';
import { OUTBOX_GROUP } from '../../actors/keys.ts';
import {
  idOf,
  openTestStock,
  PARTITION,
  readCensus,
  saleOf,
  START_MS,
  type TestStock,
  told,
} from '../support/stock.ts';

const DAY_MS = 24 * 3_600_000;
let t: TestStock;
beforeAll(async () => {
  t = await openTestStock();
});
beforeEach(() => t.reset());
afterAll(() => t.close());

const many = (count: number) => Array.from({ length: count }, () => ({}));
const statusOf = async (saleId: string) => (await t.stock.snapshot([saleId]))[0]?.status;
const acknowledgeAll = async () =>
  t.stock.acknowledge(
    PARTITION,
    (await t.outbox()).map(({ id }) => id),
  );

describe('sale-create', () => {
  it('loads the stock once, however often it is asked to', async () => {
    const sale = saleOf({ stock: 5 });
    expect(await t.stock.createSale(sale)).toEqual({ created: true });
    await t.buy(sale.saleId, [{}]);
    const before = await t.dump();
    expect(
      await t.stock.createSale({ ...sale, items: [{ sku: 'SHIRT', stock: 99, unitPrice: 1, currency: 'EUR' }] }),
    ).toEqual({
      created: false,
    });
    expect(await t.dump()).toEqual(before);
    const [entry] = await t.outbox();
    expect(entry?.records).toMatchObject([
      { kind: 'sale', seq: 1, saleId: sale.saleId, status: 'SCHEDULED', version: 1 },
      {
        kind: 'stock',
        seq: 2,
        movementId: `${sale.saleId}/SHIRT`,
        movement: { available: 5, held: 0, sold: 0, loaded: 5 },
        reason: 'LOAD',
      },
      { kind: 'sale', seq: 3, status: 'OPEN', version: 2 },
    ]);
  });

  it('may have no stock and many SKUs', async () => {
    const items = Array.from({ length: 200 }, (_, i) => ({
      sku: `S${i}`,
      stock: i % 2,
      unitPrice: 1,
      currency: 'EUR',
    }));
    const sale = saleOf({ items });
    await t.stock.createSale(sale);
    const [snapshot] = await t.stock.snapshot([sale.saleId]);
    expect(snapshot?.items.map((i) => i.sku)).toEqual(items.map((i) => i.sku));
    expect(told(await t.buy(sale.saleId, [{}], 'S0'))).toEqual(['SOLD_OUT']);
    expect(told(await t.buy(sale.saleId, [{}], 'S1'))).toEqual(['RESERVED 1']);
  });
});

describe('sale-state', () => {
  it('moves as the table says, and answers a repeat', async () => {
    const sale = saleOf({ startNow: false });
    await t.stock.createSale(sale);
    const move = (verb: 'open' | 'pause' | 'close') => t.stock.setSaleState(sale.saleId, verb);
    expect(await move('pause')).toEqual({ outcome: 'ILLEGAL', status: 'SCHEDULED' });
    expect(await move('open')).toEqual({ outcome: 'OK', status: 'OPEN' });
    expect(await move('open')).toEqual({ outcome: 'REPLAY', status: 'OPEN' });
    expect(await move('pause')).toEqual({ outcome: 'OK', status: 'PAUSED' });
    expect(await move('open')).toEqual({ outcome: 'OK', status: 'OPEN' });
    expect(await move('close')).toEqual({ outcome: 'OK', status: 'CLOSED' });
    expect(await move('close')).toEqual({ outcome: 'REPLAY', status: 'CLOSED' });
    expect(await move('open')).toEqual({ outcome: 'ILLEGAL', status: 'CLOSED' });
    expect(await t.stock.setSaleState(saleOf().saleId, 'open')).toEqual({ outcome: 'SALE_NOT_FOUND' });
  });

  it('gives every SKU a new version, so that readers see the new status', async () => {
    const items = ['A', 'B'].map((sku) => ({ sku, stock: 1, unitPrice: 1, currency: 'EUR' }));
    const sale = saleOf({ items });
    await t.stock.createSale(sale);
    const [before] = await t.stock.snapshot([sale.saleId]);
    await t.stock.setSaleState(sale.saleId, 'pause');
    const [after] = await t.stock.snapshot([sale.saleId]);
    expect(after?.items.map((i) => [i.saleStatus, i.version])).toEqual(
      before?.items.map((i) => ['PAUSED', i.version + 1]),
    );
  });

  it('close ends a line of 1,000 in slices of 256, and nothing else', async () => {
    const sale = saleOf({ stock: 2, lineLimit: 2_000 });
    await t.stock.createSale(sale);
    const [held, paid] = await t.buy(sale.saleId, many(502));
    await t.buy(sale.saleId, many(500));
    await t.stock.confirm([{ purchaseId: idOf(paid), paymentRef: 'pi' }]);
    await t.stock.setSaleState(sale.saleId, 'close');
    const waiting = async () => (await readCensus(t.stock, sale.saleId)).counters.waiting;
    const left = [await waiting()];
    while ((await t.stock.tick(PARTITION)).hasMore) left.push(await waiting());
    expect([...left, await waiting()]).toEqual([744, 488, 232, 0]);
    const { purchases } = await readCensus(t.stock, sale.saleId);
    expect([purchases[0]?.status, purchases[1]?.status]).toEqual(['RESERVED', 'CONFIRMED']);
    expect(new Set(purchases.slice(2).map((p) => `${p.status} ${p.reason}`))).toEqual(
      new Set(['CANCELLED SALE_CLOSED']),
    );
    // Units that come back stay in the closed sale.
    await t.stock.release([{ purchaseId: idOf(held), reason: 'BUYER' }]);
    expect((await readCensus(t.stock, sale.saleId)).counters).toMatchObject({ available: 1, held: 0, sold: 1 });
  });
});

describe('the clock', () => {
  it('opens a sale at its time, and the room is admitted in order', async () => {
    const sale = saleOf({ stock: 2, startNow: false, opensAt: START_MS + 1_000 });
    await t.stock.createSale(sale);
    expect(told(await t.buy(sale.saleId, many(4)))).toEqual(['WAITING 1', 'WAITING 2', 'WAITING 3', 'WAITING 4']);
    t.clock.advance(999);
    await sweepPartition(t.stock, PARTITION);
    expect(await statusOf(sale.saleId)).toBe('SCHEDULED');
    t.clock.advance(1);
    await sweepPartition(t.stock, PARTITION);
    const { purchases, counters } = await readCensus(t.stock, sale.saleId);
    expect(purchases.map((p) => p.status)).toEqual(['RESERVED', 'RESERVED', 'WAITING', 'WAITING']);
    expect(counters).toMatchObject({ saleStatus: 'OPEN', held: 2, head: 3 });
  });

  it.each(['buy', 'confirm', 'release', 'order'] as const)(
    'is met by whatever script comes first: %s',
    async (first) => {
      const terms = { stock: 3, startNow: false, opensAt: START_MS + 1_000, closesAt: START_MS + 5_000 };
      const sale = saleOf(terms);
      await t.stock.createSale(sale);
      const [one, two] = (await t.buy(sale.saleId, many(2))).map(idOf);
      t.clock.advance(1_000);
      if (first === 'buy') expect(told(await t.buy(sale.saleId, [{}]))).toEqual(['RESERVED 3']);
      if (first === 'confirm') await t.stock.confirm([{ purchaseId: one ?? '', paymentRef: 'pi' }]);
      if (first === 'release') await t.stock.release([{ purchaseId: two ?? '', reason: 'BUYER' }]);
      const items = [{ saleId: sale.saleId, sku: 'SHIRT', quantity: 1 }];
      if (first === 'order')
        expect(await t.stock.reserveOrder({ orderId: 'o', items })).toMatchObject({ outcome: 'RESERVED' });
      expect(await statusOf(sale.saleId)).toBe('OPEN');
      expect((await t.stock.look([one ?? '']))[0]?.status).toBe('RESERVED');
      t.clock.advance(4_000);
      expect(told(await t.buy(sale.saleId, [{}]))).toEqual(['SALE_CLOSED']);
      await sweepPartition(t.stock, PARTITION);
      expect(await statusOf(sale.saleId)).toBe('CLOSED');
    },
  );

  it('closes a sale that never opened, and a paused one', async () => {
    const [waiting, paused] = [
      saleOf({ startNow: false, closesAt: START_MS + 100 }),
      saleOf({ closesAt: START_MS + 100 }),
    ];
    await t.stock.createSale(waiting);
    await t.stock.createSale(paused);
    const [one] = await t.buy(waiting.saleId, [{}]);
    await t.stock.setSaleState(paused.saleId, 'pause');
    t.clock.advance(100);
    await sweepPartition(t.stock, PARTITION);
    expect([await statusOf(waiting.saleId), await statusOf(paused.saleId)]).toEqual(['CLOSED', 'CLOSED']);
    expect((await t.stock.look([idOf(one)]))[0]).toMatchObject({ status: 'CANCELLED', reason: 'SALE_CLOSED' });
  });
});

describe('the purge', () => {
  it('comes a day after the close, in slices, and leaves nothing of the sale', async () => {
    const [sale, other] = [saleOf({ stock: 700, holdMs: 2 * DAY_MS, perBuyerLimit: 2 }), saleOf()];
    await t.stock.createSale(sale);
    await t.stock.createSale(other);
    const ids = (await t.buy(sale.saleId, many(400))).map(idOf);
    await t.stock.reserveOrder({ orderId: 'ord_1', items: [{ saleId: sale.saleId, sku: 'SHIRT', quantity: 1 }] });
    await t.stock.setSaleState(sale.saleId, 'close');
    await t.redis.xgroup('CREATE', `db:{p${PARTITION}}:outbox`, OUTBOX_GROUP, '0');
    t.clock.advance(DAY_MS);
    await sweepPartition(t.stock, PARTITION);
    expect(await statusOf(sale.saleId)).toBe('CLOSED'); // Postgres does not have it all yet
    await acknowledgeAll();
    t.clock.advance(60_000);
    await sweepPartition(t.stock, PARTITION);
    expect(await statusOf(sale.saleId)).toBe('CLOSED'); // holds live
    t.clock.advance(DAY_MS);
    await sweepPartition(t.stock, PARTITION);
    await acknowledgeAll();
    t.clock.advance(60_000);
    const purchases = `db:{p${PARTITION}}:purchases`;
    const purged: number[] = [];
    for (let hasMore = true; hasMore; ) {
      const before = await t.redis.hlen(purchases);
      ({ hasMore } = await t.stock.tick(PARTITION));
      purged.push(before - (await t.redis.hlen(purchases)));
    }
    expect(purged.slice(0, 3)).toEqual([256, 144, 1]);
    expect(await statusOf(sale.saleId)).toBeUndefined();
    expect((await t.stock.look(ids)).every((view) => view === undefined)).toBe(true);
    expect(await t.redis.exists(purchases)).toBe(0);
    expect([...(await t.dump()).keys()].filter((name) => name.includes(sale.saleId))).toEqual([]);
    expect(await statusOf(other.saleId)).toBe('OPEN');
    expect(told(await t.buy(other.saleId, [{}]))).toEqual(['RESERVED 1']);
  });
});
