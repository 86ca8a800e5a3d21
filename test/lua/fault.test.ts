// Should Redis refuse a write in the middle of a step, because somebody put a key of another type there: the SKU concerned
// sells no more, what was decided is in the outbox, and its neighbours go on.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sweepPartition } from '../../actors/hold-sweeper.ts';
import { keys } from '../../actors/keys.ts';
import { idOf, openTestStock, PARTITION, readCensus, saleOf, type TestStock, told } from '../support/stock.ts';
import { readTrail } from './model/invariants.ts';

let t: TestStock;
let saleId: string;
const keyOf = (what: string, sku = 'A') => `db:{p${PARTITION}}:${what}:${saleId}:${sku}`;

beforeAll(async () => {
  t = await openTestStock();
});
beforeEach(async () => {
  await t.reset();
  const items = ['A', 'B'].map((sku) => ({ sku, stock: 5, unitPrice: 1, currency: 'EUR' }));
  const sale = saleOf({ items, perBuyerLimit: 2, holdMs: 1_000 });
  saleId = sale.saleId;
  await t.stock.createSale(sale);
});
afterAll(() => t.close());

async function spoil(name: string): Promise<void> {
  await t.redis.del(name);
  await t.redis.set(name, 'not what it should be');
}

describe('a key of another type', () => {
  it.each(['tickets', 'big'])('under %s blocks the SKU after the step that met it', async (what) => {
    await t.buy(saleId, [{}], 'A');
    await spoil(keyOf(what));
    const wishes = [{ purchaseId: `pur_0${PARTITION}aaaaaaaa`, buyer: 'u_a', quantity: what === 'big' ? 2 : 1 }];
    if (what === 'big') await t.buy(saleId, [{ quantity: 2 }, { quantity: 2 }], 'A');
    // The step is decided and told to the outbox: its answer stands.
    const [outcome] = told(await t.buy(saleId, wishes, 'A'));
    expect(outcome).toMatch(/RESERVED|WAITING/);
    expect(told(await t.buy(saleId, wishes, 'A'))).toEqual([outcome]);
    expect(told(await t.buy(saleId, [{}], 'A'))).toEqual(['SALE_PAUSED']);
    expect(await t.redis.hget(keyOf('stock'), 'blocked')).toBe('FAULT');
    const [snapshot] = await t.stock.snapshot([saleId]);
    expect(snapshot?.items.map((i) => i.saleStatus)).toEqual(['PAUSED', 'OPEN']);
    const [a] = snapshot?.items ?? [];
    expect(readTrail(await t.outbox()).get(`${saleId} A`)).toMatchObject({
      available: a?.available,
      held: a?.held,
      sold: 0,
    });
    expect(told(await t.buy(saleId, [{}], 'B'))).toEqual(['RESERVED 1']);
  });

  it('under orders blocks the SKU, and the order keeps its answer', async () => {
    await spoil(keyOf('orders'));
    const items = ['A', 'B'].map((sku) => ({ saleId, sku, quantity: 1 }));
    const first = await t.stock.reserveOrder({ orderId: 'o', items });
    expect(first.outcome).toBe('RESERVED');
    expect(await t.stock.reserveOrder({ orderId: 'o', items })).toEqual({ ...first, outcome: 'REPLAY' });
    expect(told(await t.buy(saleId, [{}], 'A'))).toEqual(['SALE_PAUSED']);
    expect(told(await t.buy(saleId, [{}], 'B'))).toEqual(['RESERVED 1']);
  });

  it('of one SKU does not keep the holds of another from ending', async () => {
    const ids = (await t.buy(saleId, [{}, {}], 'A')).map(idOf);
    await t.buy(saleId, [{}, {}], 'B');
    await spoil(keyOf('tickets'));
    await t.buy(saleId, [{}], 'A');
    t.clock.advance(1_000);
    await sweepPartition(t.stock, PARTITION);
    expect((await readCensus(t.stock, saleId, 'B')).counters).toMatchObject({
      held: 0,
      available: 5,
      saleStatus: 'OPEN',
    });
    // Whose they were is in the list that is gone: they wait for a rebuild, and can be paid and given back meanwhile.
    await t.stock.confirm([{ purchaseId: ids[0] ?? '', paymentRef: 'pi' }]);
    await t.stock.release([{ purchaseId: ids[1] ?? '', reason: 'BUYER' }]);
    const views = await t.stock.look(ids);
    expect(views.map((v) => v?.status)).toEqual(['CONFIRMED', 'CANCELLED']);
    expect(views[0]?.counters).toMatchObject({ sold: 1, saleStatus: 'PAUSED' });
  });

  it.each(['ends', 'holds', 'big'])('under %s blocks the SKU at the first look, and its sale goes on', async (what) => {
    const [one, two] = (await t.buy(saleId, [{}, {}], 'A')).map(idOf);
    await t.buy(saleId, [{}], 'B');
    await spoil(keyOf(what));
    if (what === 'big') await t.buy(saleId, [{ quantity: 2 }, { quantity: 2 }], 'A');
    else await t.buy(saleId, [{}], 'A');
    expect(told(await t.buy(saleId, [{}], 'A'))).toEqual(['SALE_PAUSED']);
    expect(await t.redis.hget(keyOf('stock'), 'blocked')).toBe('FAULT');
    // What is held can still be paid and given back, whatever the sweep can or cannot see.
    expect(await t.stock.confirm([{ purchaseId: one ?? '', paymentRef: 'pi' }])).toMatchObject([
      { decision: 'CONFIRMED' },
    ]);
    expect(await t.stock.release([{ purchaseId: two ?? '', reason: 'BUYER' }])).toMatchObject([
      { outcome: 'RELEASED' },
    ]);
    expect((await t.stock.snapshot([saleId]))[0]?.items[0]).toMatchObject({ sold: 1, saleStatus: 'PAUSED' });
    t.clock.advance(1_000);
    await sweepPartition(t.stock, PARTITION);
    expect((await readCensus(t.stock, saleId, 'B')).counters).toMatchObject({ held: 0, available: 5 });
    expect(told(await t.buy(saleId, [{}], 'B'))).toEqual(['RESERVED 2']);
  });

  it('in place of the outbox stops the partition before anything is written', async () => {
    await spoil(keys.outbox(PARTITION));
    const before = await t.dump();
    await expect(t.buy(saleId, [{}], 'A')).rejects.toMatchObject({ code: 'INTERNAL' });
    await expect(t.stock.setSaleState(saleId, 'pause')).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(await t.dump()).toEqual(before);
  });

  it('in place of the purchases stops the partition before anything is written', async () => {
    await t.buy(saleId, [{}], 'A');
    await spoil(`db:{p${PARTITION}}:purchases`);
    const before = await t.dump();
    await expect(t.buy(saleId, [{}], 'A')).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(await t.dump()).toEqual(before);
  });
});

describe('counts that somebody changed', () => {
  it.each([
    ['available', 3],
    ['held', -1],
    ['sold', 1],
    ['loaded', 10],
  ])('(%s by %i) block the SKU in the first step that writes them, and no other', async (name, by) => {
    const [one] = (await t.buy(saleId, [{}], 'A')).map(idOf);
    await t.redis.hincrby(keyOf('stock'), name, by);
    await t.buy(saleId, [{}], 'A'); // decided before the books were seen to be wrong
    expect(told(await t.buy(saleId, [{}], 'A'))).toEqual(['SALE_PAUSED']);
    expect(await t.redis.hget(keyOf('stock'), 'blocked')).toBe('FAULT');
    expect(told(await t.buy(saleId, [{}], 'B'))).toEqual(['RESERVED 1']);
    expect(await t.stock.confirm([{ purchaseId: one ?? '', paymentRef: 'pi' }])).toMatchObject([
      { decision: 'CONFIRMED' },
    ]);
  });
});
