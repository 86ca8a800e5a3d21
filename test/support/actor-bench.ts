// An actor whose handler does what the test says: each call waits until the test decides how it ends. The clock is the test's.
import { createActor } from '../../core/actor/actor.ts';
import type { Actor } from '../../core/actor/actor.ts';

export const FAR = Number.MAX_SAFE_INTEGER;

/** A handler whose every call waits until the test decides how it ends. */
function createHandler() {
  const calls: {
    items: readonly string[];
    deadlineAt: number;
    resolve(replies: string[]): void;
    reject(error: unknown): void;
  }[] = [];
  let announce: () => void = () => undefined;
  const handle = (items: readonly string[], deadlineAt: number) =>
    new Promise<readonly string[]>((resolve, reject) => {
      calls.push({ items, deadlineAt, resolve, reject });
      announce();
    });
  /** The nth call, as soon as it is made. */
  const call = async (n: number) => {
    while (calls.length <= n) await new Promise<void>((resolve) => (announce = resolve));
    const made = calls[n];
    if (made === undefined) throw new Error('unreachable');
    return { ...made, echo: () => made.resolve(made.items.map((item) => `${item}!`)) };
  };
  return { calls, handle, call };
}

export function createBench(
  options: { maxBatch?: number; maxMailbox?: number; maxWaitMs?: number; secondFrom?: number } = {},
) {
  const handler = createHandler();
  const clock = { time: 1_000, now: () => clock.time };
  const actor: Actor<string, string> = createActor({
    handle: handler.handle,
    maxBatch: options.maxBatch ?? 100,
    maxMailbox: options.maxMailbox ?? 100,
    ...(options.maxWaitMs === undefined ? {} : { maxWaitMs: options.maxWaitMs }),
    ...(options.secondFrom === undefined ? {} : { secondFrom: options.secondFrom }),
    clock,
    retryDelayMs: 1,
  });
  return { actor, clock, ...handler };
}

export const codeOf = (promise: PromiseLike<unknown>) =>
  promise.then(
    () => 'answered',
    (error: unknown) => (error instanceof Error && 'code' in error ? error.code : String(error)),
  );
