// How fast a process ends holds that fell due by thousands: slices spaced evenly over all partitions, so that who buys meanwhile
// finds Redis and Postgres free in between. Who is late already is not held up any further.
import { type Clock, sleep } from '../core/clock.ts';
import { PARTITIONS, SWEEP_HURRY_LAG_MS, SWEEP_SLICE_SPACING_MS } from '../core/constants.ts';

export interface SweepPace {
  /**
   * Resolves when the next slice may go, with the ms that were waited: at once where the oldest hold of the last one was too
   * late, and when the signal aborts.
   */
  turn(lagMs: number, signal?: AbortSignal): Promise<number>;
}

/** A sweep and a job of each partition wait at most: what is further away is a clock that was set back. */
const WAIT_MAX_MS = 2 * PARTITIONS * SWEEP_SLICE_SPACING_MS;

export function createSweepPace(clock: Clock): SweepPace {
  let nextAt = 0;
  return {
    async turn(lagMs, signal) {
      if (lagMs >= SWEEP_HURRY_LAG_MS) return 0;
      const now = clock.now();
      nextAt = (nextAt > now + WAIT_MAX_MS ? now : Math.max(nextAt, now)) + SWEEP_SLICE_SPACING_MS;
      const waitMs = nextAt - now;
      await sleep(waitMs, signal);
      return waitMs;
    },
  };
}
