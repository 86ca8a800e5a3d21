// Spaces calls evenly: at most so many a second, in the order in which they were asked for, with a small burst after a
// pause. It waits and never refuses; the queue in front of it is what bounds the waiting.
import { sleep } from '../../core/clock.ts';
import type { Clock } from '../../core/clock.ts';

export interface Pacer {
  /** Resolves when the caller may go. */
  turn(): Promise<void>;
}

/** What may go at once after a pause: a tenth of a second's worth. */
const BURST_SECONDS = 0.1;

export function createPacer(perSecond: number, clock: Clock): Pacer {
  const spacingMs = 1000 / perSecond;
  const burstMs = BURST_SECONDS * 1000;
  let nextAt = 0;
  return {
    async turn() {
      const now = clock.now();
      nextAt = Math.max(nextAt, now - burstMs) + spacingMs;
      const waitMs = nextAt - now;
      if (waitMs > 0) await sleep(waitMs);
    },
  };
}
