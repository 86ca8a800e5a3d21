// What every part of the continuous audit works with: the stores, its pace, its lease, and the SKU it looks at.
import type { StockStore } from '../../actors/stock-store.ts';
import type { Clock } from '../../core/clock.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import type { Redis } from '../../core/redis/redis.ts';
import type { Pace } from './pace.ts';
import type { RecordWatcher } from './record-watch.ts';

export interface OnlineDependencies {
  readonly postgres: Postgres;
  readonly redis: Redis;
  readonly stock: StockStore;
  readonly watcher: RecordWatcher;
  readonly clock: Clock;
  readonly pace: Pace;
  readonly signal: AbortSignal;
  /** Keeps the sale for this process; throws when it was lost to another. */
  readonly renew: () => Promise<void>;
}

export interface SkuPlace {
  readonly partition: number;
  readonly saleId: string;
  readonly sku: string;
  /** Purchases that differ for a reason that is known. */
  readonly excused: ReadonlySet<string>;
}
