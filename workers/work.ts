// The worker process's parts, put together: the relay, the jobs, the sweep and the table. Started in the order in which
// they need each other, stopped in the other; what a part does is its own file's business.
import { createAgenda } from '../actors/agenda.ts';
import { createHoldSweeper } from '../actors/hold-sweeper.ts';
import { createSweepPace } from '../actors/sweep-pace.ts';
import { createStockFeed } from '../actors/stock-feed.ts';
import { createStockStore } from '../actors/stock-store.ts';
import { systemClock } from '../core/clock.ts';
import type { RuntimeConfig } from '../core/config.ts';
import { PARTITIONS, WORKER_CONCURRENCY } from '../core/constants.ts';
import { hasCode } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Postgres } from '../core/postgres/postgres.ts';
import { connectRedis, isClusterUrl, type Redis } from '../core/redis/redis.ts';
import { createDeadLetters, createOnlineAudit, createRebuild } from '../shop/admin/admin.ts';
import { openJobQueues, runJobQueues } from '../shop/job-queues.ts';
import { createEpochFollower, createOrderJobs, createOrders, createSaleTerms } from '../shop/orders/orders.ts';
import { createPaymentGateway, createPayments, startsPerSecond } from '../shop/payments/payments.ts';
import { createBucketBalancer, createSales } from '../shop/sales/sales.ts';
import { createRelay, type Relay } from './relay.ts';
import { createTable, runTable } from './table.ts';

export interface Work {
  /** Attaches to the partitions. Throws FENCED, or that something cannot be reached; to be called until it does not. */
  attach(): Promise<unknown>;
  /** Attached to some partition at least: there is work. */
  readonly isAttached: boolean;
  start(): void;
  /** Resolves when the jobs that were running have ended. */
  stop(): Promise<void>;
}

export interface WorkDependencies {
  postgres: Postgres;
  redis: Redis;
  log: Log;
  /** Crash tests only: told after each step, `relay.read`, `apply.committed` and so on; where it ends the process, the rest is undone. */
  stepHook?: ((step: string) => void) | undefined;
}

export function createWork(config: RuntimeConfig, deps: WorkDependencies): Work {
  const { postgres, redis, log, stepHook = () => undefined } = deps;
  const clock = systemClock;
  const { redisUrl } = config;
  const stock = createStockStore({ redis, replicas: config.redisReplicas ?? 0 });
  const queue = openJobQueues(redisUrl, log);
  const feed = createStockFeed({ redisUrl, log });
  const followEpoch = createEpochFollower({ postgres, stock });
  const rebuild = config.autoRebuild ? createRebuild({ postgres, redis, queue, clock, log }) : undefined;
  const sales = createSales({ postgres, stock, clock, log });
  const buckets = createBucketBalancer({ postgres, stock, clock, log });
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
  const orders = createOrders({ postgres, stock, queue });
  const deadLetters = createDeadLetters({ postgres, records: orders.dead, events: payments.dead, queue, stock });
  const terms = createSaleTerms(postgres);
  const applyHook = (step: string): void => stepHook(`apply.${step}`);
  const { begunAmong } = payments;
  const pace = createSweepPace(clock);
  const orderJobs = createOrderJobs({
    ...{ postgres, redis, stock, queue, terms, begunAmong, pace, clock, log },
    stepHook: applyHook,
  });
  const relayHook = (step: string): void => stepHook(`relay.${step}`);
  const newRelay = (share: { partitions?: readonly number[] }): Relay =>
    createRelay({ redis: connectRedis(redisUrl, 'blocking', log), queue, log, stepHook: relayHook, ...share });
  // One read covers several partitions only where they share a slot.
  const relays = isClusterUrl(redisUrl)
    ? Array.from({ length: PARTITIONS }, (_, partition) => newRelay({ partitions: [partition] }))
    : [newRelay({})];
  const sweeper = createHoldSweeper({ stock, clock, log, pace, findDue: createAgenda({ redis, redisUrl }) });
  const audit = createOnlineAudit({ postgres, redis, redisUrl, stock, clock, log });
  let runner: { close(): Promise<void> } | undefined;
  let table: { stop(): Promise<void> } | undefined;

  /** Where it is ours to decide, a Redis that lost its data is built again; where not, it stays fenced for the operator. */
  async function attach(): Promise<unknown> {
    try {
      return await followEpoch();
    } catch (error) {
      if (rebuild === undefined || !hasCode(error, 'FENCED')) throw error;
      await rebuild.run();
      return followEpoch();
    }
  }

  return {
    attach,
    get isAttached() {
      return stock.isAttached;
    },
    start() {
      const handlers = { ...orderJobs, ...payments.handlers };
      runner = runJobQueues(redisUrl, handlers, { concurrency: WORKER_CONCURRENCY, log });
      table = runTable(
        createTable({ followEpoch: attach, sales, buckets, orders, payments, deadLetters, audit, redis, queue }),
        log,
      );
      for (const relay of relays) relay.start();
      sweeper.start();
    },
    async stop() {
      await Promise.all([...relays.map((relay) => relay.stop()), sweeper.stop(), audit.stop(), table?.stop()]);
      await runner?.close();
      await Promise.all([queue.close(), feed.close()]);
    },
  };
}
