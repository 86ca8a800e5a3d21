// The servers of the system that the operator means, opened for a verb that must look past the API, and closed again.
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import { systemClock } from '../../core/clock.ts';
import { REDIS_CONNECT_TIMEOUT_MS } from '../../core/constants.ts';
import { openPostgres, type Postgres } from '../../core/postgres/postgres.ts';
import { connectRedis, type Redis, whenReady } from '../../core/redis/redis.ts';
import { createEpochRecord } from '../../shop/orders/orders.ts';
import { findSystem, type SystemAddress } from './system-address.ts';

export interface OpenServers {
  readonly address: SystemAddress;
  readonly postgres: Postgres;
  readonly redis: Redis;
}

export interface OpenSystem extends OpenServers {
  /** Attached: FENCED is thrown where Redis lacks what Postgres knows. */
  readonly stock: StockStore;
  readonly clock: typeof systemClock;
}

/** The servers as they are, whatever they lack. */
export async function withServers<T>(work: (servers: OpenServers) => Promise<T>): Promise<T> {
  const address = findSystem();
  const postgres = openPostgres(address.databaseUrl, { max: 4, name: 'ops' });
  const redis = connectRedis(address.redisUrl, 'scripts');
  try {
    await whenReady(redis, REDIS_CONNECT_TIMEOUT_MS);
    return await work({ address, postgres, redis });
  } finally {
    redis.disconnect();
    await postgres.close();
  }
}

export async function withSystem<T>(work: (system: OpenSystem) => Promise<T>): Promise<T> {
  return withServers(async (servers) => {
    const stock = createStockStore({ redis: servers.redis });
    await stock.attach(createEpochRecord(servers.postgres));
    return work({ ...servers, stock, clock: systemClock });
  });
}
