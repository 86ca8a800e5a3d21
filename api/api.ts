// The API process as a value: connections, shop, door, all wired, with a start and an orderly end. main.ts runs one per
// process; tests run several in one. Redis and Postgres may be away at any time, the start included.
import { createAgenda } from '../actors/agenda.ts';
import { createHoldSweeper } from '../actors/hold-sweeper.ts';
import { createCounter } from '../actors/sku-actor.ts';
import { createStockFeed } from '../actors/stock-feed.ts';
import { createStockStore } from '../actors/stock-store.ts';
import { sleep, systemClock } from '../core/clock.ts';
import type { RuntimeConfig } from '../core/config.ts';
import { READINESS_TIMEOUT_MS } from '../core/constants.ts';
import type { Log } from '../core/log.ts';
import { migrate } from '../core/postgres/migrate.ts';
import { openPostgres } from '../core/postgres/postgres.ts';
import { connectRedis, whenReady } from '../core/redis/redis.ts';
import { openJobQueues } from '../shop/job-queues.ts';
import { createEpochFollower } from '../shop/orders/orders.ts';
import type { Route } from '../shop/route.ts';
import { createShop, type Shop } from '../shop/shop.ts';
import { keepAttached } from './attach.ts';
import { createAuthenticator } from './auth.ts';
import { createAddressReader } from './client-address.ts';
import { createDispatcher } from './dispatch.ts';
import { createGatekeeper } from './gatekeeper.ts';
import { createRateShare } from './rate-share.ts';
import { createReadiness } from './readiness.ts';
import { createRoutes } from './routes.ts';
import { type ServerLimits, startServer } from './server.ts';
import { createUpgrader } from './socket-upgrade.ts';
import { createSockets } from './sockets.ts';

const MIGRATIONS = new URL('../db/migrations/', import.meta.url);
const LIVE_PAGE = new URL('../web/live.html', import.meta.url);
/** Reads and sale definitions only: orders are written by the workers. */
const POSTGRES_CONNECTIONS_MAX = 10;

export interface Api {
  readonly port: number;
  readonly routes: readonly Route[];
  readonly shop: Shop;
  /** Resolves once purchases can be taken. */
  readonly attached: Promise<void>;
  close(): Promise<void>;
}

export async function startApi(config: RuntimeConfig, log: Log, limits?: ServerLimits): Promise<Api> {
  const clock = systemClock;
  const postgres = openPostgres(config.databaseUrl, { max: POSTGRES_CONNECTIONS_MAX, name: 'doorbuster-api', log });
  const redis = connectRedis(config.redisUrl, 'scripts', log);
  const queue = openJobQueues(config.redisUrl, log);
  const feed = createStockFeed({ redisUrl: config.redisUrl, log });
  const stock = createStockStore({ redis, replicas: config.redisReplicas ?? 0 });
  const counter = createCounter({ stock, clock, feed });
  const sweeper = createHoldSweeper({ stock, clock, log, findDue: createAgenda({ redis, redisUrl: config.redisUrl }) });
  const shop = createShop({ config, postgres, stock, counter, feed, queue, clock, log });

  const followEpoch = createEpochFollower({ postgres, stock });
  const attachment = keepAttached({
    prepare: () => migrate(postgres, MIGRATIONS),
    async follow() {
      await whenReady(redis, READINESS_TIMEOUT_MS);
      await followEpoch();
    },
    log,
  });
  const share = createRateShare({ redis, clock, log });
  const gatekeeper = createGatekeeper(createAuthenticator(config.jwtSecret, clock), clock, share);
  const isProduction = config.environment === 'production';
  const routes = createRoutes({
    shop,
    checkReadiness: createReadiness({ postgres, stock, isFenced: () => attachment.isFenced }),
    guests: { jwtSecret: config.jwtSecret, isProduction, clock, share },
    page: { file: LIVE_PAGE, sandboxUrl: isProduction ? undefined : config.stripe.apiBase, isProduction },
  });
  const sockets = createSockets({ gatekeeper, purchases: shop.purchases, stock, feed, clock, log });
  const dispatcher = createDispatcher({ routes, gatekeeper, clock, log });
  const upgrader = createUpgrader({ gatekeeper, clock, allowedOrigins: config.allowedOrigins });
  const addressOf = createAddressReader(config.trustedProxies ?? []);
  // Whom the system's port sends here before we are attached gets 503, while a process beside us could answer. But it is
  // not waited for long: without Redis or Postgres we serve too, and say so.
  const patience = new AbortController();
  await Promise.race([attachment.attached, sleep(READINESS_TIMEOUT_MS, patience.signal)]);
  patience.abort();
  const server = await startServer({ port: config.port, dispatcher, sockets, upgrader, addressOf, clock, limits });

  sweeper.start();

  return {
    port: server.port,
    routes,
    shop,
    attached: attachment.attached,
    async close() {
      upgrader.stop();
      await server.close();
      await counter.drain();
      share.close();
      await Promise.all([sweeper.stop(), attachment.stop()]);
      await Promise.all([feed.close(), queue.close(), postgres.close()]);
      redis.disconnect();
    },
  };
}
