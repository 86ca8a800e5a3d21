// A split sale through the door: one sale to the merchant, with sums for counts; to each buyer the line of one bucket.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bucketFor, bucketIds, bucketOf, splitId } from '../../actors/buckets.ts';
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import { systemClock } from '../../core/clock.ts';
import { randomId } from '../../core/ids.ts';
import { createRebuild, runAudit } from '../../shop/admin/admin.ts';
import { openJobQueues } from '../../shop/job-queues.ts';
import { createEpochRecord } from '../../shop/orders/orders.ts';
import { insertSale } from '../../shop/sales/insert-store.ts';
import { findSales, toDefinition } from '../../shop/sales/sales.ts';
import { markInstalled } from '../../shop/sales/store.ts';
import { endTransfer, insertTransfers } from '../../shop/sales/transfer-store.ts';
import { createWork, type Work } from '../../workers/work.ts';
import { type Json, newBuyer, quietLog, startTestApi, type TestApi, tokenOf } from '../support/api.ts';

let api: TestApi;
let work: Work;
let stock: StockStore;
let skus = 0;

beforeAll(async () => {
  api = await startTestApi();
  await api.api.attached;
  const { postgres } = api.database;
  work = createWork(api.config, { postgres, redis: api.testRedis.redis, log: quietLog });
  await work.attach();
  work.start();
  stock = createStockStore({ redis: api.testRedis.redis });
  await stock.attach(createEpochRecord(postgres));
});
afterAll(async () => {
  await work?.stop();
  await api?.close();
});

const admin = (): Promise<string> => tokenOf('u_operator', 'ADMIN');

async function post(path: string, body: unknown, token: string, key?: string): Promise<{ status: number; body: Json }> {
  const headers = key === undefined ? {} : { 'idempotency-key': key };
  return api.call('POST', `/api/v1${path}`, { token, body, headers });
}

async function openSplit(
  stockUnits: number,
  terms: Record<string, unknown> = {},
): Promise<{ saleId: string; sku: string }> {
  const sku = `SPLIT-${++skus}`;
  const items = [{ sku, stock: stockUnits, price: 10, currency: 'INR' }];
  const body = { name: 'Split', buckets: 3, paymentStart: 'on_demand', items, ...terms };
  const { body: sale, status } = await post('/sales', body, await admin());
  expect(status).toBe(201);
  await post(`/sales/${sale.saleId}/open`, {}, await admin());
  return { saleId: sale.saleId, sku };
}

async function countsOf(saleId: string): Promise<Json> {
  const { body } = await api.call('GET', `/api/v1/sales/${saleId}`);
  return body.items[0];
}

/** A buyer whose bucket it is. */
async function buyerOf(saleId: string, bucket: number): Promise<{ userId: string; token: string }> {
  for (;;) {
    const buyer = await newBuyer();
    if (bucketOf(bucketFor(saleId, buyer.userId)) === bucket) return buyer;
  }
}

describe('a split sale', () => {
  it('is one sale in every list, with the sums of its buckets', async () => {
    const { saleId, sku } = await openSplit(10);
    const { body } = await api.call('GET', `/api/v1/sales/${saleId}`);
    expect(body).toMatchObject({
      saleId,
      buckets: 3,
      status: 'OPEN',
      items: [{ sku, stock: 10, loaded: 10, available: 10 }],
    });
    const list = await api.call('GET', '/api/v1/sales?limit=100');
    expect(list.body.items.filter((sale: Json) => sale.items[0].sku === sku)).toHaveLength(1);
    expect((await api.call('GET', `/api/v1/inventory/${sku}`)).body).toMatchObject({
      saleId,
      loaded: 10,
      stockCount: 10,
    });
    const [, second = ''] = bucketIds(saleId);
    expect((await api.call('GET', `/api/v1/sales/${second}`)).body).toMatchObject({ saleId });
  });

  it('is made once under a key, and is no other sale', async () => {
    const items = [{ sku: `SPLIT-${++skus}`, stock: 4, price: 1, currency: 'INR' }];
    const one = { name: 'Once', buckets: 2, items };
    const first = await post('/sales', one, await admin(), 'once');
    expect(await post('/sales', one, await admin(), 'once')).toMatchObject({
      status: 200,
      body: { saleId: first.body.saleId },
    });
    const other = await post('/sales', { ...one, buckets: 4 }, await admin(), 'once');
    expect(other).toMatchObject({ status: 422, body: { code: 'KEY_REUSED' } });
    const taken = await post('/sales', { name: 'Taken', items }, await admin());
    expect(taken).toMatchObject({ status: 409, body: { code: 'SKU_IN_ANOTHER_SALE' } });
    expect(await post('/sales', { ...one, buckets: 9 }, await admin())).toMatchObject({ status: 422 });
  });

  it('gives each buyer a place in one line, keeps limit and keys there, and audits all of it', async () => {
    const { saleId, sku } = await openSplit(6);
    for (let bucket = 0; bucket < 3; bucket += 1) {
      const { token } = await buyerOf(saleId, bucket);
      const bought = await post(`/sales/${saleId}/purchases`, { sku }, token, 'k');
      expect(bought).toMatchObject({ status: 201, body: { saleId, bucket, ticket: 1, status: 'RESERVED' } });
      const again = await post(`/sales/${saleId}/purchases`, { sku }, token, 'k');
      expect(again.body.purchaseId).toBe(bought.body.purchaseId);
      expect((await post(`/sales/${saleId}/purchases`, { sku }, token)).body).toMatchObject({ code: 'LIMIT_EXCEEDED' });
      const shown = await api.call('GET', `/api/v1/purchases/${bought.body.purchaseId}`, { token });
      expect(shown.body).toMatchObject({ saleId, bucket });
    }
    expect(await countsOf(saleId)).toMatchObject({ loaded: 6, available: 3, held: 3 });
    const report = await runAudit(
      { postgres: api.database.postgres, redis: api.testRedis.redis, stock, clock: systemClock },
      { saleId },
    );
    expect(report.differences).toEqual([]);
    expect(report.sales.map((sale) => sale.saleId)).toEqual(expect.arrayContaining(bucketIds(saleId)));
  });

  it('is audited as a whole: units that left a bucket have arrived in another', async () => {
    const { saleId, sku } = await openSplit(3);
    const { postgres } = api.database;
    const [fromSale = '', toSale = ''] = bucketIds(saleId);
    const transferId = `mov_${saleId.slice(5)}`;
    await insertTransfers(postgres, [{ ...{ transferId, saleId, sku, fromSale, toSale }, units: 1, isPressed: false }]);
    await stock.takeFromBucket({ saleId: fromSale, sku, units: 1, operationId: `${transferId}-out`, isPressed: false });
    const judged = async (): Promise<string[]> => {
      const deps = { postgres, redis: api.testRedis.redis, stock, clock: systemClock };
      return (await runAudit(deps, { saleId })).differences.map(({ code }) => code);
    };
    // Closed by nobody who looked.
    await endTransfer(postgres, transferId, 1);
    await expect.poll(judged).toEqual(['TRANSFER_MISMATCH']);
    await stock.giveToBucket({ saleId: toSale, sku, units: 1, operationId: `${transferId}-in` });
    await expect.poll(judged).toEqual([]);
  });

  it('moves its units to where somebody waits, and tells the line on a socket', async () => {
    const { saleId, sku } = await openSplit(3);
    const { token } = await buyerOf(saleId, 2);
    const socket = await api.socket({ token });
    socket.send({ type: 'subscribe', saleId, sku });
    const isLine = (message: Json) => message.type === 'line';
    expect(await socket.next(isLine)).toMatchObject({ saleId, bucket: 2, available: 1, head: 1 });
    for (let i = 0; i < 3; i += 1) {
      const buyer = await buyerOf(saleId, 2);
      await post(`/sales/${saleId}/purchases`, { sku }, buyer.token);
    }
    expect(await socket.next((message) => isLine(message) && message.held === 3)).toMatchObject({
      bucket: 2,
      waiting: 0,
    });
    socket.close();
    await expect.poll(async () => (await countsOf(saleId)).loaded).toBe(3);
  });

  it('is paused, restocked and closed as one', async () => {
    const { saleId, sku } = await openSplit(3);
    await post(`/sales/${saleId}/pause`, {}, await admin());
    for (const id of bucketIds(saleId)) expect((await stock.snapshot([id]))[0]).toMatchObject({ status: 'PAUSED' });
    const more = await post('/inventory/adjust', { sku, quantity: 4 }, await admin(), 'more');
    expect(more.body).toMatchObject({ saleId, loaded: 7, available: 7 });
    expect((await post('/inventory/adjust', { sku, quantity: 4 }, await admin(), 'more')).body).toMatchObject({
      loaded: 7,
    });
    const less = await post('/inventory/adjust', { sku, quantity: -1 }, await admin());
    expect(less).toMatchObject({ status: 422, body: { code: 'VALIDATION_FAILED' } });
    await post(`/sales/${saleId}/close`, {}, await admin());
    for (const id of bucketIds(saleId)) expect((await stock.snapshot([id]))[0]).toMatchObject({ status: 'CLOSED' });
  });

  it('of which a crash left buckets uninstalled is prepared by whoever opens it', async () => {
    const { postgres } = api.database;
    const sku = `SPLIT-${++skus}`;
    const saleId = splitId(randomId('sale', 1), 3);
    await insertSale(postgres, {
      ...{ saleId, name: 'Half', opensAt: null, closesAt: null, holdSeconds: 60, perBuyerLimit: 1, lineLimit: null },
      ...{ admissionPerSecond: null, paymentStart: 'on_demand', createdBy: 'u_admin', buckets: 3 },
      items: [{ sku, stock: 3, unitPrice: 100, currency: 'INR' }],
    });
    const [home] = await findSales(postgres, [saleId]);
    if (home === undefined) throw new Error('it was inserted');
    await stock.createSale(toDefinition(home));
    await markInstalled(postgres, saleId);
    const { token } = await buyerOf(saleId, 1);
    expect(await post(`/sales/${saleId}/purchases`, { sku }, token)).toMatchObject({ status: 503 });
    expect(await post(`/sales/${saleId}/open`, {}, await admin())).toMatchObject({ status: 200 });
    expect(await post(`/sales/${saleId}/purchases`, { sku }, token)).toMatchObject({
      status: 201,
      body: { bucket: 1 },
    });
  });

  it('holds for an order in whatever bucket has enough, once', async () => {
    const { saleId, sku } = await openSplit(3);
    const internal = await tokenOf('u_checkout', 'INTERNAL');
    const held: Json[] = [];
    for (let i = 0; i < 4; i += 1) {
      const order = { orderId: `split-${saleId.slice(-8)}-${i}`, items: [{ sku, quantity: 1 }] };
      const answer = await post('/inventory/reserve', order, internal);
      const again = await post('/inventory/reserve', order, internal);
      held.push([answer.status, again.status, again.body.code ?? again.body.items[0].saleId]);
    }
    expect(held).toEqual([
      [201, 200, saleId],
      [201, 200, saleId],
      [201, 200, saleId],
      [409, 409, 'INSUFFICIENT_STOCK'],
    ]);
    expect(await countsOf(saleId)).toMatchObject({ held: 3, available: 0 });
  });

  it('is stopped by an operator in every bucket', async () => {
    const { saleId, sku } = await openSplit(3);
    const path = `/admin/sales/${saleId}/skus/${sku}`;
    expect((await post(`${path}/block`, { note: 'look' }, await admin())).status).toBe(200);
    for (const id of bucketIds(saleId)) expect(await stock.blocksOf(id)).toMatchObject([{ sku, reason: 'OPERATOR' }]);
    expect((await countsOf(saleId)).blocked).toMatchObject({ reason: 'OPERATOR' });
    expect((await post(`${path}/unblock`, {}, await admin())).status).toBe(200);
    for (const id of bucketIds(saleId)) expect(await stock.blocksOf(id)).toEqual([]);
  });

  it('is built again bucket by bucket', async () => {
    const { saleId, sku } = await openSplit(6);
    const { token } = await buyerOf(saleId, 1);
    await post(`/sales/${saleId}/purchases`, { sku }, token);
    const { postgres } = api.database;
    const queue = openJobQueues(api.testRedis.url);
    const redis = api.testRedis.redis;
    const rebuild = createRebuild({ postgres, redis, queue, clock: systemClock, log: quietLog, settleMs: 0 });
    expect(await rebuild.run({ saleId })).toHaveLength(3);
    await queue.close();
    await stock.attach(createEpochRecord(postgres));
    const items = (await stock.snapshot(bucketIds(saleId))).map((bucket) => bucket?.items[0]);
    expect(items).toMatchObject([
      { loaded: 2, held: 0 },
      { loaded: 2, held: 1 },
      { loaded: 2, held: 0 },
    ]);
    // What the others have is not known to a bucket that was just built: it refuses nobody before it is told.
    for (const item of items) expect(item?.everywhere).toBeGreaterThan(6);
  });
});
