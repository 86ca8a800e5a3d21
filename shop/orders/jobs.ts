// The jobs that this slice handles: the outbox's batches, and the second end of a hold. Both may run twice.
import { sweepPartition } from '../../actors/hold-sweeper.ts';
import type { StockStore } from '../../actors/stock-store.ts';
import type { SweepPace } from '../../actors/sweep-pace.ts';
import type { JobHandlers } from '../../core/queue/queue.ts';
import type { JobMap } from '../job-map.ts';
import { type ApplyDependencies, createApply } from './apply.ts';

export interface OrderJobDependencies extends ApplyDependencies {
  readonly stock: StockStore;
  readonly pace?: SweepPace | undefined;
}

export function createOrderJobs(
  deps: OrderJobDependencies,
): Required<Pick<JobHandlers<JobMap>, 'outbox.apply' | 'hold.expire'>> {
  return {
    'outbox.apply': createApply(deps),
    'hold.expire': ({ partition }) => sweepPartition(deps.stock, partition, { pace: deps.pace }),
  };
}
