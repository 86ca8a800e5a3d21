// Load shedding: how many requests this process works on at once, and what becomes of those that are too many. They are
// turned away before their token or body is looked at, and no faster than a share of the process allows: a rejection that
// costs a fifth of a purchase, given to everybody at once, would leave nothing for the purchases.
import type { Clock } from '../core/clock.ts';
import {
  ANSWER_TARGET_MS,
  REJECTION_HOLD_MS,
  REJECTIONS_PER_SECOND,
  REQUESTS_IN_FLIGHT_MAX,
  REQUESTS_IN_FLIGHT_MIN,
} from '../core/constants.ts';
import { counter, gauge } from '../core/metrics.ts';
import { takeToken } from './rate-limit.ts';

const limitGauge = gauge('doorbuster_requests_limit_count', 'Requests that this process works on at once, at most');
const shed = counter('doorbuster_shed_requests_total', 'Requests turned away unread because too many were under way');

/** What money and health need: few, and turning them away makes an overload worse. */
const NEVER_SHED: ReadonlySet<string> = new Set(['/livez', '/readyz', '/metrics', '/api/v1/payments/webhook']);

export interface Concurrency {
  /** Newcomers are turned away at the limit, whoever has a purchase already at twice of it, money and health never. */
  hasRoom(method: string, path: string, inFlight: number): boolean;
  /** How long a newcomer's answer took; once it was given. */
  observe(tookMs: number): void;
  /** At times: a fifth less where answers take too long, half more where they do not. */
  adjust(): void;
  readonly limit: number;
}

export function isNewcomer(method: string, path: string): boolean {
  return method === 'POST' && path.endsWith('/purchases');
}

export function createConcurrency(most = REQUESTS_IN_FLIGHT_MAX, least = REQUESTS_IN_FLIGHT_MIN): Concurrency {
  let limit = most;
  let [answered, slow] = [0, 0];
  limitGauge.set(limit);
  return {
    hasRoom(method, path, inFlight) {
      if (inFlight < limit) return true;
      if (NEVER_SHED.has(path)) return true;
      return inFlight < 2 * limit && !isNewcomer(method, path);
    },
    observe(tookMs) {
      answered += 1;
      if (tookMs > ANSWER_TARGET_MS) slow += 1;
    },
    adjust() {
      if (answered === 0) return;
      const isSlow = slow * 2 > answered;
      limit = isSlow ? Math.max(least, Math.floor(limit * 0.8)) : Math.min(most, Math.ceil(limit * 1.5));
      [answered, slow] = [0, 0];
      limitGauge.set(limit);
    },
    get limit() {
      return limit;
    },
  };
}

export interface Rejection {
  /** Set by whoever hears that the client has gone. */
  isGone: boolean;
  /** Makes the answer only now: ten thousand of them, kept for seconds, are what a collector is slow with. */
  write(): void;
}

export interface RejectionLane {
  /** Answers at once while there are few, else when its turn comes: within REJECTION_HOLD_MS and a beat. */
  add(rejection: Rejection): void;
  /** Once a beat: those whose turn has come. */
  advance(): void;
  /** All of them, now. */
  flush(): void;
  readonly size: number;
}

/** Held rejections cost a closure each; there are never more of them than connections. */
export function createRejectionLane(clock: Clock): RejectionLane {
  const rate = { ratePerSecond: REJECTIONS_PER_SECOND, burst: REJECTIONS_PER_SECOND / 10 };
  const bucket = { tokens: rate.burst, filledAt: clock.now() };
  let held: { rejection: Rejection; until: number }[] = [];
  let first = 0;

  function give({ rejection }: { rejection: Rejection }): void {
    if (!rejection.isGone) rejection.write();
  }

  return {
    add(rejection) {
      shed.inc();
      const now = clock.now();
      if (first === held.length && takeToken(bucket, rate, now) === 0) give({ rejection });
      else held.push({ rejection, until: now + REJECTION_HOLD_MS });
    },
    advance() {
      const now = clock.now();
      for (let next = held[first]; next !== undefined; next = held[first]) {
        if (next.until > now && takeToken(bucket, rate, now) > 0) break;
        first += 1;
        give(next);
      }
      held = held.slice(first);
      first = 0;
    },
    flush() {
      held.slice(first).forEach(give);
      [held, first] = [[], 0];
    },
    get size() {
      return held.length - first;
    },
  };
}
