// What the crowd has seen, all buyers together: the purchases that were acknowledged, their ends, and how long an answer
// took. It is the other side of the audit: the servers' records are held against it at the end.
import type { Clock } from '../../core/clock.ts';
import { isHolding, type Purchase } from './answers.ts';

export type End =
  | 'sold'
  | 'expired'
  | 'soldOut'
  | 'lineFull'
  | 'cancelled'
  | 'refunded'
  | 'refused'
  /** The run was over before the buyer was done. */
  | 'unfinished';

export interface Acknowledged {
  readonly buyerIndex: number;
  latest: Purchase;
  hasWaited: boolean;
  wasAdmitted: boolean;
}

export interface Witness {
  /** The first decision, after however many tries, counted from the moment the button was meant to be pressed. */
  answered(latencyMs: number): void;
  /** To be taken before a question is sent, and handed to `saw` with its answer. */
  admittedUpTo(): number;
  /** `admittedBefore`: undefined for news that may have been on its way for a while. */
  saw(buyerIndex: number, purchase: Purchase, admittedBefore: number | undefined): void;
  /** The system says that there is no such purchase, though it was acknowledged. */
  forgotten(purchaseId: string): void;
  ended(end: End, code?: string): void;
  readonly acknowledged: ReadonlyMap<string, Acknowledged>;
  /** As they were last seen, before the system knew nothing of them; empty when it kept its word. */
  readonly lost: ReadonlyMap<string, Acknowledged>;
  readonly ends: Readonly<Record<End, number>>;
  /** Codes of refusals that a rush does not expect. */
  readonly oddRefusals: ReadonlyMap<string, number>;
  readonly answeredCount: number;
  readonly endedCount: number;
  readonly admittedCount: number;
  /** Purchases that still waited after somebody behind them had been told of a hold. */
  readonly overtaken: ReadonlySet<string>;
  readonly lastNewsAt: number;
  latencies(): Float64Array;
}

export function createWitness(buyers: number, clock: Clock): Witness {
  const acknowledged = new Map<string, Acknowledged>();
  const lost = new Map<string, Acknowledged>();
  const ends = { sold: 0, expired: 0, soldOut: 0, lineFull: 0, cancelled: 0, refunded: 0, refused: 0, unfinished: 0 };
  const oddRefusals = new Map<string, number>();
  const overtaken = new Set<string>();
  const latencies = new Float64Array(buyers);
  let answeredCount = 0;
  let endedCount = 0;
  let admittedCount = 0;
  let admittedUpTo = 0;
  let lastNewsAt = clock.now();

  function recordOf(buyerIndex: number, purchase: Purchase): Acknowledged {
    const known = acknowledged.get(purchase.purchaseId);
    if (known !== undefined) return known;
    const record = { buyerIndex, latest: purchase, hasWaited: false, wasAdmitted: false };
    acknowledged.set(purchase.purchaseId, record);
    return record;
  }

  return {
    answered(latencyMs) {
      latencies[answeredCount] = latencyMs;
      answeredCount += 1;
    },
    admittedUpTo: () => admittedUpTo,
    saw(buyerIndex, purchase, admittedBefore) {
      const record = recordOf(buyerIndex, purchase);
      if (purchase.version >= record.latest.version) record.latest = purchase;
      lastNewsAt = clock.now();
      if (purchase.status === 'WAITING') {
        record.hasWaited = true;
        if (admittedBefore !== undefined && purchase.ticket < admittedBefore) overtaken.add(purchase.purchaseId);
        return;
      }
      const isAdmitted = isHolding(purchase) || purchase.status === 'CONFIRMED' || purchase.status === 'EXPIRED';
      if (!isAdmitted || record.wasAdmitted) return;
      record.wasAdmitted = true;
      admittedCount += 1;
      admittedUpTo = Math.max(admittedUpTo, purchase.ticket);
    },
    forgotten(purchaseId) {
      const record = acknowledged.get(purchaseId);
      if (record === undefined) return;
      lost.set(purchaseId, record);
      acknowledged.delete(purchaseId);
    },
    ended(end, code) {
      ends[end] += 1;
      endedCount += 1;
      if (end === 'refused' && code !== undefined) oddRefusals.set(code, (oddRefusals.get(code) ?? 0) + 1);
    },
    acknowledged,
    lost,
    ends,
    oddRefusals,
    overtaken,
    get answeredCount() {
      return answeredCount;
    },
    get endedCount() {
      return endedCount;
    },
    get admittedCount() {
      return admittedCount;
    },
    get lastNewsAt() {
      return lastNewsAt;
    },
    latencies: () => latencies.slice(0, answeredCount).sort(),
  };
}

/** Of sorted values; 0 when there are none. */
export function percentile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))] ?? 0;
}
