// What the payments slice is given. Each file takes from it what it needs; nothing here decides.
import type { StockFeed } from '../../actors/stock-feed.ts';
import type { StockStore } from '../../actors/stock-store.ts';
import type { Clock } from '../../core/clock.ts';
import type { Log } from '../../core/log.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import type { JobQueue } from '../../core/queue/queue.ts';
import type { JobMap } from '../job-map.ts';
import type { PaymentGateway } from './gateway.ts';

export interface PaymentDependencies {
  postgres: Postgres;
  stock: Pick<StockStore, 'look' | 'confirm' | 'mark' | 'release' | 'releaseOrder'>;
  gateway: PaymentGateway;
  queue: Pick<JobQueue<JobMap>, 'add' | 'addBulk'>;
  feed: Pick<StockFeed, 'publishPayment'>;
  /** Intents that this process may start in a second; see startsPerSecond(). */
  startsPerSecond: number;
  log: Log;
  clock: Clock;
}
