// An actor: a bounded mailbox in front of a batch handler, with one batch in flight, or two where many wait. What arrives
// meanwhile forms the next: no timers, a batch of one when idle, of hundreds under load. It is a batcher, never a lock: several may serve the
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
  /** Callers in the mailbox for whom a second batch is sent behind one in flight; without it there is never a second. */
  secondFrom?: number;
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

/** 'again' where it is to be sent once more. */
type Outcome<R> = { readonly replies: readonly R[] } | { readonly error: unknown } | 'again';

const never = (): boolean => false;

export function createActor<I, R>(options: ActorOptions<I, R>): Actor<I, R> {
  const { maxBatch, maxMailbox, clock, retryDelayMs } = options;
  const { maxWaitMs = Number.POSITIVE_INFINITY, secondFrom = Number.POSITIVE_INFINITY } = options;
  let mailbox: Caller<I, R>[] = [];
  let inFlight = 0;
  /** Batches on their way, those that are sent again included; and how many of them are those. */
  let lanes = 0;
  let retrying = 0;
  let onQuiet: (() => void) | undefined;
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
    if (mayAnother()) void serve();
    return caller;
  }

  /** Behind a batch that is sent again nobody is sent: they would come before those who came before them. */
  function mayAnother(): boolean {
    return lanes === 0 || (lanes === 1 && retrying === 0 && mailbox.length >= secondFrom);
  }

  async function serve(): Promise<void> {
    lanes += 1;
    // One turn of the microtask queue: callers of the same tick share the first batch.
    await Promise.resolve();
    let sent = sendNext();
    while (sent !== undefined) sent = (await settle(sent)) ?? sendNext();
    lanes -= 1;
    if (lanes === 0) onQuiet?.();
  }

  /** Sends those of the next batch for whom somebody waits; undefined where nobody does, or another batch is enough for them. */
  function sendNext(): Sent<I, R> | undefined {
    while (mailbox.length > 0 && (lanes === 1 || (retrying === 0 && mailbox.length >= secondFrom))) {
      const live = withoutExpired(mailbox.splice(0, maxBatch));
      if (live.length === 0) continue;
      inFlight += live.length;
      return send(live);
    }
    return undefined;
  }

  function send(callers: Caller<I, R>[]): Sent<I, R> {
    const items = callers.map((caller) => caller.item);
    const deadlineAt = callers.reduce((latest, caller) => Math.max(latest, caller.deadlineAt), 0);
    return { callers, sentAt: clock.now(), replies: call(items, deadlineAt) };
  }

  function call(items: readonly I[], deadlineAt: number): Promise<readonly R[]> {
    // What the handler throws before it returns a promise is a failure like any other.
    return new Promise((resolve) => resolve(options.handle(items, deadlineAt)));
  }

  /** Sends a batch until it is answered or nobody waits for it any more. Answers the next one, where that is on its way already. */
  async function settle(first: Sent<I, R>): Promise<Sent<I, R> | undefined> {
    let sent = first;
    for (let tries = 1; ; tries += 1) {
      const outcome = await outcomeOf(sent);
      const { callers } = sent;
      if (outcome !== 'again') {
        inFlight -= callers.length; // before the replies: who has one must not find the actor busy with it
        if (tries > 1) retrying -= 1;
        // Before the replies, too: to give them takes as long as a call, and meanwhile the handler is at work for the others.
        const next = sendNext();
        answer(callers, outcome);
        return next;
      }
      if (tries === 1) retrying += 1;
      await sleep(jitter(retryDelayMs));
      const live = withoutExpired(callers);
      inFlight -= callers.length - live.length;
      // Nobody behind a batch that is being retried should hear of it later than at their own deadline.
      mailbox = withoutExpired(mailbox);
      if (live.length === 0) {
        retrying -= 1;
        return undefined;
      }
      sent = send(live);
    }
  }

  async function outcomeOf({ callers, sentAt, replies: coming }: Sent<I, R>): Promise<Outcome<R>> {
    try {
      const replies = await coming;
      batchMs = clock.now() - sentAt;
      // A reply given to the wrong caller is worse than none.
      if (replies.length === callers.length) return { replies };
      throw fault('INTERNAL', `The handler gave ${replies.length} replies to ${callers.length} items`);
    } catch (error) {
      if (hasCode(error, 'UNAVAILABLE')) return 'again';
      if (!hasCode(error, 'OUTCOME_UNKNOWN')) return { error };
      for (const caller of callers) caller.mayHaveRun = true;
      return 'again';
    }
  }

  function answer(callers: readonly Caller<I, R>[], outcome: Exclude<Outcome<R>, 'again'>): void {
    callers.forEach((caller, i) => {
      // The index is in range: the lengths were compared; R itself may include undefined.
      if ('replies' in outcome) caller.settle(outcome.replies[i] as R);
      else if (caller.mayHaveRun) caller.fail(fault('OUTCOME_UNKNOWN', undefined, { cause: outcome.error }));
      else caller.fail(outcome.error);
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
      if (lanes > 0) await new Promise<void>((resolve) => (onQuiet = resolve));
    },
  };
}
