// What follows from records that are committed: payments to start, cancel and return, holds to end. Derived from the entries
// alone, with job ids made of entry and place, so that a redelivered entry asks for the same jobs again. It touches nothing.
import type { OutboxRecord, PurchaseRecord } from '../../actors/records.ts';
import { HOLD_EXPIRE_DELAY_MS, PAYMENT_JOB_PURCHASES_MAX } from '../../core/constants.ts';
import type { JobOptions } from '../../core/queue/queue.ts';
import type { JobMap } from '../job-map.ts';
import { newestOf } from './apply-store.ts';

export interface ReadEntry {
  readonly id: string;
  readonly records: readonly OutboxRecord[];
}

type Jobs<N extends keyof JobMap> = ({ payload: JobMap[N] } & JobOptions)[];

export interface FollowUps {
  readonly starts: Jobs<'payment.start'>;
  readonly cancels: Jobs<'payment.cancel'>;
  readonly refunds: Jobs<'payment.refund'>;
  readonly expiries: Jobs<'hold.expire'>;
}

export interface FollowUpOptions {
  readonly partition: number;
  readonly isEager: (saleId: string) => boolean;
  readonly nowMs: number;
}

export function planFollowUps(entries: readonly ReadEntry[], options: FollowUpOptions): FollowUps {
  const { partition, isEager, nowMs } = options;
  const purchases = entries.flatMap((entry) => entry.records.filter((record) => record.kind === 'purchase'));
  const newest = new Map(newestOf(purchases, (p) => p.purchaseId).map((p) => [p.purchaseId, p.version]));
  // An order of the cart pays by its own order, not by each of its holds.
  const isLatest = (p: PurchaseRecord): boolean => newest.get(p.purchaseId) === p.version && p.orderRef === '';
  const starts: Jobs<'payment.start'> = [];
  const cancels: Jobs<'payment.cancel'> = [];
  const refunds: Jobs<'payment.refund'> = [];
  for (const { id, records } of entries) {
    const latest = records.filter((record) => record.kind === 'purchase').filter(isLatest);
    const held = latest.filter((p) => p.status === 'RESERVED' && isEager(p.saleId));
    const ended = latest.filter((p) => p.hadHold && (p.status === 'EXPIRED' || p.status === 'CANCELLED'));
    starts.push(...chunk(held, `start-${partition}-${id}`));
    cancels.push(...chunk(ended, `cancel-${partition}-${id}`));
    refunds.push(...planRefunds(records, `refund-${partition}-${id}`));
  }
  return { starts, cancels, refunds, expiries: planExpiries(purchases, partition, nowMs) };
}

function chunk(purchases: readonly PurchaseRecord[], idPrefix: string) {
  const jobs: { payload: { purchaseIds: string[] }; jobId: string }[] = [];
  for (let from = 0; from < purchases.length; from += PAYMENT_JOB_PURCHASES_MAX) {
    const purchaseIds = purchases.slice(from, from + PAYMENT_JOB_PURCHASES_MAX).map((p) => p.purchaseId);
    jobs.push({ payload: { purchaseIds }, jobId: `${idPrefix}-${from}` });
  }
  return jobs;
}

/**
 * Units that went sold → available were paid for. From the record and not from who asked, so that the money is returned
 * though the asker died. (A late payment that found no stock is REFUNDED without moving a unit, by the settling itself.)
 */
function planRefunds(records: readonly OutboxRecord[], idPrefix: string): Jobs<'payment.refund'> {
  const returned = records.filter((r) => r.kind === 'purchase' && r.status === 'REFUNDED' && r.movement.sold < 0);
  return returned.flatMap((r, place) =>
    r.kind === 'purchase' ? [{ payload: { keys: [r.orderRef || r.purchaseId] }, jobId: `${idPrefix}-${place}` }] : [],
  );
}

/** One job a second in which holds of the partition end; the id dedupes them over batches and processes. */
function planExpiries(purchases: readonly PurchaseRecord[], partition: number, nowMs: number): Jobs<'hold.expire'> {
  const seconds = new Set<number>();
  for (const { status, expiresAt } of purchases) {
    if (status === 'RESERVED' && expiresAt > 0) seconds.add(Math.ceil(expiresAt / 1000));
  }
  return [...seconds].map((second) => ({
    payload: { partition },
    jobId: `expire-${partition}-${second}`,
    delayMs: Math.max(0, second * 1000 + HOLD_EXPIRE_DELAY_MS - nowMs),
  }));
}
