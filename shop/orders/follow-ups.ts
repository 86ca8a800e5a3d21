// What follows from records that are committed: payments to start, cancel and return, holds to end. Derived from the entries
// alone, with job ids made of entry and place, so that a redelivered entry asks for the same jobs again. It touches nothing.
import type { OutboxRecord, PurchaseRecord } from '../../actors/records.ts';
import { HOLD_EXPIRE_DELAY_MS, PAYMENT_JOB_PURCHASES_MAX } from '../../core/constants.ts';
import type { JobOptions } from '../../core/queue/queue.ts';
import type { JobMap } from '../job-map.ts';
import type { ReadEntry } from './batch.ts';

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
  /** A purchase whose hold ended may have a payment to cancel. */
  readonly isBegun: (purchaseId: string) => boolean;
  readonly nowMs: number;
}

export function planFollowUps(entries: readonly ReadEntry[], options: FollowUpOptions): FollowUps {
  const { partition, isEager, isBegun, nowMs } = options;
  let newest: ReadonlyMap<string, number> | undefined;
  const isLatest = (p: PurchaseRecord): boolean => (newest ??= newestOf(entries)).get(p.purchaseId) === p.version;
  const starts: Jobs<'payment.start'> = [];
  const cancels: Jobs<'payment.cancel'> = [];
  const refunds: Jobs<'payment.refund'> = [];
  const seconds = new Set<number>();
  for (const { id, records } of entries) {
    const held: PurchaseRecord[] = [];
    const ended: PurchaseRecord[] = [];
    for (const p of records) {
      if (p.kind !== 'purchase') continue;
      const isHeld = p.status === 'RESERVED';
      if (isHeld && p.expiresAt > 0) seconds.add(Math.ceil(p.expiresAt / 1000));
      // An order of the cart pays by its own order, not by each of its holds.
      if (p.orderRef !== '') continue;
      if (isHeld && isEager(p.saleId) && isLatest(p)) held.push(p);
      if (isEndOfHold(p) && isBegun(p.purchaseId) && isLatest(p)) ended.push(p);
    }
    starts.push(...chunk(held, `start-${partition}-${id}`));
    cancels.push(...chunk(ended, `cancel-${partition}-${id}`));
    refunds.push(...planRefunds(records, `refund-${partition}-${id}`));
  }
  return { starts, cancels, refunds, expiries: planExpiries(seconds, partition, nowMs) };
}

export const isEndOfHold = (p: PurchaseRecord): boolean =>
  p.hadHold && (p.status === 'EXPIRED' || p.status === 'CANCELLED') && p.orderRef === '';

function newestOf(entries: readonly ReadEntry[]): Map<string, number> {
  const newest = new Map<string, number>();
  for (const { records } of entries) {
    for (const p of records) {
      if (p.kind === 'purchase' && p.version > (newest.get(p.purchaseId) ?? 0)) newest.set(p.purchaseId, p.version);
    }
  }
  return newest;
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
function planExpiries(seconds: ReadonlySet<number>, partition: number, nowMs: number): Jobs<'hold.expire'> {
  return [...seconds].map((second) => ({
    payload: { partition },
    jobId: `expire-${partition}-${second}`,
    delayMs: Math.max(0, second * 1000 + HOLD_EXPIRE_DELAY_MS - nowMs),
  }));
}
