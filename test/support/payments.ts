// The payment path with everything real: the sandbox over HTTP, the official SDK, Redis, Postgres, BullMQ, and a small
// HTTP door that hands raw webhook bodies to the shop as the API does. The hold's clock is the test's; time passes for
// nobody else.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import Stripe from 'stripe';
import { newPurchaseId } from '../../actors/purchase-ids.ts';
import { keys, OUTBOX_GROUP } from '../../actors/keys.ts';
import { createStockFeed, type PaymentNews } from '../../actors/stock-feed.ts';
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import { sleep, systemClock } from '../../core/clock.ts';
import { PARTITIONS } from '../../core/constants.ts';
import { CodedError } from '../../core/errors.ts';
import { randomId } from '../../core/ids.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import { ensureGroup, readNew } from '../../core/redis/stream.ts';
import { createSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import type { JobMap } from '../../shop/job-map.ts';
import { openJobQueues, runJobQueues } from '../../shop/job-queues.ts';
import { createEpochRecord, createOrders, type Orders } from '../../shop/orders/orders.ts';
import {
  createPaymentGateway,
  createPayments,
  type PaymentDependencies,
  type Payments,
} from '../../shop/payments/payments.ts';
import type { JobHandlers } from '../../core/queue/queue.ts';
import { createPaymentRoutes } from '../../shop/payments/routes.ts';
import type { Route } from '../../shop/route.ts';
import { applyOf, insertTestSale, quietLog } from './outbox.ts';
import { openTestDatabase, openTestRedis, type TestDatabase, type TestRedis } from './stack.ts';
import { saleOf, START_MS } from './stock.ts';

export const SECRET_KEY = 'sk_test_doorbuster';
export const WEBHOOK_SECRET = 'whsec_doorbuster';

export interface TestPayments {
  /** For an API beside it. */
  readonly database: TestDatabase;
  readonly testRedis: TestRedis;
  readonly postgres: Postgres;
  readonly stock: StockStore;
  readonly orders: Orders;
  readonly sandbox: Sandbox;
  readonly stripe: Stripe;
  readonly payments: Payments;
  readonly dependencies: PaymentDependencies;
  readonly clock: { now(): number; advance(ms: number): void };
  /** What the feed told buyers. */
  readonly news: PaymentNews[];
  readonly doorUrl: string;
  readonly door: Door;
  openSale(o?: {
    stock?: number;
    paymentStart?: 'eager' | 'on_demand';
    perBuyerLimit?: number;
    unitPrice?: number;
  }): Promise<{ saleId: string; sku: string }>;
  buy(sale: { saleId: string; sku: string }, buyer?: string): Promise<string>;
  /** Ends the holds that are due by the test's clock, and writes what the scripts did. */
  expireHolds(): Promise<void>;
  /** Writes the outbox to Postgres, as the relay and its jobs do. */
  drain(): Promise<void>;
  /** Buys and waits for the intent. */
  buyUntilPayable(
    sale: { saleId: string; sku: string },
    buyer?: string,
  ): Promise<{ purchaseId: string; intentId: string }>;
  statusOf(purchaseId: string): Promise<string | undefined>;
  paymentOf(purchaseId: string): Promise<Record<string, unknown> | undefined>;
  deadLetters(): Promise<{ payload: unknown; reason: string }[]>;
  close(): Promise<void>;
}

interface Door {
  /** While it is closed, webhooks are answered 503 and nothing is stored. */
  isOpen: boolean;
  /** The statuses it has answered. */
  answers: number[];
  webhook: Route | undefined;
}

const WEBHOOK_PATH = '/api/v1/payments/webhook';

/** Hands the bytes of each request to the webhook's route, as the API does. */
function createDoor(door: Door): http.Server {
  async function answer(request: http.IncomingMessage): Promise<number> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    if (!door.isOpen || door.webhook === undefined) return 503;
    const reply = await door.webhook.handle({
      caller: undefined,
      params: undefined,
      query: undefined,
      body: undefined,
      idempotencyKey: undefined,
      rawBody: Buffer.concat(chunks),
      headers: { get: (name) => request.headersDistinct[name]?.[0] },
      path: WEBHOOK_PATH,
      address: '127.0.0.1',
      requestId: 'req_test',
      deadlineAt: systemClock.now() + 5000,
    });
    return reply.status;
  }
  return http.createServer((request, response) => {
    answer(request)
      .catch((error: unknown) => (error instanceof CodedError ? error.status : 500))
      .then((status) => {
        door.answers.push(status);
        response.writeHead(status).end('{}');
      })
      .catch(() => request.socket.destroy());
  });
}

export function sdkFor(url: string, key = SECRET_KEY): Stripe {
  const { hostname: host, port } = new URL(url);
  return new Stripe(key, { host, port, protocol: 'http', telemetry: false, maxNetworkRetries: 0 });
}

/** Asks until it holds; the test's own time-out is the only limit. */
export async function until<T>(ask: () => Promise<T | undefined | false> | T | undefined | false): Promise<T> {
  for (;;) {
    const value = await ask();
    if (value !== undefined && value !== false) return value;
    await sleep(10);
  }
}

export async function openTestPayments(options: { webhookUrl?: string } = {}): Promise<TestPayments> {
  const [database, testRedis] = await Promise.all([openTestDatabase(), openTestRedis()]);
  const { postgres } = database;
  const { redis, url: redisUrl } = testRedis;
  let nowMs = START_MS;
  const clock = { now: () => nowMs, advance: (ms: number) => void (nowMs += ms) };
  const stock = createStockStore({ redis, testNow: clock.now });
  await stock.attach(createEpochRecord(postgres));
  for (let partition = 0; partition < PARTITIONS; partition++)
    await redis.hset(keys.fence(partition), 'testClock', '1');

  // The door is there before the shop, whose webhooks the sandbox must know where to send.
  const door: Door = { isOpen: true, answers: [], webhook: undefined };
  const server = createDoor(door);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const doorUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}${WEBHOOK_PATH}`;
  const sandbox = await createSandbox({
    port: 0,
    secretKey: SECRET_KEY,
    webhookSecret: WEBHOOK_SECRET,
    webhookUrl: options.webhookUrl ?? doorUrl,
  });

  const queue = openJobQueues(redisUrl, quietLog);
  const feed = createStockFeed({ redisUrl, log: quietLog });
  const news: PaymentNews[] = [];
  feed.onPayment((one) => void news.push(one));
  const gateway = createPaymentGateway({ secretKey: SECRET_KEY, webhookSecret: WEBHOOK_SECRET, apiBase: sandbox.url });
  const dependencies: PaymentDependencies = {
    postgres,
    stock,
    gateway,
    queue,
    feed,
    startsPerSecond: 10_000,
    log: quietLog,
    clock: systemClock,
  };
  const created = createPayments(dependencies);
  const routes = createPaymentRoutes({ payments: created, stock });
  door.webhook = routes.find((route) => route.path === WEBHOOK_PATH);
  const handlers: JobHandlers<JobMap> = { ...created.handlers, 'hold.expire': async () => {} };
  const runner = runJobQueues(redisUrl, handlers, { concurrency: 8, log: quietLog });
  const apply = applyOf({ postgres, redis, stock, queue, begunAmong: created.begunAmong });

  const drain = async () => {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      // An empty partition costs a tick of Redis' clock to wait for, so it is not read.
      if ((await redis.xlen(keys.outbox(partition))) === 0) continue;
      await ensureGroup(redis, keys.outbox(partition), OUTBOX_GROUP);
      const read = await readNew(redis, OUTBOX_GROUP, [keys.outbox(partition)], { count: 10_000, blockMs: 1 });
      const entryIds = [...read.values()].flat().map((entry) => entry.id);
      if (entryIds.length > 0) await apply({ partition, entryIds });
    }
  };
  const paymentOf = async (purchaseId: string) =>
    (await postgres.query('SELECT * FROM payments WHERE purchase_id = $1', [purchaseId])).rows[0];
  const buy: TestPayments['buy'] = async ({ saleId, sku }, buyer = randomId('u')) => {
    const purchaseId = newPurchaseId(saleId, buyer);
    const { outcomes } = await stock.reserve(saleId, sku, [{ purchaseId, buyer, quantity: 1, fingerprint: 'f' }]);
    const outcome = outcomes[0];
    if (outcome?.kind !== 'purchase') throw new Error(`refused: ${outcome?.code}`);
    return purchaseId;
  };

  return {
    database,
    testRedis,
    postgres,
    stock,
    orders: createOrders({ postgres, stock, queue }),
    sandbox,
    stripe: sdkFor(sandbox.url),
    payments: created,
    dependencies,
    clock,
    news,
    doorUrl,
    door,
    async openSale({ stock: units = 10, paymentStart = 'eager', perBuyerLimit = 1, unitPrice = 49_900 } = {}) {
      const sku = randomId('sku');
      const sale = saleOf({
        paymentStart,
        perBuyerLimit,
        startBacklogLimit: 1000,
        items: [{ sku, stock: units, unitPrice, currency: 'INR' }],
      });
      await insertTestSale(postgres, sale.saleId, { paymentStart, sku });
      await stock.createSale(sale);
      return { saleId: sale.saleId, sku };
    },
    buy,
    drain,
    async expireHolds() {
      for (let partition = 0; partition < PARTITIONS; partition++) while ((await stock.expire(partition)).hasMore);
      await drain();
    },
    async buyUntilPayable(sale, buyer) {
      const purchaseId = await buy(sale, buyer);
      await drain();
      const intentId = await until(async () => {
        const payment = await paymentOf(purchaseId);
        const isPending = (await stock.look([purchaseId]))[0]?.status === 'PAYMENT_PENDING';
        return isPending && typeof payment?.['provider_payment_id'] === 'string' && payment['provider_payment_id'];
      });
      return { purchaseId, intentId };
    },
    statusOf: async (purchaseId) => (await stock.look([purchaseId]))[0]?.status,
    paymentOf,
    deadLetters: () => queue.listDead(),
    async close() {
      await sandbox.close();
      server.closeAllConnections();
      server.close();
      await runner.close();
      await queue.close();
      await feed.close();
      await testRedis.close();
      await database.drop();
    },
  };
}
