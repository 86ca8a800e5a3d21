// Something that must be done after news was missed, and that may fail for a while: a Redis that has just come back answers
// nobody before it was checked. Done again until it succeeds, and once more for whoever asks meanwhile.
import { jitter, sleep } from '../core/clock.ts';
import { EPOCH_FOLLOW_INTERVAL_MS } from '../core/constants.ts';
import type { Log } from '../core/log.ts';

export interface CatchUp {
  ask(): void;
  stop(): void;
}

export function createCatchUp(work: () => Promise<void>, log: Log): CatchUp {
  const stopping = new AbortController();
  let isAsked = false;
  let isRunning = false;

  async function run(): Promise<void> {
    isRunning = true;
    while (isAsked && !stopping.signal.aborted) {
      isAsked = false;
      try {
        await work();
      } catch (error) {
        log.debug({ err: error }, 'what was missed is asked for again');
        isAsked = true;
        await sleep(jitter(EPOCH_FOLLOW_INTERVAL_MS), stopping.signal);
      }
    }
    isRunning = false;
  }

  return {
    ask() {
      isAsked = true;
      if (!isRunning) void run();
    },
    stop: () => stopping.abort(),
  };
}
