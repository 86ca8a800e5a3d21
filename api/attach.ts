// Keeps this process in its place at Redis: compares the epochs that Postgres has with Redis', at the start until both
// are there, and every second after, since a rebuild raises them. A Redis that is behind what Postgres knows is refused
// (FENCED): the process serves on and sells nothing.
import { jitter, sleep } from '../core/clock.ts';
import { EPOCH_FOLLOW_INTERVAL_MS } from '../core/constants.ts';
import { hasCode, messageOf } from '../core/errors.ts';
import type { Log } from '../core/log.ts';

export interface Attachment {
  /** Resolves when attached for the first time. */
  readonly attached: Promise<void>;
  /** The last attempt was refused. */
  readonly isFenced: boolean;
  stop(): Promise<void>;
}

export interface AttachOptions {
  /** Must have happened before, such as the migrations; tried again until it has. */
  prepare(): Promise<unknown>;
  /** Attaches if there is a reason to. */
  follow(): Promise<unknown>;
  log: Log;
}

export function keepAttached({ prepare, follow, log }: AttachOptions): Attachment {
  const stopping = new AbortController();
  const { promise: attached, resolve } = Promise.withResolvers<void>();
  let isPrepared = false;
  let isFenced = false;
  let lastFailure = '';

  async function tryOnce(): Promise<void> {
    try {
      if (!isPrepared) await prepare();
      isPrepared = true;
      await follow();
      if (lastFailure !== '') log.info('attached to Redis');
      lastFailure = '';
      isFenced = false;
      resolve();
    } catch (error) {
      const reason = messageOf(error);
      const isNews = reason !== lastFailure;
      lastFailure = reason;
      isFenced = hasCode(error, 'FENCED');
      if (isNews && isFenced)
        log.error({ reason }, 'Redis lacks what Postgres knows: nothing is sold until it is rebuilt');
      else if (isNews) log.warn({ reason }, 'not attached to Redis; trying again');
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await tryOnce();
      await sleep(jitter(EPOCH_FOLLOW_INTERVAL_MS), stopping.signal);
    }
  }

  const running = run();
  return {
    attached,
    get isFenced() {
      return isFenced;
    },
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
