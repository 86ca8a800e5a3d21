// Redis or Postgres away, at the start or later: 503 with a time to come back, never a crash, and purchases go on after.
import { afterEach, describe, expect, it } from 'vitest';
import { keys } from '../../actors/keys.ts';
import { createStockStore } from '../../actors/stock-store.ts';
import { systemClock } from '../../core/clock.ts';
import { PARTITIONS } from '../../core/constants.ts';
import { partitionOf } from '../../core/ids.ts';
import { createEpochRecord } from '../../shop/orders/orders.ts';
import { newBuyer, openSale, startTestApi, type TestApi, tokenOf } from '../support/api.ts';
import { freePort, openTestDatabase, openTestRedis, startRedis, temporaryDirectory } from '../support/stack.ts';

const open: { close(): Promise<unknown> }[] = [];
const keep = <T extends { close(): Promise<unknown> }>(one: T): T => {
  open.push(one);
  return one;
};
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

const buyWith = async (api: TestApi, sale: { saleId: string; sku: string }, key?: string) => {
  const { token } = await newBuyer();
  const headers: Record<string, string> = key === undefined ? {} : { 'idempotency-key': key };
  return api.call('POST', `/api/v1/sales/${sale.saleId}/purchases`, { token, body: { sku: sale.sku }, headers });
};

describe('without Redis', () => {
  it('nobody is sold anything, and everybody once it is back', async () => {
    const [dir, port] = [temporaryDirectory('outage'), await freePort()];
    const service = await startRedis({ dir, port });
    const testRedis = { ...(await openTestRedis()), url: service.url };
    const database = await openTestDatabase();
    const api = keep(await startTestApi({ database, testRedis }));
    await api.api.attached;
    const sale = await openSale(api);
    expect((await buyWith(api, sale)).status).toBe(201);
    const { token } = await newBuyer();
    const mine = await api.call('POST', `/api/v1/sales/${sale.saleId}/purchases`, { token, body: { sku: sale.sku } });

    service.kill('SIGKILL');
    await expect.poll(async () => (await api.call('GET', '/readyz')).status).toBe(503);
    expect((await api.call('GET', '/livez')).status).toBe(200);
    const refused = await buyWith(api, sale);
    expect(refused.status).toBe(503);
    expect(['UNAVAILABLE', 'OUTCOME_UNKNOWN']).toContain(refused.body.code);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);

    keep({ close: async () => again.stop() });
    const again = await startRedis({ dir, port });
    await expect.poll(async () => (await api.call('GET', '/readyz')).status, { timeout: 20_000 }).toBe(200);
    expect((await buyWith(api, sale)).status).toBe(201);
    const kept = await api.call('GET', `/api/v1/purchases/${mine.body.purchaseId}`, { token });
    expect(kept.body.status).toBe('RESERVED');
    const counts = (await api.call('GET', `/api/v1/inventory/${sale.sku}`)).body;
    expect(counts.available + counts.held).toBe(10);
  });

  it('a process starts, says that it is not ready, and is ready when Redis is', async () => {
    const [dir, port] = [temporaryDirectory('late'), await freePort()];
    const database = await openTestDatabase();
    const testRedis = { ...(await openTestRedis()), url: `redis://127.0.0.1:${port}` };
    const api = keep(await startTestApi({ database, testRedis }));
    expect((await api.call('GET', '/livez')).status).toBe(200);
    expect((await api.call('GET', '/readyz')).body).toEqual({
      status: 'not_ready',
      redis: 'down',
      postgres: 'up',
      unavailablePartitions: Array.from({ length: PARTITIONS }, (_, partition) => partition),
    });
    const early = await buyWith(api, { saleId: 'sale_03abcdefghjkmnpqrstvwxyz12', sku: 'A' });
    expect(early.status).toBe(503);
    const service = await startRedis({ dir, port });
    keep({ close: async () => service.stop() });
    await api.api.attached;
    const sale = await openSale(api);
    expect((await buyWith(api, sale)).status).toBe(201);
  });

  it('a Redis that has lost its memory is not sold from', async () => {
    const api = keep(await startTestApi());
    await api.api.attached;
    const sale = await openSale(api);
    await api.testRedis.flush();
    const refused = await buyWith(api, sale);
    expect([refused.status, refused.body.code]).toEqual([503, 'FENCED']);
    const readiness = await api.call('GET', '/readyz');
    expect([readiness.status, readiness.body.redis]).toEqual([503, 'fenced']);
    expect(readiness.headers.get('retry-after')).toBe('1');
    const other = keep(await startTestApi(api));
    await expect.poll(async () => (await other.call('GET', '/readyz')).body.redis).toBe('fenced');
    expect((await buyWith(other, sale)).body.code).toBe('FENCED');
  });

  it('a partition that is lost closes its own sales, and not the shop', async () => {
    const api = keep(await startTestApi());
    await api.api.attached;
    const lost = await openSale(api);
    const partition = partitionOf(lost.saleId) ?? -1;
    let sound = await openSale(api);
    while (partitionOf(sound.saleId) === partition) sound = await openSale(api);
    await api.testRedis.redis.del(keys.fence(partition));
    expect((await buyWith(api, lost)).body.code).toBe('FENCED');
    expect((await buyWith(api, sound)).status).toBe(201);
    const [first, second] = [api, keep(await startTestApi(api))];
    await expect.poll(async () => (await second.call('GET', '/readyz')).status).toBe(200);
    for (const { call } of [first, second]) {
      const { body } = await call('GET', '/readyz');
      expect(body).toEqual({ status: 'ready', redis: 'up', postgres: 'up', unavailablePartitions: [partition] });
    }
  });
});

describe('without Postgres', () => {
  it('a process starts and says that it is not ready', async () => {
    const [testRedis, database] = [await openTestRedis(), await openTestDatabase()];
    const gone = { ...database, url: 'postgres://nobody:x@127.0.0.1:9/none' };
    const api = keep(await startTestApi({ database: gone, testRedis }));
    expect((await api.call('GET', '/readyz')).body).toMatchObject({ status: 'not_ready', postgres: 'down' });
    const list = await api.call('GET', '/api/v1/sales');
    expect([list.status, list.body.code]).toEqual([503, 'UNAVAILABLE']);
    expect(list.headers.get('retry-after')).toBe('1');
  });
});

describe('what Redis has forgotten', () => {
  it('is shown from Postgres, and a retry still gets its own answer', async () => {
    const api = keep(await startTestApi());
    await api.api.attached;
    const sale = await openSale(api);
    const buyer = await newBuyer();
    const path = `/api/v1/sales/${sale.saleId}/purchases`;
    const headers = { 'idempotency-key': 'before' };
    const bought = await api.call('POST', path, { token: buyer.token, body: { sku: sale.sku }, headers });
    const released = await api.call('DELETE', `/api/v1/purchases/${bought.body.purchaseId}`, { token: buyer.token });
    await api.call('POST', `/api/v1/sales/${sale.saleId}/close`, { token: await tokenOf('u_operator', 'ADMIN') });
    const [found] = await storedLike(api, bought.body.purchaseId, buyer.userId);
    expect(found).toBe(1);
    await api.testRedis.redis.del(
      ...(await api.testRedis.redis.keys('*')).filter(
        (key) => key.includes(sale.saleId) || key.includes(bought.body.purchaseId),
      ),
    );

    const seen = await api.call('GET', `/api/v1/purchases/${bought.body.purchaseId}`, { token: buyer.token });
    expect(seen.body).toMatchObject({ purchaseId: bought.body.purchaseId, status: 'CANCELLED', sku: sale.sku });
    expect(released.body.status).toBe('CANCELLED');
    const again = await api.call('POST', path, { token: buyer.token, body: { sku: sale.sku }, headers });
    expect([again.status, again.body.purchaseId, again.body.status]).toEqual([
      200,
      bought.body.purchaseId,
      'CANCELLED',
    ]);
    const other = await api.call('POST', path, { token: buyer.token, body: { sku: sale.sku, quantity: 2 }, headers });
    expect([other.status, other.body.code]).toEqual([422, 'KEY_REUSED']);
    const late = await api.call('POST', path, { token: (await newBuyer()).token, body: { sku: sale.sku } });
    expect([late.status, late.body.code]).toEqual([409, 'SALE_CLOSED']);
    const repeated = await api.call('DELETE', `/api/v1/purchases/${bought.body.purchaseId}`, { token: buyer.token });
    expect([repeated.status, repeated.body.status]).toEqual([200, 'CANCELLED']);
  });
});

/** The row that the workers would have written, from what Redis knows now. */
async function storedLike(api: TestApi, purchaseId: string, buyer: string): Promise<[number]> {
  const stock = createStockStore({ redis: api.testRedis.redis });
  await stock.attach(createEpochRecord(api.database.postgres));
  const [view] = await stock.look([purchaseId]);
  if (view === undefined) return [0];
  const now = new Date(systemClock.now());
  const { rowCount } = await api.database.postgres.query(
    `INSERT INTO purchases (purchase_id, version, status, buyer_id, sale_id, sku, quantity, ticket, unit_price, currency, fingerprint, had_hold, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)`,
    [
      purchaseId,
      view.version,
      view.status,
      buyer,
      view.saleId,
      view.sku,
      view.quantity,
      view.ticket,
      view.unitPrice,
      view.currency,
      view.fingerprint,
      view.hadHold,
      now,
    ],
  );
  return [rowCount];
}
