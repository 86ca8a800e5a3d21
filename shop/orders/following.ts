// Makes jobs of what follows from committed records (follow-ups.ts). Remembers which ends of holds it has asked for: all
// batches of a second ask for the same ones. Of holds that ended only those with a payment make jobs. It writes no rows.
import type { Clock } from '../../core/clock.ts';
import { EXPIRIES_REMEMBERED_MAX } from '../../core/constants.ts';
import type { JobQueue } from '../../core/queue/queue.ts';
import type { JobMap } from '../job-map.ts';
import type { ReadEntry } from './batch.ts';
import { isEndOfHold, planFollowUps } from './follow-ups.ts';
import type { SaleTerms } from './sale-terms.ts';

export interface FollowingDependencies {
  readonly queue: Pick<JobQueue<JobMap>, 'addBulk'>;
  readonly terms: SaleTerms;
  readonly clock: Clock;
  /**
   * Which of these purchases have a payment, begun or more. One that begins later than it is asked for here meets a hold that has
   * ended, and takes itself back. Without it, all are taken to have one.
   */
  readonly begunAmong?: ((purchaseIds: readonly string[]) => Promise<ReadonlySet<string>>) | undefined;
}

export function createFollowing(
  deps: FollowingDependencies,
): (partition: number, entries: readonly ReadEntry[]) => Promise<void> {
  const { queue, terms, clock, begunAmong } = deps;
  const asked = new Set<string>();
  return async (partition, entries) => {
    const eager = await terms.eagerAmong(salesWithHolds(entries));
    const ended = endedHolds(entries);
    const begun = begunAmong === undefined || ended.length === 0 ? new Set(ended) : await begunAmong(ended);
    const plan = planFollowUps(entries, {
      ...{ partition, nowMs: clock.now() },
      isEager: (id) => eager.has(id),
      isBegun: (id) => begun.has(id),
    });
    if (plan.starts.length > 0) await queue.addBulk('payment.start', plan.starts);
    if (plan.cancels.length > 0) await queue.addBulk('payment.cancel', plan.cancels);
    if (plan.refunds.length > 0) await queue.addBulk('payment.refund', plan.refunds);
    const expiries = plan.expiries.filter(({ jobId = '' }) => !asked.has(jobId));
    if (expiries.length === 0) return;
    await queue.addBulk('hold.expire', expiries);
    if (asked.size > EXPIRIES_REMEMBERED_MAX) asked.clear();
    for (const { jobId = '' } of expiries) asked.add(jobId);
  };
}

function endedHolds(entries: readonly ReadEntry[]): string[] {
  const purchaseIds: string[] = [];
  for (const { records } of entries) {
    for (const record of records) {
      if (record.kind === 'purchase' && isEndOfHold(record)) purchaseIds.push(record.purchaseId);
    }
  }
  return purchaseIds;
}

function salesWithHolds(entries: readonly ReadEntry[]): string[] {
  const saleIds = new Set<string>();
  for (const { records } of entries) {
    for (const record of records) {
      if (record.kind === 'purchase' && record.status === 'RESERVED') saleIds.add(record.saleId);
    }
  }
  return [...saleIds];
}
