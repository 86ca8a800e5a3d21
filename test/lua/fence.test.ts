// attach and the fence: a Redis that lacks what its callers know never sells; and time is Redis' own, except in tests.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keys, OUTBOX_GROUP } from '../../actors/keys.ts';
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import {
  createEpochRecord,
  openTestStock,
  PARTITION,
  saleOf,
  START_MS,
  type TestStock,
  told,
} from '../support/stock.ts';

let t: TestStock;
beforeAll(async () => {
  t = await openTestStock();
});
beforeEach(() => t.reset());
afterAll(() => t.close());

const fenced = { code: 'FENCED', status: 503 };
const fence = keys.fence(PARTITION);
const newStore = () => createStockStore({ redis: t.redis, testNow: t.clock.now });

async function knownBy(rows: Record<number, { epoch: number; seq: number }>): Promise<StockStore> {
  const record = createEpochRecord();
  for (const [partition, row] of Object.entries(rows)) record.rows.set(Number(partition), row);
  const stock = newStore();
  await stock.attach(record);
  return stock;
}

describe('attach', () => {
  it('begins epoch 1 in a new Redis, tells the record, and is idempotent', async () => {
    await t.redis.flushall();
    const record = createEpochRecord();
    const stock = newStore();
    expect(stock.isAttached).toBe(false);
    await expect(stock.createSale(saleOf())).rejects.toMatchObject(fenced);
    await stock.attach(record);
    expect(stock.isAttached).toBe(true);
    expect([...record.rows.values()]).toEqual(Array.from({ length: 8 }, () => ({ epoch: 1, seq: 0 })));
    const before = await t.dump();
    await newStore().attach(record);
    expect(await t.dump()).toEqual(before);
  });

  it('finds a partition whose record was not written yet', async () => {
    await t.redis.flushall();
    await newStore().attach(createEpochRecord());
    const stock = await knownBy({});
    expect(stock.isAttached).toBe(true);
  });

  it('refuses an empty Redis that Postgres knows', async () => {
    await t.redis.flushall();
    await expect(knownBy({ 5: { epoch: 1, seq: 0 } })).rejects.toMatchObject({
      ...fenced,
      detail: expect.stringContaining('Partition 5'),
    });
    expect(await t.redis.exists(keys.fence(5))).toBe(0);
  });

  it.each([
    ['is behind Postgres', { epoch: 1, seq: 99 }],
    ['is of another epoch', { epoch: 2, seq: 0 }],
  ])('refuses a Redis that %s', async (reason, row) => {
    await t.stock.createSale(saleOf());
    await expect(knownBy({ [PARTITION]: row })).rejects.toMatchObject({
      ...fenced,
      detail: expect.stringContaining(reason),
    });
  });

  it('refuses a Redis that sold for another database, and a damaged fence', async () => {
    await t.stock.createSale(saleOf());
    await expect(knownBy({})).rejects.toMatchObject(fenced);
    await t.redis.hdel(fence, 'seq');
    await expect(knownBy({ [PARTITION]: { epoch: 1, seq: 0 } })).rejects.toMatchObject(fenced);
    await t.redis.hdel(fence, 'epoch');
    await t.redis.hset(fence, 'seq', '5');
    await expect(knownBy({ [PARTITION]: { epoch: 1, seq: 0 } })).rejects.toMatchObject(fenced);
  });
});

describe('the fence', () => {
  const verbs: [string, (stock: StockStore, saleId: string) => Promise<unknown>][] = [
    ['reserve', (stock, saleId) => stock.reserve(saleId, 'SHIRT', [])],
    ['admit', (stock) => stock.admit(PARTITION)],
    ['expire', (stock) => stock.expire(PARTITION)],
    ['tick', (stock) => stock.tick(PARTITION)],
    ['confirm', (stock) => stock.confirm([{ purchaseId: `pur_0${PARTITION}aaaaaaaa`, paymentRef: '' }])],
    ['release', (stock) => stock.release([{ purchaseId: `pur_0${PARTITION}aaaaaaaa`, reason: 'BUYER' }])],
    ['mark', (stock) => stock.mark([{ purchaseId: `pur_0${PARTITION}aaaaaaaa`, status: 'REFUNDED' }])],
    ['look', (stock) => stock.look([`pur_0${PARTITION}aaaaaaaa`])],
    ['snapshot', (stock, saleId) => stock.snapshot([saleId])],
    ['census', (stock, saleId) => stock.census(saleId, 'SHIRT', 1)],
    ['createSale', (stock) => stock.createSale(saleOf())],
    ['setSaleState', (stock, saleId) => stock.setSaleState(saleId, 'pause')],
    ['restock', (stock, saleId) => stock.restock({ saleId, sku: 'SHIRT', by: 1, operationId: 'op', reason: '' })],
    [
      'reserveOrder',
      (stock, saleId) => stock.reserveOrder({ orderId: 'o', items: [{ saleId, sku: 'SHIRT', quantity: 1 }] }),
    ],
    ['releaseOrder', (stock) => stock.releaseOrder('o')],
    ['acknowledge', (stock) => stock.acknowledge(PARTITION, ['1-1'])],
  ];

  it.each(verbs)('stops %s: a Redis that is empty, older, or of another epoch', async (_name, verb) => {
    const sale = saleOf();
    await t.stock.createSale(sale);
    for (const damage of [
      ['seq', '1'],
      ['epoch', '2'],
      ['epoch', '0'],
    ] as const) {
      const was = (await t.redis.hget(fence, damage[0])) ?? '';
      await t.redis.hset(fence, damage[0], damage[1]);
      const before = await t.dump();
      await expect(verb(t.stock, sale.saleId)).rejects.toMatchObject(fenced);
      expect(await t.dump()).toEqual(before);
      await t.redis.hset(fence, damage[0], was);
    }
    await t.redis.flushall();
    await expect(verb(t.stock, sale.saleId)).rejects.toMatchObject(fenced);
    expect(await t.redis.dbsize()).toBe(0);
  });

  it('lets a process pass whose Redis is further than it knows', async () => {
    const other = await knownBy({ [PARTITION]: { epoch: 1, seq: 0 } });
    const sale = saleOf();
    await t.stock.createSale(sale);
    const item = { purchaseId: `pur_0${PARTITION}aaaaaaaa`, buyer: 'u', quantity: 1, fingerprint: 'f' };
    expect(told((await other.reserve(sale.saleId, 'SHIRT', [item])).outcomes)).toEqual(['RESERVED 1']);
    await t.redis.hset(fence, 'seq', '3');
    await expect(other.expire(PARTITION)).rejects.toMatchObject(fenced);
  });

  it('takes the time from outside only where the partition is marked for tests', async () => {
    const sale = saleOf({ holdMs: 1_000 });
    await t.stock.createSale(sale);
    await t.redis.hdel(fence, 'testClock');
    const before = await t.dump();
    await expect(t.stock.expire(PARTITION)).rejects.toMatchObject({
      code: 'INTERNAL',
      detail: expect.stringContaining('tests only'),
    });
    expect(await t.dump()).toEqual(before);
    const real = createStockStore({ redis: t.redis });
    const record = createEpochRecord();
    record.rows.set(PARTITION, { epoch: 1, seq: 0 });
    await real.attach(record);
    const item = { purchaseId: `pur_0${PARTITION}aaaaaaaa`, buyer: 'u', quantity: 1, fingerprint: 'f' };
    const { outcomes } = await real.reserve(sale.saleId, 'SHIRT', [item]);
    // Redis' own clock, which is years before the test's.
    expect(outcomes[0]?.kind === 'purchase' && outcomes[0].purchase.createdAt).toBeLessThan(START_MS);
  });
});

describe('acknowledge', () => {
  it('removes entries from stream and group, and counts their records once', async () => {
    const sale = saleOf();
    await t.redis.xgroup('CREATE', keys.outbox(PARTITION), OUTBOX_GROUP, '0', 'MKSTREAM');
    await t.stock.createSale(sale);
    await t.buy(sale.saleId, [{}, {}]);
    await t.redis.xreadgroup('GROUP', OUTBOX_GROUP, 'c', 'STREAMS', keys.outbox(PARTITION), '>');
    const ids = (await t.outbox()).map(({ id }) => id);
    expect(ids).toEqual(['3-3', '5-2']);
    expect(await t.stock.acknowledge(PARTITION, ids.slice(1))).toBe(1);
    expect(await t.redis.hmget(fence, 'seq', 'applied')).toEqual(['5', '2']);
    expect(await t.stock.acknowledge(PARTITION, ids)).toBe(1);
    expect(await t.stock.acknowledge(PARTITION, ids)).toBe(0);
    expect(await t.redis.hmget(fence, 'seq', 'applied')).toEqual(['5', '5']);
    expect(await t.redis.xlen(keys.outbox(PARTITION))).toBe(0);
    expect((await t.redis.xpending(keys.outbox(PARTITION), OUTBOX_GROUP))[0]).toBe(0);
    await t.buy(sale.saleId, [{}]); // the stream's ids go on where they were
    expect((await t.outbox()).map(({ id }) => id)).toEqual(['6-1']);
  });
});
