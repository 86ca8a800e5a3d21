// Real worker processes, killed with SIGKILL while they work, and a Redis killed beside them: in the end Postgres says
// what Redis says, purchase by purchase, and the ledger adds up to the counters.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { keys } from '../../actors/keys.ts';
import { unownedPurchaseId } from '../../actors/purchase-ids.ts';
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import { randomId } from '../../core/ids.ts';
import { connectRedis, type Redis, whenReady } from '../../core/redis/redis.ts';
import type { Service } from '../../core/services/service.ts';
import { createEpochRecord } from '../../shop/orders/orders.ts';
import { findPurchases, sumLedger } from '../../shop/sales/purchase-store.ts';
import { insertTestSale } from '../support/outbox.ts';
import { freePort, openTestDatabase, startRedis, temporaryDirectory, type TestDatabase } from '../support/stack.ts';
import { saleOf } from '../support/stock.ts';

const P = 3;
let database: TestDatabase;
let service: Service;
let redis: Redis;
let stock: StockStore;
let where: { dir: string; port: number };
const workers = new Set<ChildProcess>();

beforeAll(async () => {
  database = await openTestDatabase();
  where = { dir: temporaryDirectory('relay-kill'), port: await freePort() };
  service = await startRedis(where);
  redis = connectRedis(service.url, 'scripts');
  await whenReady(redis, 10_000);
  stock = createStockStore({ redis });
  await stock.attach(createEpochRecord(database.postgres));
});
afterAll(async () => {
  for (const worker of workers) worker.kill('SIGKILL');
  redis.disconnect();
  await service.stop();
  await database.drop();
});

/** Resolves when the process says that it is ready. */
async function startWorker(): Promise<ChildProcess> {
  const worker = spawn(process.execPath, [fileURLToPath(new URL('../../workers/main.ts', import.meta.url))], {
    env: {
      PATH: process.env.PATH,
      NODE_ENV: 'test',
      DATABASE_URL: database.url,
      REDIS_URL: service.url,
      JWT_SECRET: 'a secret of the test that is long enough',
      STRIPE_SECRET_KEY: 'sk_test_none',
      STRIPE_WEBHOOK_SECRET: 'whsec_none',
      STRIPE_API_BASE: 'http://127.0.0.1:9',
      LOG_LEVEL: 'error',
    },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  workers.add(worker);
  await once(worker, 'message');
  return worker;
}

async function kill(worker: ChildProcess): Promise<void> {
  const ended = once(worker, 'exit');
  worker.kill('SIGKILL');
  await ended;
  workers.delete(worker);
}

const bought: string[] = [];
async function buy(saleId: string, count: number): Promise<void> {
  for (let left = count; left > 0; left -= 10) {
    const items = Array.from({ length: 10 }, () => ({
      purchaseId: unownedPurchaseId(P),
      buyer: randomId('u'),
      quantity: 1,
      fingerprint: 'f',
    }));
    const answered = await stock.reserve(saleId, 'SHIRT', items);
    expect(answered.outcomes.every((outcome) => outcome.kind === 'purchase')).toBe(true);
    bought.push(...items.map((item) => item.purchaseId));
  }
}

const stored = async () =>
  (await database.postgres.query<{ n: number }>('SELECT count(*)::int AS n FROM purchases')).rows[0]?.n ?? 0;

describe('workers killed while they work', () => {
  it('leave nothing behind that the next one does not finish', async () => {
    const sale = saleOf({ stock: 400, lineLimit: 10_000 });
    await insertTestSale(database.postgres, sale.saleId, { paymentStart: 'on_demand' });
    await stock.createSale(sale);
    let worker = await startWorker();
    for (let round = 0; round < 4; round++) {
      const before = await stored();
      await buy(sale.saleId, 300);
      // In the middle of its work: some are stored, most are not.
      await vi.waitFor(async () => expect(await stored()).toBeGreaterThan(before), { timeout: 20_000, interval: 1 });
      await kill(worker);
      const mine = bought.slice(-300);
      await stock.confirm(mine.slice(0, 40).map((purchaseId) => ({ purchaseId, paymentRef: 'pi_test' })));
      await stock.release(mine.slice(40, 80).map((purchaseId) => ({ purchaseId, reason: 'BUYER' as const })));
      if (round === 1) {
        service.kill('SIGKILL');
        await service.ended;
        service = await startRedis(where);
        await whenReady(redis, 10_000);
        await stock.attach(createEpochRecord(database.postgres)); // as each process does within a second
      }
      worker = await startWorker();
    }
    await vi.waitFor(async () => expect(await redis.xlen(keys.outbox(P))).toBe(0), { timeout: 30_000, interval: 20 });

    const live = (await stock.look(bought)).map((view) => ({
      purchaseId: view?.purchaseId,
      status: view?.status,
      version: view?.version,
      ticket: view?.ticket,
    }));
    const byId = new Map((await findPurchases(database.postgres, bought)).map((row) => [row.purchaseId, row]));
    const rows = bought
      .map((id) => byId.get(id))
      .map((row) => ({ purchaseId: row?.purchaseId, status: row?.status, version: row?.version, ticket: row?.ticket }));
    expect(rows).toEqual(live);

    const [snapshot] = await stock.snapshot([sale.saleId]);
    const [sums] = await sumLedger(database.postgres, [sale.saleId]);
    const counters = snapshot?.items[0];
    expect(sums).toMatchObject({
      loaded: counters?.loaded,
      available: counters?.available,
      held: counters?.held,
      sold: counters?.sold,
      waiting: counters?.waiting,
    });
    expect(sums?.sold).toBeGreaterThan(0);
    const { rows: orders } = await database.postgres.query(
      'SELECT count(*)::int AS n FROM purchases p FULL JOIN orders o USING (purchase_id) WHERE p.had_hold IS DISTINCT FROM (o.order_id IS NOT NULL)',
    );
    expect(orders).toEqual([{ n: 0 }]);

    const ended = once(worker, 'exit');
    worker.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    workers.delete(worker);
  });
});
