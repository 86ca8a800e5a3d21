// A Redis that came back older than it was is refused and built again; and what a rebuild is by itself: of one sale, after one
// that died, of nothing at all, and as a row that says what was done.
import { describe, expect, it } from 'vitest';
import { keys } from '../../actors/keys.ts';
import { createStockStore } from '../../actors/stock-store.ts';
import { createEpochFollower } from '../../shop/orders/orders.ts';
import { fenced, useRebuildStand } from '../support/rebuild-stand.ts';

const stand = useRebuildStand();
const { attach, busySale, seen, expectAgreement } = stand;

describe('a Redis that came back older than it was', () => {
  it('is refused for it, tells what it still has, and goes on from what Postgres knows', async () => {
    const { saleId, a, ids } = await busySale();
    const { redis, stock } = stand.shop.outbox;
    await stand.shop.relay();
    await stand.shop.buy(saleId, a, 1); // in the old copy's outbox, and in no other place
    const names = await redis.keys('*');
    const copy = await Promise.all(names.map(async (name) => ({ name, bytes: await redis.dumpBuffer(name) })));
    await stand.shop.relay();
    await stock.release([{ purchaseId: ids[4] ?? '', reason: 'BUYER' }]);
    await stand.shop.relay();
    const before = await seen(saleId, ids);
    await redis.flushall();
    for (const { name, bytes } of copy) if (bytes) await redis.restore(name, 0, bytes);
    await expect(stock.expire(stand.shop.partition)).rejects.toMatchObject(fenced);
    await expect(attach()).rejects.toMatchObject({ ...fenced, detail: expect.stringContaining('behind') });
    expect(await stand.rebuild.examine()).toEqual([
      { partition: stand.shop.partition, reason: 'Redis is behind Postgres' },
    ]);
    const [built] = await stand.rebuild.run();
    expect(built?.drained).toBeGreaterThan(0);
    await attach();
    expect(await seen(saleId, ids)).toEqual(before);
    await expectAgreement();
  });

  it('is found out by a process that was told more, though Postgres was not yet', async () => {
    const { saleId, a } = await busySale();
    const { redis, postgres } = stand.shop.outbox;
    await stand.shop.relay();
    const other = createStockStore({ redis });
    const follow = createEpochFollower({ postgres, stock: other });
    await follow();
    const seq = await redis.hget(keys.fence(stand.shop.partition), 'seq');
    await stand.shop.buy(saleId, a, 1); // told to the shop's own store; neither to the other nor to Postgres
    await redis.hset(keys.fence(stand.shop.partition), { seq: seq ?? '', run: 'another_run_' });
    await expect(stand.shop.outbox.stock.expire(stand.shop.partition)).rejects.toMatchObject(fenced);
    await expect(other.expire(stand.shop.partition)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(follow()).rejects.toMatchObject(fenced);
    await stand.rebuild.run();
    await follow();
    await attach();
    expect(await other.expire(stand.shop.partition)).toMatchObject({ ended: 0 });
    await expectAgreement();
  });
});

describe('a rebuild', () => {
  it('of one sale repairs its counts and leaves the others in its partition as they are', async () => {
    const [broken, sound] = [await busySale(), await busySale()];
    const { redis, stock } = stand.shop.outbox;
    const [before, beside] = [await seen(broken.saleId, broken.ids), await seen(sound.saleId, sound.ids)];
    const key = `db:{p${stand.shop.partition}}:stock:${broken.saleId}:${broken.a}`;
    await redis.hincrby(key, 'available', 3);
    await redis.hset(key, 'blocked', 'FAULT');
    await expect(stand.shop.buy(broken.saleId, broken.a, 1)).rejects.toThrow('SALE_PAUSED');
    const [built] = await stand.rebuild.run({ saleId: broken.saleId });
    expect(built).toMatchObject({ sales: 1, purchases: 13, unsound: [] });
    await expect(stock.snapshot([sound.saleId])).rejects.toMatchObject(fenced);
    await attach();
    expect(await seen(broken.saleId, broken.ids)).toEqual(before);
    expect(await seen(sound.saleId, sound.ids)).toEqual(beside);
    await stand.shop.buy(broken.saleId, broken.a, 1);
    await stand.shop.relay();
    await expectAgreement();
  });

  it('that died in the middle leaves everything fenced, and the next one finishes it', async () => {
    const { saleId, ids } = await busySale();
    await stand.shop.relay();
    const before = await seen(saleId, ids);
    const { redis, postgres, stock } = stand.shop.outbox;
    const dead = createStockStore({ redis });
    await postgres.query('UPDATE partitions SET epoch = 900 WHERE partition = $1', [stand.shop.partition]);
    await dead.beginRebuild(stand.shop.partition, 900, 0);
    await redis.del(`db:{p${stand.shop.partition}}:sale:${saleId}`);
    await expect(stock.expire(stand.shop.partition)).rejects.toMatchObject(fenced);
    await expect(attach()).rejects.toMatchObject({ detail: expect.stringContaining('being rebuilt') });
    expect(await stand.rebuild.examine()).toEqual([
      { partition: stand.shop.partition, reason: 'a rebuild was not finished' },
    ]);
    expect(await stand.rebuild.run()).toMatchObject([{ partition: stand.shop.partition, epoch: 901 }]);
    // The one that died may only have been slow.
    await expect(dead.endRebuild(stand.shop.partition)).rejects.toMatchObject(fenced);
    await attach();
    expect(await seen(saleId, ids)).toEqual(before);
    await expectAgreement();
  });

  it('is refused for a sale where the whole partition is missing, and does nothing where nothing is', async () => {
    const { saleId } = await busySale();
    await stand.shop.relay();
    expect(await stand.rebuild.run()).toEqual([]);
    await stand.shop.outbox.redis.del(keys.fence(stand.shop.partition));
    await expect(stand.rebuild.run({ saleId })).rejects.toMatchObject({
      ...fenced,
      detail: expect.stringContaining('empty'),
    });
    await expect(stand.rebuild.run({ saleId: 'nonsense' })).rejects.toMatchObject({ code: 'SALE_NOT_FOUND' });
    await stand.rebuild.run({ isAll: true });
    await attach();
    await expectAgreement();
  });

  it('leaves a row for each partition that says what was done', async () => {
    const { rows } = await stand.shop.outbox.postgres.query<{
      reason: string;
      finished_at: Date | null;
      purchases: number;
    }>('SELECT reason, finished_at, purchases FROM rebuilds ORDER BY started_at');
    expect(rows.length).toBeGreaterThan(8);
    expect(rows.filter((row) => row.finished_at === null)).toEqual([]);
    expect(new Set(rows.map((row) => row.reason))).toContain('Redis is behind Postgres');
  });
});
