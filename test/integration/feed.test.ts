// The feed: what one process' scripts change reaches every other process, also after Redis was away.
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { keys } from '../../actors/keys.ts';
import { unownedPurchaseId } from '../../actors/purchase-ids.ts';
import type { Purchase, SkuCounters } from '../../actors/records.ts';
import { createStockFeed, type PaymentNews, type StockFeed } from '../../actors/stock-feed.ts';
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import { createLog } from '../../core/log.ts';
import { connectRedis, type Redis, whenReady } from '../../core/redis/redis.ts';
import type { Service } from '../../core/services/service.ts';
import { startRedis, temporaryDirectory } from '../support/stack.ts';
import { createEpochRecord, PARTITION, saleOf } from '../support/stock.ts';

const log = createLog({ logLevel: 'silent' }, 'test');
let directory: string;
let service: Service;
let redis: Redis;
let stock: StockStore;
let feed: StockFeed;
let other: StockFeed;
const purchases: Purchase[] = [];
const lines: SkuCounters[] = [];
const payments: PaymentNews[] = [];
let resyncs = 0;
const record = createEpochRecord();

beforeAll(async () => {
  directory = temporaryDirectory('redis-feed');
  service = await startRedis({ dir: directory });
  redis = connectRedis(service.url, 'scripts');
  await whenReady(redis, 10_000);
  stock = createStockStore({ redis });
  await stock.attach(record);
  feed = createStockFeed({ redisUrl: service.url, log });
  other = createStockFeed({ redisUrl: service.url, log });
  feed.onPurchases((read) => purchases.push(...read(() => true)));
  feed.onLine((counters) => lines.push(counters));
  feed.onPayment((news) => payments.push(news));
  feed.onResync(() => {
    resyncs += 1;
  });
  await subscribed();
});
afterAll(async () => {
  await feed.close();
  await other.close();
  redis.disconnect();
  await service.stop();
});

const until = (is: () => boolean | Promise<boolean>) =>
  vi.waitFor(async () => expect(await is()).toBe(true), { timeout: 30_000, interval: 20 });
const subscribed = () => until(async () => Number((await redis.pubsub('NUMSUB', keys.feed(PARTITION)))[1]) > 0);
const buy = (saleId: string, purchaseId: string) =>
  stock.reserve(saleId, 'SHIRT', [{ purchaseId, buyer: `u_${purchaseId}`, quantity: 1, fingerprint: 'f' }]);
const told = (purchaseId: string, status: string) =>
  purchases.some((p) => p.purchaseId === purchaseId && p.status === status);

describe('the feed', () => {
  it('carries purchases and counts of every change, with versions', async () => {
    const sale = saleOf({ stock: 1, holdMs: 600_000 });
    await stock.createSale(sale);
    const [one, two] = [unownedPurchaseId(PARTITION), unownedPurchaseId(PARTITION)];
    await buy(sale.saleId, one);
    await buy(sale.saleId, two);
    await stock.release([{ purchaseId: one, reason: 'BUYER' }]);
    await until(() => told(one, 'CANCELLED') && told(two, 'RESERVED'));
    expect(purchases.filter((p) => p.purchaseId === two).map((p) => [p.version, p.status])).toEqual([
      [1, 'WAITING'],
      [2, 'RESERVED'],
    ]);
    const own = lines.filter((c) => c.saleId === sale.saleId);
    expect(own.map((c) => [c.saleStatus, c.head, c.waiting, c.held])).toEqual([
      ...[
        ['OPEN', 1, 0, 0],
        ['OPEN', 2, 0, 1],
        ['OPEN', 2, 1, 1],
        ['OPEN', 3, 0, 1],
      ],
    ]);
    expect(own.map((c) => c.version)).toEqual([...own.map((c) => c.version)].sort((a, b) => a - b));
    await stock.setSaleState(sale.saleId, 'pause');
    await until(() => lines.at(-1)?.saleStatus === 'PAUSED');
    expect(lines.at(-1)?.version).toBeGreaterThan(own.at(-1)?.version ?? 0);
  });

  it('carries payments from one process to another', async () => {
    const purchaseId = unownedPurchaseId(PARTITION);
    const news = { purchaseId, buyer: 'u_1', clientSecret: 'secret', status: 'requires_payment_method' };
    await other.publishPayment(news);
    await other.publishPayment({ ...news, purchaseId: 'nonsense' });
    await until(() => payments.length > 0);
    expect(payments).toEqual([news]);
  });

  it('passes over what nobody of ours wrote', async () => {
    await redis.publish(keys.feed(PARTITION), 'text');
    await redis.publish(keys.feed(PARTITION), Buffer.from([0xc1]));
    const sale = saleOf();
    await stock.createSale(sale);
    await until(() => lines.some((c) => c.saleId === sale.saleId));
  });

  it('says when anything may have been missed, and goes on', async () => {
    expect(resyncs).toBe(0);
    service.kill('SIGKILL');
    await service.ended;
    service = await startRedis({ dir: directory, port: service.port });
    await whenReady(redis, 30_000);
    await until(() => resyncs > 0);
    await subscribed();
    await stock.attach(record);
    const sale = saleOf();
    await stock.createSale(sale);
    const one = unownedPurchaseId(PARTITION);
    await buy(sale.saleId, one);
    await until(() => told(one, 'RESERVED'));
  });
});
