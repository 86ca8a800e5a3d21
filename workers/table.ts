// What the workers do by the clock: one table of tasks, each safe to run anywhere, twice, or late. None of them is the
// first way of anything; they find what a crash or a lost message left behind, and measure.
import { keys } from '../actors/keys.ts';
import { jitter, sleep } from '../core/clock.ts';
import {
  AUDIT_LOOK_INTERVAL_MS,
  AUDIT_ROUND_INTERVAL_MS,
  BUCKET_BALANCE_INTERVAL_MS,
  EPOCH_FOLLOW_INTERVAL_MS,
  PARTITIONS,
  RECONCILE_INTERVAL_MS,
  RESCUE_INTERVAL_MS,
} from '../core/constants.ts';
import { messageOf } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { gauge } from '../core/metrics.ts';
import type { JobQueue } from '../core/queue/queue.ts';
import type { Redis } from '../core/redis/redis.ts';
import type { JobMap } from '../shop/job-map.ts';

export interface PeriodicTask {
  readonly name: string;
  readonly everyMs: number;
  run(): Promise<unknown>;
}

export interface TableDependencies {
  readonly followEpoch: () => Promise<unknown>;
  readonly sales: { installMissing(): Promise<number> };
  readonly buckets: { run(): Promise<void> };
  readonly orders: { finishTakenBack(): Promise<number> };
  readonly payments: {
    settlePending(): Promise<number>;
    recoverLost(): Promise<unknown>;
    reconcile(): Promise<unknown>;
  };
  readonly deadLetters: { measure(): Promise<void> };
  readonly audit: { look(): Promise<void>; round(): Promise<number> };
  readonly redis: Redis;
  readonly queue: Pick<JobQueue<JobMap>, 'counts'>;
}

const backlog = gauge('doorbuster_outbox_backlog_records', 'Records in the outbox that are not in Postgres yet', [
  'partition',
]);
const jobs = gauge('doorbuster_queue_jobs', 'Jobs by state', ['state']);

export function createTable(deps: TableDependencies): PeriodicTask[] {
  const { followEpoch, sales, buckets, orders, payments, deadLetters, audit, redis, queue } = deps;
  return [
    { name: 'partitions.follow', everyMs: EPOCH_FOLLOW_INTERVAL_MS, run: followEpoch },
    { name: 'sales.install', everyMs: RESCUE_INTERVAL_MS, run: () => sales.installMissing() },
    { name: 'buckets.balance', everyMs: BUCKET_BALANCE_INTERVAL_MS, run: () => buckets.run() },
    { name: 'orders.finish-taken-back', everyMs: RESCUE_INTERVAL_MS, run: () => orders.finishTakenBack() },
    { name: 'payments.settle', everyMs: RESCUE_INTERVAL_MS, run: () => payments.settlePending() },
    { name: 'payments.recover', everyMs: RESCUE_INTERVAL_MS, run: () => payments.recoverLost() },
    { name: 'payments.reconcile', everyMs: RECONCILE_INTERVAL_MS, run: () => payments.reconcile() },
    { name: 'dead-letters.measure', everyMs: RESCUE_INTERVAL_MS, run: () => deadLetters.measure() },
    { name: 'audit.look', everyMs: AUDIT_LOOK_INTERVAL_MS, run: () => audit.look() },
    { name: 'audit.round', everyMs: AUDIT_ROUND_INTERVAL_MS, run: () => audit.round() },
    { name: 'backlog.measure', everyMs: RESCUE_INTERVAL_MS, run: () => measure(redis, queue) },
  ];
}

async function measure(redis: Redis, queue: Pick<JobQueue<JobMap>, 'counts'>): Promise<void> {
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const [seq, applied] = await redis.hmget(keys.fence(partition), 'seq', 'applied');
    backlog.set({ partition: String(partition) }, Number(seq ?? 0) - Number(applied ?? 0));
  }
  for (const [state, count] of Object.entries(await queue.counts())) jobs.set({ state }, count);
}

/** Runs each task on its own beat until stopped. A task that fails is tried at its next beat; one line when it begins to. */
export function runTable(tasks: readonly PeriodicTask[], log: Log): { stop(): Promise<void> } {
  const stopping = new AbortController();
  async function beat(task: PeriodicTask): Promise<void> {
    let lastFailure = '';
    while (!stopping.signal.aborted) {
      try {
        await task.run();
        lastFailure = '';
      } catch (error) {
        if (messageOf(error) !== lastFailure)
          log.warn({ task: task.name, reason: messageOf(error) }, 'a periodic task failed');
        lastFailure = messageOf(error);
      }
      await sleep(jitter(task.everyMs), stopping.signal);
    }
  }
  const beats = tasks.map(beat);
  return {
    async stop() {
      stopping.abort();
      await Promise.all(beats);
    },
  };
}
