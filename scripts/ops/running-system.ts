// The servers of the system that the operator means, opened for a verb that must look past the API, and closed again.
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import { systemClock } from '../../core/clock.ts';
import { REDIS_CONNECT_TIMEOUT_MS } from '../../core/constants.ts';
import { openPostgres, type Postgres } from '../../core/postgres/postgres.ts';
import { connectRedis, type Redis, whenReady } from '../../core/redis/redis.ts';
import { createEpochRecord } from '../../shop/orders/orders.ts';
import { findSystem, type SystemAddress } from './system-address.ts';

export interface OpenSystem {
  readonly address: SystemAddress;
  readonly postgres: Postgres;
  readonly redis: Redis;
  /** Attached: FENCED is thrown where Redis lacks what Postgres knows. */
  readonly stock: StockStore;
  readonly clock: typeof systemClock;
}

export async function withSystem<T>(work: (system: OpenSystem) => Promise<T>): Promise<T> {
  const address = findSystem();
  const postgres = openPostgres(address.databaseUrl, { max: 4, name: 'ops' });
  const redis = connectRedis(address.redisUrl, 'scripts');
  try {
    await whenReady(redis, REDIS_CONNECT_TIMEOUT_MS);
    const stock = createStockStore({ redis });
    await stock.attach(createEpochRecord(postgres));
    return await work({ address, postgres, redis, stock, clock: systemClock });
  } finally {
    redis.disconnect();
    await postgres.close();
  }
}
