// How fast the continuous audit may go: so many slices a second, and never more than a share of the time waiting for an
// answer. A store that is slow because a crowd is there is therefore asked less.
import { type Clock, sleep } from '../../core/clock.ts';
import { AUDIT_CONFIRM_PAUSE_MS, AUDIT_SLICES_PER_SECOND, AUDIT_TIME_SHARE } from '../../core/constants.ts';

export interface Pace {
  /** Does the work, then rests for what it cost, at once no more once the signal aborts. `leastMs`: from start to start. */
  rest<T>(work: () => Promise<T>, leastMs?: number): Promise<T>;
  readonly sliceMs: number;
  /** Before a difference is looked for again. */
  confirm(): Promise<void>;
}

export interface PaceOptions {
  readonly slicesPerSecond?: number;
  readonly timeShare?: number;
  readonly confirmPauseMs?: number;
}

export function createPace(clock: Clock, signal: AbortSignal, options: PaceOptions = {}): Pace {
  const { slicesPerSecond = AUDIT_SLICES_PER_SECOND, timeShare = AUDIT_TIME_SHARE } = options;
  const { confirmPauseMs = AUDIT_CONFIRM_PAUSE_MS } = options;
  return {
    sliceMs: 1000 / slicesPerSecond,
    confirm: () => sleep(confirmPauseMs, signal),
    async rest(work, leastMs = 0) {
      const startedAt = clock.now();
      const value = await work();
      const tookMs = clock.now() - startedAt;
      const restMs = Math.max(leastMs - tookMs, tookMs * (1 / timeShare - 1));
      if (restMs >= 1) await sleep(restMs, signal);
      return value;
    },
  };
}
