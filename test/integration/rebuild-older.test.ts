// A Redis that came back older than it was is refused and built again; and what a rebuild is by itself: of one sale, after one
// that died, of nothing at all, and as a row that says what was done.
import { describe, expect, it } from 'vitest';
import { keys } from '../../actors/keys.ts';
import { newPurchaseId, olderPurchaseId } from '../../actors/purchase-ids.ts';
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

describe('a Redis that another version wrote', () => {
  it('is built again with ids of before there was a print: limits count them, and their retries find them', async () => {
    const { redis, stock } = stand.shop.outbox;
    const saleId = await stand.shop.openSale({ older: 9 }, { perBuyerLimit: 2 });
    const wishOf = (purchaseId: string, buyer: string) => ({ purchaseId, buyer, quantity: 1, fingerprint: 'f' });
    const ask = async (...wishes: ReturnType<typeof wishOf>[]) =>
      (await stock.reserve(saleId, 'older', wishes)).outcomes;
    const old = (buyer: string) => olderPurchaseId(saleId, buyer, 'key');
    await ask(wishOf(old('u_old'), 'u_old'), wishOf(old('u_late'), 'u_late'));
    await stand.shop.relay();
    await redis.hset(keys.fence(stand.shop.partition), 'form', '3');
    expect((await stand.rebuild.run()).map(({ reason }) => reason)).toEqual(['Redis was written by another version']);
    await attach();

    const retry = wishOf(newPurchaseId(saleId, 'u_old', 'key'), 'u_old');
    expect(await ask(retry)).toMatchObject([{ isReplay: true, purchase: { purchaseId: old('u_old'), ticket: 1 } }]);
    const next = (buyer = 'u_old') => wishOf(newPurchaseId(saleId, buyer), buyer);
    expect(await ask(next(), next())).toMatchObject([
      { purchase: { status: 'RESERVED', ticket: 3 } },
      { code: 'LIMIT_EXCEEDED' },
    ]);
    await stock.release([{ purchaseId: old('u_old'), buyer: 'u_old', reason: 'BUYER' }]);
    expect(await ask(next(), next())).toMatchObject([{ purchase: { status: 'RESERVED' } }, { code: 'LIMIT_EXCEEDED' }]);
    // A late payment of an old one asks for the limit as the others do.
    await stock.release([{ purchaseId: old('u_late'), buyer: 'u_late', reason: 'BUYER' }]);
    await ask(next('u_late'), next('u_late'));
    const pay = async (purchaseId: string) => (await stock.confirm([{ purchaseId, paymentRef: 'pi' }]))[0]?.decision;
    expect(await pay(old('u_late'))).toBe('REFUND');
    await stand.shop.relay();
    await stand.shop.outbox.stock.setSaleState(saleId, 'pause');
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
