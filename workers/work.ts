// The worker process's parts, put together: the relay, the jobs, the sweep and the table. Started in the order in which
// they need each other, stopped in the other; what a part does is its own file's business.
import { createHoldSweeper } from '../actors/hold-sweeper.ts';
import { createStockFeed } from '../actors/stock-feed.ts';
import { createStockStore } from '../actors/stock-store.ts';
import { systemClock } from '../core/clock.ts';
import type { RuntimeConfig } from '../core/config.ts';
import { WORKER_CONCURRENCY } from '../core/constants.ts';
import type { Log } from '../core/log.ts';
import type { Postgres } from '../core/postgres/postgres.ts';
import { connectRedis, type Redis } from '../core/redis/redis.ts';
import { openJobQueues, runJobQueues } from '../shop/job-queues.ts';
import { createEpochFollower, createOrderJobs, createSaleTerms } from '../shop/orders/orders.ts';
import { createPaymentGateway, createPayments, startsPerSecond } from '../shop/payments/payments.ts';
import { createSales } from '../shop/sales/sales.ts';
import { createRelay } from './relay.ts';
import { createTable, runTable } from './table.ts';

export interface Work {
  /** Attaches to the partitions. Throws FENCED, or that something cannot be reached; to be called until it does not. */
  attach(): Promise<unknown>;
  start(): void;
  /** Resolves when the jobs that were running have ended. */
  stop(): Promise<void>;
}

export function createWork(config: RuntimeConfig, deps: { postgres: Postgres; redis: Redis; log: Log }): Work {
  const { postgres, redis, log } = deps;
  const clock = systemClock;
  const { redisUrl } = config;
  const stock = createStockStore({ redis });
  const queue = openJobQueues(redisUrl, log);
  const feed = createStockFeed({ redisUrl, log });
  const followEpoch = createEpochFollower({ postgres, stock });
  const sales = createSales({ postgres, stock, clock, log });
  const payments = createPayments({
    postgres,
    stock,
    gateway: createPaymentGateway(config.stripe),
    queue,
    feed,
    startsPerSecond: startsPerSecond(config.stripe),
    log,
    clock,
  });
  const orderJobs = createOrderJobs({ postgres, redis, stock, queue, terms: createSaleTerms(postgres), clock, log });
  const relay = createRelay({ redis: connectRedis(redisUrl, 'blocking', log), queue, log });
  const sweeper = createHoldSweeper({ stock, clock, log });
  let runner: { close(): Promise<void> } | undefined;
  let table: { stop(): Promise<void> } | undefined;

  return {
    attach: followEpoch,
    start() {
      const handlers = { ...orderJobs, ...payments.handlers };
      runner = runJobQueues(redisUrl, handlers, { concurrency: WORKER_CONCURRENCY, log });
      table = runTable(createTable({ followEpoch, sales, payments, redis, queue }), log);
      relay.start();
      sweeper.start();
    },
    async stop() {
      await Promise.all([relay.stop(), sweeper.stop(), table?.stop()]);
      await runner?.close();
      await Promise.all([queue.close(), feed.close()]);
    },
  };
}
