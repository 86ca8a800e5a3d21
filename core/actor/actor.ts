// An actor: a bounded mailbox in front of a batch handler, with one batch in flight. What arrives meanwhile forms the next
// batch: no timers, a batch of one when idle, of hundreds under load. It is a batcher, never a lock: several may serve the
// same key at once. It knows nothing of what it carries. `handle` must settle; a batch whose outcome is unknown is sent again.
import { jitter, sleep } from '../clock.ts';
import type { Clock } from '../clock.ts';
import { OVERLOAD_RETRY_AFTER_SECONDS } from '../constants.ts';
import { fault, hasCode } from '../errors.ts';

export interface Actor<I, R> {
  /** The handler's reply for this item. Rejects OVERLOADED when the mailbox is full or too slow, SHUTTING_DOWN while draining. */
  ask(item: I, deadlineAt: number, isAbandoned?: () => boolean): Promise<R>;
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

interface Caller<I, R> {
  readonly item: I;
  readonly deadlineAt: number;
  /** Nobody waits any more: a unit that was set aside now would be held for nobody. */
  readonly isAbandoned: () => boolean;
  readonly resolve: (reply: R) => void;
  readonly reject: (error: unknown) => void;
  /** Whether an attempt with this item ended without an answer: then "nothing was done" would be a lie. */
  mayHaveRun: boolean;
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

  function ask(item: I, deadlineAt: number, isAbandoned: () => boolean = never): Promise<R> {
    if (isDraining) return Promise.reject(fault('SHUTTING_DOWN'));
    if (isFull()) {
      return Promise.reject(fault('OVERLOADED', undefined, { retryAfterSeconds: OVERLOAD_RETRY_AFTER_SECONDS }));
    }
    return new Promise<R>((resolve, reject) => {
      mailbox.push({ item, deadlineAt, isAbandoned, resolve, reject, mayHaveRun: false });
      run ??= serve();
    });
  }

  async function serve(): Promise<void> {
    // One turn of the microtask queue: callers of the same tick share the first batch.
    await Promise.resolve();
    while (mailbox.length > 0) {
      const batch = mailbox.splice(0, maxBatch);
      inFlight = batch.length;
      await settle(batch);
    }
    run = undefined;
  }

  /** Sends one batch until it is answered or nobody waits for it any more. */
  async function settle(batch: Caller<I, R>[]): Promise<void> {
    let live = withoutExpired(batch);
    inFlight = live.length;
    while (live.length > 0) {
      const failure = await attempt(live);
      if (failure === undefined) return;
      await sleep(jitter(retryDelayMs));
      live = withoutExpired(live);
      inFlight = live.length;
      // Nobody behind a batch that is being retried should hear of it later than at their own deadline.
      mailbox = withoutExpired(mailbox);
    }
  }

  /** Undefined when every caller is answered, else the failure after which the batch is to be sent again. */
  async function attempt(live: readonly Caller<I, R>[]): Promise<unknown> {
    const items = live.map((caller) => caller.item);
    const deadlineAt = live.reduce((latest, caller) => Math.max(latest, caller.deadlineAt), 0);
    const sentAt = clock.now();
    try {
      const replies = await options.handle(items, deadlineAt);
      batchMs = clock.now() - sentAt;
      answer(live, replies);
      return undefined;
    } catch (error) {
      if (hasCode(error, 'OUTCOME_UNKNOWN')) {
        for (const caller of live) caller.mayHaveRun = true;
        return error;
      }
      if (hasCode(error, 'UNAVAILABLE')) return error;
      inFlight = 0;
      for (const caller of live)
        caller.reject(caller.mayHaveRun ? fault('OUTCOME_UNKNOWN', undefined, { cause: error }) : error);
      return undefined;
    }
  }

  function answer(live: readonly Caller<I, R>[], replies: readonly R[]): void {
    if (replies.length !== live.length) {
      // A reply given to the wrong caller is worse than none.
      throw fault('INTERNAL', `The handler gave ${replies.length} replies to ${live.length} items`);
    }
    inFlight = 0; // before the replies: who has one must not find the actor busy with it
    live.forEach((caller, i) => {
      // The index is in range: the lengths were compared above; R itself may include undefined.
      caller.resolve(replies[i] as R);
    });
  }

  function withoutExpired(callers: Caller<I, R>[]): Caller<I, R>[] {
    const now = clock.now();
    const isOver = (caller: Caller<I, R>): boolean => caller.deadlineAt <= now || caller.isAbandoned();
    if (!callers.some(isOver)) return callers;
    return callers.filter((caller) => {
      if (!isOver(caller)) return true;
      caller.reject(fault(caller.mayHaveRun ? 'OUTCOME_UNKNOWN' : 'UNAVAILABLE', 'Nobody waits for it any more'));
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
