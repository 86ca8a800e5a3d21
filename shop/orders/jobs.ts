// The jobs that this slice handles: the outbox's batches, and the second end of a hold. Both may run twice.
import type { StockStore } from '../../actors/stock-store.ts';
import type { JobHandlers } from '../../core/queue/queue.ts';
import type { JobMap } from '../job-map.ts';
import { type ApplyDependencies, createApply } from './apply.ts';

export interface OrderJobDependencies extends ApplyDependencies {
  readonly stock: Pick<StockStore, 'release' | 'acknowledge' | 'expire' | 'admit'>;
}

export function createOrderJobs(deps: OrderJobDependencies): Required<Pick<JobHandlers<JobMap>, 'outbox.apply' | 'hold.expire'>> {
  return {
    'outbox.apply': createApply(deps),
    async 'hold.expire'({ partition }) {
      while ((await deps.stock.expire(partition)).hasMore);
      while ((await deps.stock.admit(partition)).hasMore);
    },
  };
}
