// attach and the fence: a Redis that lacks what its callers know never sells; and time is Redis' own, except in tests.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keys, OUTBOX_GROUP } from '../../actors/keys.ts';
import { scripts } from '../../actors/scripts.ts';
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import { unpack } from '../../core/redis/msgpack.ts';
import { runScript } from '../../core/redis/scripts.ts';
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
/** A caller that saw more than Redis has may take the mark of its check away, and nothing else. */
async function dumpBesideFence(): Promise<Map<string, string>> {
  const dump = await t.dump();
  dump.delete(fence);
  return dump;
}
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
    const sound = await t.redis.hgetall(fence);
    for (const damage of [
      ['seq', '1'],
      ['epoch', '2'],
      ['epoch', '0'],
    ] as const) {
      await t.redis.hset(fence, damage[0], damage[1]);
      const before = await dumpBesideFence();
      await expect(verb(t.stock, sale.saleId)).rejects.toMatchObject(fenced);
      expect(await dumpBesideFence()).toEqual(before);
      await t.redis.hset(fence, sound);
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

describe('a Redis that was restarted', () => {
  /** What a restart changes for the scripts: the mark of the process that was checked is not this one's. */
  const restart = () =>
    Promise.all(Array.from({ length: 8 }, (_, p) => t.redis.hset(keys.fence(p), 'run', 'another_run_')));
  const item = { purchaseId: `pur_0${PARTITION}aaaaaaaa`, buyer: 'u', quantity: 1, fingerprint: 'f' };

  /** The first of two processes was told of a purchase that this Redis then has no more. */
  async function lose() {
    const record = createEpochRecord();
    for (let p = 0; p < 8; p++) record.rows.set(p, { epoch: 1, seq: 0 });
    const [first, second] = [newStore(), newStore()];
    await first.attach(record);
    await second.attach(record);
    const sale = saleOf();
    await second.createSale(sale);
    const older = (await t.redis.hget(fence, 'seq')) ?? '';
    await first.reserve(sale.saleId, 'SHIRT', [item]);
    await t.redis.hset(fence, 'seq', older);
    return { first, second, record, sale };
  }

  it('sells nothing before it was compared, and goes on where it agrees', async () => {
    const record = createEpochRecord();
    const sale = saleOf();
    await t.stock.createSale(sale);
    for (let p = 0; p < 8; p++) record.rows.set(p, { epoch: 1, seq: 0 });
    await t.stock.attach(record);
    await restart();
    expect(t.stock.isDoubted).toBe(false);
    await expect(t.stock.reserve(sale.saleId, 'SHIRT', [item])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(t.stock.expire(PARTITION)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(t.stock.isDoubted).toBe(true);
    await t.stock.attach(record);
    expect(t.stock.isDoubted).toBe(false);
    expect(told((await t.stock.reserve(sale.saleId, 'SHIRT', [item])).outcomes)).toEqual(['RESERVED 1']);
  });

  it('is refused for what another process was told of, though the one that asks was not', async () => {
    const { first, second, record, sale } = await lose();
    await restart();
    await expect(first.expire(PARTITION)).rejects.toMatchObject(fenced); // and tells what it saw
    await expect(second.expire(PARTITION)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(second.attach(record)).rejects.toMatchObject({ ...fenced, detail: expect.stringContaining('behind') });
    await expect(second.reserve(sale.saleId, 'SHIRT', [item])).rejects.toMatchObject(fenced);
    // The other partitions agree, and sell on.
    expect(await second.expire(PARTITION + 1)).toMatchObject({ ended: 0 });
  });

  it('stops everybody as soon as one process misses something in it, without a restart too', async () => {
    const { first, second, record } = await lose();
    expect(await second.expire(PARTITION)).toMatchObject({ ended: 0 });
    await expect(first.expire(PARTITION)).rejects.toMatchObject(fenced);
    await expect.poll(() => t.redis.hexists(fence, 'run')).toBe(0);
    await expect(second.expire(PARTITION)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(second.attach(record)).rejects.toMatchObject(fenced);
  });

  it('is checked again where it was restarted once more meanwhile', async () => {
    const record = createEpochRecord();
    for (let p = 0; p < 8; p++) record.rows.set(p, { epoch: 1, seq: 0 });
    await restart();
    const run = async (checked: string) => {
      const reply = await runScript(t.redis, scripts.attach, [fence], ['1', '0', checked], 1_000);
      return unpack(reply as Buffer) as [string, number, number, string];
    };
    const [code, , , name] = await run('');
    expect(code).toBe('UNCHECKED');
    expect((await run('another_run_'))[0]).toBe('UNCHECKED');
    expect((await run(name))[0]).toBe('OK');
    expect((await run(''))[0]).toBe('OK');
  });

  it('is refused while it is being rebuilt', async () => {
    await t.redis.hset(fence, 'rebuilding', '2');
    await expect(knownBy({ [PARTITION]: { epoch: 1, seq: 0 } })).rejects.toMatchObject({
      ...fenced,
      detail: expect.stringContaining('being rebuilt'),
    });
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
