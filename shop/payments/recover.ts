// The finder of lost work of money: from Postgres alone, what was promised and not done, given to the jobs that do it. For
// when BullMQ's jobs are gone with their Redis, or one of them died. It asks no provider and moves no money itself; every job
// it makes is one that may run twice.
import { CANCEL_POLL_AGE_MS, LOST_WORK_MAX } from '../../core/constants.ts';
import { counter } from '../../core/metrics.ts';
import type { JobMap } from '../job-map.ts';
import type { PaymentDependencies } from './dependencies.ts';
import { findUncanceled, findUnreturned, findUnsettled, findUnstarted, finishPayments } from './lost-store.ts';
import type { LostFilter } from './lost-store.ts';

const found = counter('doorbuster_lost_payment_jobs_total', 'Payment work that had no job any more, by job.', ['job']);

export interface RecoverOptions {
  /** Nothing younger has lost its job yet. 0 looks for everything, to the end: after a rebuild of Redis. */
  minAgeMs: number;
  saleIds?: readonly string[];
  source?: 'recovery' | 'rebuild';
}

/** Jobs added, by what they do. Those that exist already are counted too, and not doubled. */
export interface Recovered {
  starts: number;
  settles: number;
  refunds: number;
  cancels: number;
}

type PaymentJob = 'payment.start' | 'payment.resume' | 'payment.refund' | 'payment.cancel';

export function createRecover(
  deps: Pick<PaymentDependencies, 'postgres' | 'queue'>,
): (options: RecoverOptions) => Promise<Recovered> {
  const { postgres, queue } = deps;

  return async ({ minAgeMs, saleIds, source = 'recovery' }) => {
    // A poll takes a page and comes again; whoever asks for everything gets it in one go.
    const isAll = minAgeMs === 0;

    async function recover<N extends PaymentJob>(
      name: N,
      find: (filter: LostFilter) => Promise<string[]>,
      toPayload: (key: string) => JobMap[N],
      ageMs = minAgeMs,
    ): Promise<number> {
      let [count, after] = [0, ''];
      for (;;) {
        const keys = await find({ minAgeMs: ageMs, saleIds, after, limit: LOST_WORK_MAX });
        // A job that still exists keeps its id, so this adds only those that were lost.
        const idOf = (key: string) => `${name.slice('payment.'.length)}-${key}`;
        await queue.addBulk(
          name,
          keys.map((key) => ({ payload: toPayload(key), jobId: idOf(key) })),
        );
        count += keys.length;
        after = keys.at(-1) ?? '';
        if (!isAll || keys.length < LOST_WORK_MAX) break;
      }
      if (count > 0) found.inc({ job: name }, count);
      return count;
    }

    await finishPayments(postgres, LOST_WORK_MAX * 10);
    const starts = await recover(
      'payment.start',
      (filter) => findUnstarted(postgres, filter),
      (key) => ({ purchaseIds: [key] }),
    );
    const settles = await recover(
      'payment.resume',
      (filter) => findUnsettled(postgres, filter),
      (key) => ({ keys: [key], source }),
    );
    const refunds = await recover(
      'payment.refund',
      (filter) => findUnreturned(postgres, filter),
      (key) => ({ keys: [key] }),
    );
    const cancels = await recover(
      'payment.cancel',
      (filter) => findUncanceled(postgres, filter),
      (key) => ({ purchaseIds: [key] }),
      // The provider may be at work on it, which takes days: asked less often than what only lost its job.
      isAll ? 0 : Math.max(minAgeMs, CANCEL_POLL_AGE_MS),
    );
    return { starts, settles, refunds, cancels };
  };
}
