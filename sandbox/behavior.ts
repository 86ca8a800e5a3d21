// How the sandbox behaves now: what POST /sandbox/behavior has set, and the failures that are still to come.
// One object, changed only through `apply`; the verbs and the deliveries read it at each use.
import { plantedFailure } from './failure.ts';
import type { Failure } from './failure.ts';
import type { BehaviorBody, FailNext } from './wire.ts';

export interface Behavior {
  /** A decline reason for every confirm, whatever the card; null: the card decides. */
  declineReason: string | null;
  /** Every webhook is sent this much later. */
  delayMs: number;
  /** Every answer below /v1 is given this much later; its work is done at once. */
  answerDelayMs: number;
  /** A confirm answers `processing` and succeeds this much later; 0: at once. */
  processingMs: number;
  /** A refund answers `pending` and ends this much later; 0: it has succeeded at once. */
  refundMs: number;
  /** A refund answers `pending`, and fails. */
  isRefundFailing: boolean;
  /** Each webhook is delivered so many times. */
  repeat: number;
  /** Webhooks are held back a moment and sent last first. */
  isReordering: boolean;
  /** Events are only listed under /v1/events. */
  isDropping: boolean;
  /** What the webhook endpoint has subscribed to; '*' is everything. */
  enabledEvents: readonly string[];
  failNext: FailNext | null;
}

/** No answer: the connection is cut, or stays open for ever. */
export type Unanswered = 'cut' | 'silent';

export interface PlantedFailure {
  failure: Failure;
  afterWork: boolean;
  unanswered: Unanswered | undefined;
}

// What a shop subscribes to. payment_intent.created tells it nothing that its own call has not told it, and doubles the
// work of a rush; add it, or '*', with `enabledEvents`.
const DEFAULT_EVENTS = [
  'payment_intent.processing',
  'payment_intent.succeeded',
  'payment_intent.payment_failed',
  'payment_intent.canceled',
  'charge.refunded',
  'refund.created',
  'refund.updated',
  'refund.failed',
] as const;

export function createBehavior() {
  const initial = (): Behavior => ({
    declineReason: null,
    delayMs: 0,
    answerDelayMs: 0,
    processingMs: 0,
    refundMs: 0,
    isRefundFailing: false,
    repeat: 1,
    isReordering: false,
    isDropping: false,
    enabledEvents: DEFAULT_EVENTS,
    failNext: null,
  });
  let current = initial();
  return {
    get current(): Behavior {
      return current;
    },
    apply(body: BehaviorBody): Behavior {
      const next: Behavior = { ...(body.reset === true ? initial() : current) };
      if (body.approve === true || body.decline === false) next.declineReason = null;
      if (body.decline === true) next.declineReason = 'generic_decline';
      if (typeof body.decline === 'string') next.declineReason = body.decline;
      next.delayMs = body.delayMs ?? next.delayMs;
      next.answerDelayMs = body.answerDelayMs ?? next.answerDelayMs;
      next.processingMs = body.processingMs ?? next.processingMs;
      next.refundMs = body.refundMs ?? next.refundMs;
      next.isRefundFailing = body.failRefunds ?? next.isRefundFailing;
      next.repeat = body.repeat ?? next.repeat;
      next.isReordering = body.reorder ?? next.isReordering;
      next.isDropping = body.dropWebhooks ?? next.isDropping;
      next.enabledEvents = body.enabledEvents ?? next.enabledEvents;
      next.failNext = body.failNext ?? next.failNext;
      current = next;
      return current;
    },
    /** The failure planted for this request, counted down by asking; `unanswered` names what happens in place of an answer. */
    takeFailure(method: string, path: string): PlantedFailure | undefined {
      const planted = current.failNext;
      if (planted === null || planted.times <= 0) return undefined;
      if (method !== (planted.method ?? 'POST') || !isPathMeant(planted.path ?? '/v1/*', path)) return undefined;
      const left = planted.times - 1;
      current = { ...current, failNext: left > 0 ? { ...planted, times: left } : null };
      const isUnanswered = planted.status === 0;
      const failure = plantedFailure(isUnanswered ? 503 : planted.status);
      const unanswered = isUnanswered ? (planted.silent === true ? 'silent' : 'cut') : undefined;
      return { failure, afterWork: planted.afterWork === true, unanswered };
    },
  };
}

function isPathMeant(pattern: string, path: string): boolean {
  return pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : path === pattern;
}

export type BehaviorControl = ReturnType<typeof createBehavior>;
