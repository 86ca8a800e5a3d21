// A waiting purchase's place and how long it may take. The place is exact when it is given and an upper bound later;
// the time is an estimate from the throttle, the opening and the ends of the holds before it.
import { LINE_FULL_RETRY_MAX_SECONDS, LINE_FULL_SPREAD_SECONDS } from '../core/constants.ts';
import { randomInteger } from '../core/ids.ts';
import { type Purchase, type SkuCounters, toCounters, type WireCounters } from './records.ts';

export type WireContext = readonly [
  counters: WireCounters,
  opensAt: number,
  admissionPerSecond: number,
  holdMs: number,
  nextDeadline: number,
];

export interface PurchaseView extends Purchase {
  /** Purchases before this one in the line, at most; 0 unless WAITING. */
  readonly ahead: number;
  /** null where nothing is known: before an opening without a date, and during a pause. */
  readonly estimatedWaitSeconds: number | null;
  readonly counters: SkuCounters;
}

function estimateWaitMs(
  purchase: Purchase,
  ahead: number,
  context: WireContext,
  counters: SkuCounters,
  now: number,
): number | null {
  const [, opensAt, admissionPerSecond, holdMs, nextDeadline] = context;
  if (counters.saleStatus === 'PAUSED' || (counters.saleStatus === 'SCHEDULED' && opensAt === 0)) return null;
  const untilOpenMs = counters.saleStatus === 'SCHEDULED' ? Math.max(0, opensAt - now) : 0;
  const throttleMs = admissionPerSecond > 0 ? ((ahead + 1) * 1000) / admissionPerSecond : 0;
  if (ahead + purchase.quantity <= counters.available) return untilOpenMs + throttleMs;
  // All that is not sold may come back when the holds on it end; whoever is further back waits for as many rounds more.
  const unsold = counters.available + counters.held;
  const rounds = unsold > 0 ? Math.floor((ahead - counters.available) / unsold) : 0;
  const holdsMs = nextDeadline > 0 ? Math.max(0, nextDeadline - now) : holdMs;
  return untilOpenMs + Math.max(throttleMs, holdsMs + Math.max(0, rounds) * holdMs);
}

export type Place = Pick<PurchaseView, 'ahead' | 'estimatedWaitSeconds'>;

const SERVED: Place = { ahead: 0, estimatedWaitSeconds: 0 };

/** Where a purchase stands; its SKU's context and counters are those that its answer came with. */
export function toPlace(purchase: Purchase, context: WireContext, counters: SkuCounters, now: number): Place {
  if (purchase.status !== 'WAITING') return SERVED;
  const ahead = Math.max(0, purchase.ticket - counters.head);
  const waitMs = estimateWaitMs(purchase, ahead, context, counters, now);
  return { ahead, estimatedWaitSeconds: waitMs === null ? null : Math.ceil(waitMs / 1000) };
}

export function toView(purchase: Purchase, context: WireContext, now: number): PurchaseView {
  const counters = toCounters(context[0]);
  return { ...purchase, ...toPlace(purchase, context, counters, now), counters };
}

/**
 * Whole seconds until a place in a full line may come free: when the next hold ends, within a minute. Spread over a few
 * seconds, or all who were refused would come back in the same one.
 */
export function retryAfterSeconds(context: WireContext | false, now: number): number {
  const nextDeadline = context ? context[4] : 0;
  const untilFreeSeconds = nextDeadline > now ? Math.ceil((nextDeadline - now) / 1000) : 1;
  const latestSeconds = LINE_FULL_RETRY_MAX_SECONDS - LINE_FULL_SPREAD_SECONDS;
  return Math.min(latestSeconds, untilFreeSeconds) + randomInteger(0, LINE_FULL_SPREAD_SECONDS);
}
