// The whole system on a Redis Cluster of three masters: sales in every partition, over HTTP and sockets, to the orders in
// Postgres and the audit; a partition that is built again; a master that ends.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bucketIds } from '../../actors/buckets.ts';
import { keys } from '../../actors/keys.ts';
import { unownedPurchaseId } from '../../actors/purchase-ids.ts';
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import { systemClock } from '../../core/clock.ts';
import { PARTITIONS } from '../../core/constants.ts';
import { partitionOf } from '../../core/ids.ts';
import { nodeOf, slotOf } from '../../core/redis/redis.ts';
import { cutSlots } from '../../core/services/redis-cluster.ts';
import { createRebuild, runAudit } from '../../shop/admin/admin.ts';
import { openJobQueues } from '../../shop/job-queues.ts';
import { createEpochRecord } from '../../shop/orders/orders.ts';
import { createWork, type Work } from '../../workers/work.ts';
import { type Json, newBuyer, openSale, quietLog, startTestApi, type TestApi } from '../support/api.ts';
import { openTestCluster, type TestCluster } from '../support/cluster.ts';
import { openTestDatabase, type TestDatabase } from '../support/stack.ts';

let cluster: TestCluster;
let database: TestDatabase;
let api: TestApi;
let work: Work;
let stock: StockStore;
/** One open sale in each partition. */
const sales = new Map<number, { saleId: string; sku: string }>();

const everyFence = Array.from({ length: PARTITIONS }, (_, partition) => keys.fence(partition));

beforeAll(async () => {
  [cluster, database] = await Promise.all([openTestCluster(), openTestDatabase()]);
  api = await startTestApi({ database, testRedis: cluster });
  await api.api.attached;
  work = createWork(api.config, { postgres: database.postgres, redis: cluster.redis, log: quietLog });
  await work.attach();
  work.start();
  stock = createStockStore({ redis: cluster.redis });
  await stock.attach(createEpochRecord(database.postgres));
  while (sales.size < PARTITIONS) {
    const sale = await openSale(api, { stock: 3 });
    sales.set(partitionOf(sale.saleId) ?? -1, sale);
  }
});
afterAll(async () => {
  await work?.stop();
  await api?.close();
  await database?.drop();
  await cluster?.close();
});

const audit = (saleId: string) =>
  runAudit({ postgres: database.postgres, redis: cluster.redis, stock, clock: systemClock }, { saleId });

describe('slots', () => {
  it('are cut so that the partitions spread evenly over the masters', () => {
    for (const masters of [1, 2, 3, 4, 8]) {
      const begins = cutSlots(everyFence, masters);
      const shares = begins.map((begin, i) => {
        const end = begins[i + 1] ?? 16_384;
        return everyFence.filter((fence) => slotOf(fence) >= begin && slotOf(fence) < end).length;
      });
      expect(Math.max(...shares) - Math.min(...shares), `${masters}: ${shares.join(' ')}`).toBeLessThanOrEqual(1);
    }
  });
});

describe('the system on a cluster', () => {
  it('has its partitions on three masters', () => {
    const ports = new Set(everyFence.map((fence) => nodeOf(cluster.redis, fence).options.port));
    expect(ports.size).toBe(3);
  });

  it.each(everyFence.map((_, partition) => partition))(
    'sells, writes and audits in partition %i',
    async (partition) => {
      const { saleId = '', sku = '' } = sales.get(partition) ?? {};
      const answers: Json[] = [];
      for (let i = 0; i < 4; i += 1) {
        const { token } = await newBuyer();
        const answer = await api.call('POST', `/api/v1/sales/${saleId}/purchases`, { token, body: { sku } });
        answers.push({ ...answer.body, token });
      }
      expect(answers.map(({ status, ticket }) => `${status} ${ticket}`)).toEqual([
        'RESERVED 1',
        'RESERVED 2',
        'RESERVED 3',
        'WAITING 4',
      ]);
      const [first] = answers;
      await api.call('DELETE', `/api/v1/purchases/${first.purchaseId}`, { token: first.token });
      const report = await audit(saleId);
      expect(report.differences).toEqual([]);
      const { rows } = await database.postgres.query('SELECT count(*)::int AS orders FROM orders WHERE sale_id = $1', [
        saleId,
      ]);
      expect(rows).toEqual([{ orders: 4 }]);
    },
  );

  it('tells of a line on any master', async () => {
    const { token } = await newBuyer();
    const socket = await api.socket({ token });
    for (const { saleId, sku } of sales.values()) socket.send({ type: 'subscribe', saleId, sku });
    for (const { saleId, sku } of sales.values()) {
      const buyer = await newBuyer();
      await api.call('POST', `/api/v1/sales/${saleId}/purchases`, { token: buyer.token, body: { sku } });
      const isNews = (message: Json) => message.type === 'line' && message.saleId === saleId && message.waiting === 1;
      expect(await socket.next(isNews)).toMatchObject({ held: 3 });
    }
    socket.close();
  });

  it('sells a SKU that is split over the masters, to the last unit', async () => {
    const sale = await openSale(api, { stock: 6, buckets: 3 });
    const ports = bucketIds(sale.saleId).map((id) => partitionOf(id));
    expect(new Set(ports).size).toBe(3);
    const answers: Json[] = [];
    for (let i = 0; i < 8; i += 1) {
      const { token } = await newBuyer();
      const answer = await api.call('POST', `/api/v1/sales/${sale.saleId}/purchases`, {
        token,
        body: { sku: sale.sku },
      });
      answers.push({ ...answer.body, token });
    }
    const held = async (): Promise<number> => {
      const { body } = await api.call('GET', `/api/v1/sales/${sale.saleId}`);
      return body.items[0].held;
    };
    await expect.poll(held).toBe(6);
    expect((await audit(sale.saleId)).differences).toEqual([]);
  });

  it('builds a partition again where it lives', async () => {
    const queue = openJobQueues(cluster.url);
    const { postgres } = database;
    const log = quietLog;
    const rebuild = createRebuild({ postgres, redis: cluster.redis, queue, clock: systemClock, log, settleMs: 0 });
    const { saleId = '', sku = '' } = sales.get(6) ?? {};
    const before = await stock.snapshot([saleId]);
    expect(await rebuild.run({ saleId })).toMatchObject([{ partition: 6, unsound: [] }]);
    await stock.attach(createEpochRecord(postgres));
    const [after] = await stock.snapshot([saleId]);
    const [had] = before[0]?.items ?? [];
    expect(after?.items).toMatchObject([{ sku, held: had?.held, waiting: had?.waiting, loaded: 3 }]);
    await queue.close();
  });

  it('waits for the replicas of the very master that has the purchase', async () => {
    const port = nodeOf(cluster.redis, keys.fence(3)).options.port;
    await cluster.addReplica(cluster.masters.findIndex((master) => master.port === port));
    const other = everyFence.findIndex((fence) => nodeOf(cluster.redis, fence).options.port !== port);
    const careful = createStockStore({ redis: cluster.redis, replicas: 1 });
    await careful.attach(createEpochRecord(database.postgres));
    const reserve = ({ saleId, sku }: { saleId: string; sku: string }) =>
      careful.reserve(saleId, sku, [
        { purchaseId: unownedPurchaseId(partitionOf(saleId)), buyer: 'u_careful', quantity: 1, fingerprint: 'f' },
      ]);
    expect((await reserve(await newSaleIn(3))).outcomes).toMatchObject([{ kind: 'purchase' }]);
    await expect(reserve(await newSaleIn(other))).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  });

  it('goes on without a master, and with it again when it is back, with all that it acknowledged', async () => {
    const victim = nodeOf(cluster.redis, keys.fence(3)).options.port;
    const place = cluster.masters.findIndex(({ port }) => port === victim);
    const other = everyFence.findIndex((fence) => nodeOf(cluster.redis, fence).options.port !== victim);
    const [there, here] = [await newSaleIn(3), await newSaleIn(other)];
    const short = await newSaleIn(other, { holdSeconds: 1 });
    const bought = await buy(there);
    expect(bought.status).toBe('RESERVED');
    const socket = await api.socket({ token: bought.token });
    socket.send({ type: 'subscribe', saleId: here.saleId, sku: here.sku });
    await socket.next((message) => message.type === 'line');
    // The first of the nodes: the one that the feed listens to.
    expect(place).toBe(0);
    cluster.masters[place]?.kill('SIGKILL');
    const { token } = await newBuyer();
    const refused = api.call('POST', `/api/v1/sales/${there.saleId}/purchases`, { token, body: { sku: there.sku } });
    expect(await buy(here)).toMatchObject({ status: 'RESERVED' });
    await socket.next((message) => message.type === 'line' && message.held === 1);
    socket.close();
    // Holds elsewhere end all the while.
    expect(await buy(short)).toMatchObject({ status: 'RESERVED' });
    await expect.poll(async () => (await stock.snapshot([short.saleId]))[0]?.items[0]?.held).toBe(0);
    expect((await refused).status).toBe(503);
    await cluster.restart(place);
    await expect.poll(async () => (await buy(there)).status).toBe('RESERVED');
    const shown = await api.call('GET', `/api/v1/purchases/${bought.purchaseId}`, { token: bought.token });
    expect(shown.body).toMatchObject({ status: 'RESERVED', ticket: 1 });
  });
});

/** A partition that was built again answers when the API has noticed. */
async function newSaleIn(
  partition: number,
  terms: Record<string, unknown> = {},
): Promise<{ saleId: string; sku: string }> {
  for (;;) {
    const sale = await openSale(api, { stock: 50, ...terms }).catch(() => undefined);
    if (sale !== undefined && partitionOf(sale.saleId) === partition) return sale;
  }
}

async function buy({ saleId, sku }: { saleId: string; sku: string }): Promise<Json> {
  const { token } = await newBuyer();
  const answer = await api.call('POST', `/api/v1/sales/${saleId}/purchases`, { token, body: { sku } });
  return { ...answer.body, token };
}
