// A Redis that was lost is built again from Postgres: with every place in line, every hold and every limit that Postgres
// knows; without what it was never told, which is counted; and nobody sells in between.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keys } from '../../actors/keys.ts';
import { createStockStore } from '../../actors/stock-store.ts';
import { systemClock } from '../../core/clock.ts';
import { createRebuild, type Rebuild } from '../../shop/admin/admin.ts';
import { createEpochFollower, createEpochRecord } from '../../shop/orders/orders.ts';
import { type AuditedShop, openAuditedShop } from '../support/audited-shop.ts';
import { quietLog } from '../support/outbox.ts';

let shop: AuditedShop;
let rebuild: Rebuild;
const asked: unknown[] = [];

beforeAll(async () => {
  shop = await openAuditedShop();
  const { postgres, redis } = shop.outbox;
  const queue = { addBulk: async (...job: unknown[]) => void asked.push(job) };
  rebuild = createRebuild({ postgres, redis, queue, clock: systemClock, log: quietLog, settleMs: 0 });
});
beforeEach(() => void asked.splice(0));
afterAll(() => shop.outbox.close());

const attach = () => shop.outbox.stock.attach(createEpochRecord(shop.outbox.postgres));
const fenced = { code: 'FENCED' };
const newcomer = (purchaseId: string, buyer = purchaseId) => ({ purchaseId, buyer, quantity: 1, fingerprint: 'f' });

/** Of one SKU 4 paid, 5 held, one given back and 2 in line; of another both units paid by one buyer. */
async function busySale() {
  const saleId = await shop.openSale({ [`A${Math.random()}`]: 8, [`B${Math.random()}`]: 2 }, { perBuyerLimit: 3 });
  const [snapshot] = await shop.outbox.stock.snapshot([saleId]);
  const [a = '', b = ''] = snapshot?.items.map(({ sku }) => sku) ?? [];
  const ids = await shop.buy(saleId, a, 12);
  const [other = ''] = await shop.buy(saleId, b, 1, 2);
  await shop.pay([...ids.slice(0, 4), other]);
  await shop.outbox.stock.mark([{ purchaseId: ids[5] ?? '', status: 'PAYMENT_PENDING' }]);
  await shop.outbox.stock.release([{ purchaseId: ids[6] ?? '', reason: 'BUYER' }]); // its unit goes to the 9th
  await shop.outbox.stock.restock({ saleId, sku: a, by: 1, operationId: `op-${saleId}`, reason: 'found one' });
  return { saleId, a, b, ids: [...ids, other] };
}

async function seen(saleId: string, ids: readonly string[]) {
  const [snapshot] = await shop.outbox.stock.snapshot([saleId]);
  const views = await shop.outbox.stock.look(ids);
  return {
    status: snapshot?.status,
    counts: snapshot?.items.map((counters) => ({ ...counters, version: 0 })),
    purchases: views.map((view) => {
      if (view === undefined) return undefined;
      // Newer than whatever was told before, and the same otherwise.
      const { counters: _, estimatedWaitSeconds: __, version: ___, ...purchase } = view;
      return purchase;
    }),
  };
}

async function expectAgreement(): Promise<void> {
  const report = await shop.audit();
  expect(report.differences).toEqual([]);
  expect(report.ok).toBe(true);
}

/** Somebody deletes entries of the outbox: what was committed after them is in Postgres, they are nowhere. */
async function loseAllButTheLast(): Promise<void> {
  const { redis } = shop.outbox;
  const entries = await shop.outbox.read(shop.partition);
  await redis.xdel(keys.outbox(shop.partition), ...entries.slice(0, -1));
  await shop.outbox.apply()({ partition: shop.partition, entryIds: entries.slice(-1) });
}

describe('a Redis that was emptied', () => {
  it('sells nothing, and after the rebuild everything is where it was', async () => {
    const { saleId, a, ids } = await busySale();
    await shop.relay();
    const before = await seen(saleId, ids);
    await shop.outbox.redis.flushall();
    await expect(shop.buy(saleId, a, 1)).rejects.toMatchObject(fenced);
    await expect(attach()).rejects.toMatchObject(fenced);
    expect((await rebuild.examine()).map(({ reason }) => reason)).toEqual(Array(8).fill('Redis is empty'));

    const built = await rebuild.run();
    expect(built.map(({ partition, epoch }) => [partition, epoch])).toEqual(
      Array.from({ length: 8 }, (_, p) => [p, 2]),
    );
    expect(built[shop.partition]).toMatchObject({ sales: 1, purchases: 13, corrected: 0, lostTickets: 0, unsound: [] });
    await expect(shop.buy(saleId, a, 1)).rejects.toMatchObject(fenced); // of the old epoch still
    await attach();
    expect(await rebuild.examine()).toEqual([]);
    expect(await seen(saleId, ids)).toEqual(before);
    const [waiting] = await shop.outbox.stock.look([ids[11] ?? '']);
    expect(waiting?.version).toBeGreaterThan(100); // above what its buyer may have been told
    await expectAgreement();

    // It goes on as if nothing had been: the next place, the same answers to retries, the same limits.
    const [last = ''] = await shop.buy(saleId, a, 1);
    expect((await shop.outbox.stock.look([last]))[0]).toMatchObject({ status: 'WAITING', ticket: 13, ahead: 2 });
    const buyer = before.purchases[12]?.buyer ?? '';
    const limited = await shop.outbox.stock.reserve(saleId, a, [{ ...newcomer(`${last}x`, buyer), quantity: 2 }]);
    expect(limited.outcomes[0]).toMatchObject({ code: 'LIMIT_EXCEEDED', purchaseId: ids[12] });
    const again = { saleId, sku: a, by: 1, operationId: `op-${saleId}`, reason: '' };
    expect((await shop.outbox.stock.restock(again)).outcome).toBe('REPLAY');
    await shop.outbox.stock.release([{ purchaseId: ids[4] ?? '', reason: 'BUYER' }]);
    const [next] = await shop.outbox.stock.look([ids[10] ?? '']);
    expect(next).toMatchObject({ ticket: 11, status: 'RESERVED' });
    await shop.relay();
    await expectAgreement();
  });

  it('loses what Postgres was never told, and says how much; later places keep their numbers', async () => {
    const { saleId, a } = await busySale();
    await shop.relay();
    const untold = await shop.buy(saleId, a, 2);
    const [, , ...later] = [...untold, ...(await shop.buy(saleId, a, 1))];
    await loseAllButTheLast();
    await shop.outbox.redis.flushall();
    const [built] = (await rebuild.run()).filter(({ partition }) => partition === shop.partition);
    expect(built).toMatchObject({ lostTickets: 2, unsound: [] });
    await attach();
    expect(await shop.outbox.stock.look(later)).toMatchObject([{ ticket: 15, status: 'WAITING' }]);
    expect((await shop.outbox.stock.look(untold.slice(0, 2))).filter(Boolean)).toEqual([]);
    await expectAgreement();
    const { rows } = await shop.outbox.postgres.query(
      'SELECT reason FROM purchases WHERE sale_id = $1 AND reason = $2',
      [saleId, 'LOST'],
    );
    expect(rows.length).toBe(2);
  });

  it('closes the books over a movement that never came', async () => {
    const { saleId, a } = await busySale();
    await shop.relay();
    const stock = shop.outbox.stock;
    await stock.restock({ saleId, sku: a, by: 10, operationId: `more-${saleId}`, reason: '' });
    await shop.relay();
    const [id = ''] = await shop.buy(saleId, a, 1); // its hold is never told …
    await stock.confirm([{ purchaseId: id, paymentRef: 'pi' }]); // … its payment is
    await loseAllButTheLast();
    await shop.outbox.postgres.query(
      `INSERT INTO payments (payment_id, purchase_id, order_id, provider_payment_id, attempt, amount, currency, status)
       SELECT 'pay_' || substr($1, 5), $1, 'ord_' || substr($1, 5), 'pi_' || substr($1, 5), 1, total_amount, currency, 'succeeded'
         FROM orders WHERE purchase_id = $1`,
      [id],
    );
    await shop.outbox.redis.flushall();
    const [built] = (await rebuild.run()).filter(({ partition }) => partition === shop.partition);
    expect(built).toMatchObject({ corrected: 1, lostTickets: 0 });
    await attach();
    expect((await stock.look([id]))[0]?.status).toBe('CONFIRMED');
    await expectAgreement();
  });

  it('never loses a paid order: what Postgres knows as paid is sold before anybody may end it', async () => {
    const { saleId, ids } = await busySale();
    const paid = ids[5] ?? '';
    await shop.relay();
    await shop.outbox.postgres.query(
      `INSERT INTO payments (payment_id, purchase_id, order_id, provider_payment_id, attempt, amount, currency, status)
       SELECT 'pay_' || substr($1, 5), $1, 'ord_' || substr($1, 5), 'pi_' || substr($1, 5), 1, total_amount, currency, 'succeeded'
         FROM orders WHERE purchase_id = $1`,
      [paid],
    );
    await shop.outbox.redis.flushall();
    const [built] = (await rebuild.run()).filter(({ partition }) => partition === shop.partition);
    expect(built?.confirmed).toBe(1);
    await attach();
    const [view] = await shop.outbox.stock.look([paid]);
    expect(view?.status).toBe('CONFIRMED');
    await shop.relay();
    await expectAgreement();
    expect((await shop.outbox.stock.snapshot([saleId]))[0]?.items[0]).toMatchObject({ sold: 5 });
  });

  it('sells nothing of which the money is on its way back', async () => {
    const { saleId, ids } = await busySale();
    const [returning = '', returned = ''] = [ids[5], ids[7]];
    const { postgres, stock, redis } = shop.outbox;
    await shop.relay();
    for (const [id, refundId] of [
      [returning, null],
      [returned, 're_1'],
    ]) {
      await postgres.query(
        `INSERT INTO payments (payment_id, purchase_id, order_id, provider_payment_id, attempt, amount, currency, status)
         SELECT 'pay_' || substr($1, 5), $1, 'ord_' || substr($1, 5), 'pi_' || substr($1, 5), 1, total_amount, currency, 'succeeded'
           FROM orders WHERE purchase_id = $1`,
        [id],
      );
      await postgres.query(
        `INSERT INTO refunds (purchase_id, provider_refund_id, amount, currency, status, reason)
         SELECT purchase_id, $2, amount, currency, 'pending', 'LATE_PAYMENT' FROM payments WHERE purchase_id = $1`,
        [id, refundId],
      );
    }
    await redis.flushall();
    const [built] = (await rebuild.run()).filter(({ partition }) => partition === shop.partition);
    expect(built).toMatchObject({ confirmed: 0 });
    await attach();
    const views = await stock.look([returning, returned]);
    expect(views.map((view) => [view?.status, view?.isRefundDue])).toEqual([
      ['EXPIRED', true],
      ['REFUNDED', true],
    ]);
    const answers = await stock.confirm([returning, returned].map((purchaseId) => ({ purchaseId, paymentRef: 'pi' })));
    expect(answers.map(({ decision }) => decision)).toEqual(['REFUND', 'REFUND']);
    expect((await stock.snapshot([saleId]))[0]?.items[0]).toMatchObject({ sold: 4, loaded: 9 });
    await shop.relay();
    await expectAgreement();
  });

  it('loads a sale whose first load was never told', async () => {
    const sku = `C${Math.random()}`;
    const saleId = await shop.openSale({ [sku]: 5 });
    await shop.outbox.redis.flushall();
    await rebuild.run();
    await attach();
    const [snapshot] = await shop.outbox.stock.snapshot([saleId]);
    expect(snapshot?.items).toMatchObject([{ sku, loaded: 5, available: 5 }]);
    await expectAgreement();
  });
});

describe('a Redis that came back older than it was', () => {
  it('is refused for it, tells what it still has, and goes on from what Postgres knows', async () => {
    const { saleId, a, ids } = await busySale();
    const { redis, stock } = shop.outbox;
    await shop.relay();
    await shop.buy(saleId, a, 1); // in the old copy's outbox, and in no other place
    const names = await redis.keys('*');
    const copy = await Promise.all(names.map(async (name) => ({ name, bytes: await redis.dumpBuffer(name) })));
    await shop.relay();
    await stock.release([{ purchaseId: ids[4] ?? '', reason: 'BUYER' }]);
    await shop.relay();
    const before = await seen(saleId, ids);
    await redis.flushall();
    for (const { name, bytes } of copy) if (bytes) await redis.restore(name, 0, bytes);
    await expect(stock.expire(shop.partition)).rejects.toMatchObject(fenced);
    await expect(attach()).rejects.toMatchObject({ ...fenced, detail: expect.stringContaining('behind') });
    expect(await rebuild.examine()).toEqual([{ partition: shop.partition, reason: 'Redis is behind Postgres' }]);
    const [built] = await rebuild.run();
    expect(built?.drained).toBeGreaterThan(0);
    await attach();
    expect(await seen(saleId, ids)).toEqual(before);
    await expectAgreement();
  });

  it('is found out by a process that was told more, though Postgres was not yet', async () => {
    const { saleId, a } = await busySale();
    const { redis, postgres } = shop.outbox;
    await shop.relay();
    const other = createStockStore({ redis });
    const follow = createEpochFollower({ postgres, stock: other });
    await follow();
    const seq = await redis.hget(keys.fence(shop.partition), 'seq');
    await shop.buy(saleId, a, 1); // told to the shop's own store; neither to the other nor to Postgres
    await redis.hset(keys.fence(shop.partition), { seq: seq ?? '', run: 'another_run_' });
    await expect(shop.outbox.stock.expire(shop.partition)).rejects.toMatchObject(fenced);
    await expect(other.expire(shop.partition)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(follow()).rejects.toMatchObject(fenced);
    await rebuild.run();
    await follow();
    await attach();
    expect(await other.expire(shop.partition)).toMatchObject({ ended: 0 });
    await expectAgreement();
  });
});

describe('a rebuild', () => {
  it('of one sale repairs its counts and leaves the others in its partition as they are', async () => {
    const [broken, sound] = [await busySale(), await busySale()];
    const { redis, stock } = shop.outbox;
    const [before, beside] = [await seen(broken.saleId, broken.ids), await seen(sound.saleId, sound.ids)];
    const key = `db:{p${shop.partition}}:stock:${broken.saleId}:${broken.a}`;
    await redis.hincrby(key, 'available', 3);
    await redis.hset(key, 'blocked', 'FAULT');
    await expect(shop.buy(broken.saleId, broken.a, 1)).rejects.toThrow('SALE_PAUSED');
    const [built] = await rebuild.run({ saleId: broken.saleId });
    expect(built).toMatchObject({ sales: 1, purchases: 13, unsound: [] });
    await expect(stock.snapshot([sound.saleId])).rejects.toMatchObject(fenced);
    await attach();
    expect(await seen(broken.saleId, broken.ids)).toEqual(before);
    expect(await seen(sound.saleId, sound.ids)).toEqual(beside);
    await shop.buy(broken.saleId, broken.a, 1);
    await shop.relay();
    await expectAgreement();
  });

  it('that died in the middle leaves everything fenced, and the next one finishes it', async () => {
    const { saleId, ids } = await busySale();
    await shop.relay();
    const before = await seen(saleId, ids);
    const { redis, postgres, stock } = shop.outbox;
    const dead = createStockStore({ redis });
    await postgres.query('UPDATE partitions SET epoch = 900 WHERE partition = $1', [shop.partition]);
    await dead.beginRebuild(shop.partition, 900, 0);
    await redis.del(`db:{p${shop.partition}}:sale:${saleId}`);
    await expect(stock.expire(shop.partition)).rejects.toMatchObject(fenced);
    await expect(attach()).rejects.toMatchObject({ detail: expect.stringContaining('being rebuilt') });
    expect(await rebuild.examine()).toEqual([{ partition: shop.partition, reason: 'a rebuild was not finished' }]);
    expect(await rebuild.run()).toMatchObject([{ partition: shop.partition, epoch: 901 }]);
    // The one that died may only have been slow.
    await expect(dead.endRebuild(shop.partition)).rejects.toMatchObject(fenced);
    await attach();
    expect(await seen(saleId, ids)).toEqual(before);
    await expectAgreement();
  });

  it('is refused for a sale where the whole partition is missing, and does nothing where nothing is', async () => {
    const { saleId } = await busySale();
    await shop.relay();
    expect(await rebuild.run()).toEqual([]);
    await shop.outbox.redis.del(keys.fence(shop.partition));
    await expect(rebuild.run({ saleId })).rejects.toMatchObject({
      ...fenced,
      detail: expect.stringContaining('empty'),
    });
    await expect(rebuild.run({ saleId: 'nonsense' })).rejects.toMatchObject({ code: 'SALE_NOT_FOUND' });
    await rebuild.run({ isAll: true });
    await attach();
    await expectAgreement();
  });

  it('leaves a row for each partition that says what was done', async () => {
    const { rows } = await shop.outbox.postgres.query<{ reason: string; finished_at: Date | null; purchases: number }>(
      'SELECT reason, finished_at, purchases FROM rebuilds ORDER BY started_at',
    );
    expect(rows.length).toBeGreaterThan(8);
    expect(rows.filter((row) => row.finished_at === null)).toEqual([]);
    expect(new Set(rows.map((row) => row.reason))).toContain('Redis is behind Postgres');
  });
});
