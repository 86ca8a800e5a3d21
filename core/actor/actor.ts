// An actor: a bounded mailbox in front of a batch handler, with one batch in flight. What arrives meanwhile forms the next
// batch: no timers, a batch of one when idle, of hundreds under load. It is a batcher, never a lock: several may serve the
// same key at once. It knows nothing of what it carries. `handle` must settle; a batch whose outcome is unknown is sent again.
import { jitter, sleep } from '../clock.ts';
import type { Clock } from '../clock.ts';
import { OVERLOAD_RETRY_AFTER_SECONDS } from '../constants.ts';
import { fault, hasCode } from '../errors.ts';
import { Later } from '../later.ts';

export interface Actor<I, R> {
  /** The handler's reply for this item. Rejects OVERLOADED when the mailbox is full or too slow, SHUTTING_DOWN while draining. */
  ask(item: I, deadlineAt: number, isAbandoned?: () => boolean): Later<R>;
  /** Callers that wait, those of the batch in flight included. */
  readonly size: number;
  readonly isIdle: boolean;
  /** Refuses new callers and resolves when the present ones are answered. */
  drain(): Promise<void>;
}

export interface ActorOptions<I, R> {
  /** One reply per item, in order. Rejecting with OUTCOME_UNKNOWN or UNAVAILABLE asks for the same items again. */
  handle(batch: readonly I[], deadlineAt: number): Promise<readonly R[]>;
  maxBatch: number;
  maxMailbox: number;
  /** Longest wait that is to be expected in the mailbox, by the time the last batch took; without it only its size counts. */
  maxWaitMs?: number;
  clock: Clock;
  retryDelayMs: number;
}

/** Who asks, and what is answered. */
class Caller<I, R> extends Later<R> {
  readonly item: I;
  readonly deadlineAt: number;
  /** Nobody waits any more: a unit that was set aside now would be held for nobody. */
  readonly isAbandoned: () => boolean;
  /** Whether an attempt with this item ended without an answer: then "nothing was done" would be a lie. */
  mayHaveRun = false;

  constructor(item: I, deadlineAt: number, isAbandoned: () => boolean) {
    super();
    this.item = item;
    this.deadlineAt = deadlineAt;
    this.isAbandoned = isAbandoned;
  }
}

/** A batch on its way. */
interface Sent<I, R> {
  readonly callers: Caller<I, R>[];
  readonly sentAt: number;
  readonly replies: Promise<readonly R[]>;
}

const never = (): boolean => false;

export function createActor<I, R>(options: ActorOptions<I, R>): Actor<I, R> {
  const { maxBatch, maxMailbox, maxWaitMs = Number.POSITIVE_INFINITY, clock, retryDelayMs } = options;
  let mailbox: Caller<I, R>[] = [];
  let inFlight = 0;
  let run: Promise<void> | undefined;
  let isDraining = false;
  /** Of the last batch that was answered. A small one takes less than a full one: then the estimate is low, and right soon. */
  let batchMs = 0;

  function isFull(): boolean {
    return mailbox.length >= maxMailbox || (mailbox.length / maxBatch) * batchMs > maxWaitMs;
  }

  function ask(item: I, deadlineAt: number, isAbandoned: () => boolean = never): Later<R> {
    if (isDraining) return Later.failed(fault('SHUTTING_DOWN'));
    if (isFull()) {
      return Later.failed(fault('OVERLOADED', undefined, { retryAfterSeconds: OVERLOAD_RETRY_AFTER_SECONDS }));
    }
    const caller = new Caller<I, R>(item, deadlineAt, isAbandoned);
    mailbox.push(caller);
    run ??= serve();
    return caller;
  }

  async function serve(): Promise<void> {
    // One turn of the microtask queue: callers of the same tick share the first batch.
    await Promise.resolve();
    let sent = sendNext();
    while (sent !== undefined) sent = (await settle(sent)) ?? sendNext();
    run = undefined;
  }

  /** Sends those of the next batch for whom somebody waits; undefined where nobody does. */
  function sendNext(): Sent<I, R> | undefined {
    while (mailbox.length > 0) {
      const live = withoutExpired(mailbox.splice(0, maxBatch));
      if (live.length > 0) return send(live);
    }
    return undefined;
  }

  function send(callers: Caller<I, R>[]): Sent<I, R> {
    inFlight = callers.length;
    const items = callers.map((caller) => caller.item);
    const deadlineAt = callers.reduce((latest, caller) => Math.max(latest, caller.deadlineAt), 0);
    const sentAt = clock.now();
    return { callers, sentAt, replies: call(items, deadlineAt) };
  }

  function call(items: readonly I[], deadlineAt: number): Promise<readonly R[]> {
    // What the handler throws before it returns a promise is a failure like any other.
    return new Promise((resolve) => resolve(options.handle(items, deadlineAt)));
  }

  /** Sends a batch until it is answered or nobody waits for it any more. Answers the next one, where that is on its way already. */
  async function settle(first: Sent<I, R>): Promise<Sent<I, R> | undefined> {
    let sent = first;
    for (;;) {
      const replies = await repliesOf(sent);
      if (replies !== undefined) {
        inFlight = 0; // before the replies: who has one must not find the actor busy with it
        // Before the replies, too: to give them takes as long as a call, and meanwhile the handler is at work for the others.
        const next = sendNext();
        answer(sent.callers, replies);
        return next;
      }
      if (inFlight === 0) return undefined;
      await sleep(jitter(retryDelayMs));
      const live = withoutExpired(sent.callers);
      inFlight = live.length;
      // Nobody behind a batch that is being retried should hear of it later than at their own deadline.
      mailbox = withoutExpired(mailbox);
      if (live.length === 0) return undefined;
      sent = send(live);
    }
  }

  /** Undefined when there are none: then the batch is to be sent again, or nothing is in flight and its callers know why. */
  async function repliesOf({ callers, sentAt, replies: coming }: Sent<I, R>): Promise<readonly R[] | undefined> {
    try {
      const replies = await coming;
      batchMs = clock.now() - sentAt;
      if (replies.length === callers.length) return replies;
      // A reply given to the wrong caller is worse than none.
      throw fault('INTERNAL', `The handler gave ${replies.length} replies to ${callers.length} items`);
    } catch (error) {
      if (hasCode(error, 'OUTCOME_UNKNOWN')) {
        for (const caller of callers) caller.mayHaveRun = true;
        return undefined;
      }
      if (hasCode(error, 'UNAVAILABLE')) return undefined;
      inFlight = 0;
      for (const caller of callers)
        caller.fail(caller.mayHaveRun ? fault('OUTCOME_UNKNOWN', undefined, { cause: error }) : error);
      return undefined;
    }
  }

  function answer(callers: readonly Caller<I, R>[], replies: readonly R[]): void {
    callers.forEach((caller, i) => {
      // The index is in range: the lengths were compared; R itself may include undefined.
      caller.settle(replies[i] as R);
    });
  }

  function withoutExpired(callers: Caller<I, R>[]): Caller<I, R>[] {
    const now = clock.now();
    const isOver = (caller: Caller<I, R>): boolean => caller.deadlineAt <= now || caller.isAbandoned();
    if (!callers.some(isOver)) return callers;
    return callers.filter((caller) => {
      if (!isOver(caller)) return true;
      caller.fail(fault(caller.mayHaveRun ? 'OUTCOME_UNKNOWN' : 'UNAVAILABLE', 'Nobody waits for it any more'));
      return false;
    });
  }

  return {
    ask,
    get size() {
      return mailbox.length + inFlight;
    },
    get isIdle() {
      return mailbox.length + inFlight === 0;
    },
    async drain() {
      isDraining = true;
      await run;
    },
  };
}
