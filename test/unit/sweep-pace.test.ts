// The pace of a mass of ends: even over all who wait, never in the way of who is late, and of no clock's making.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSweepPace } from '../../actors/sweep-pace.ts';
import { simulateTime } from '../../core/clock.ts';
import { PARTITIONS, SWEEP_HURRY_LAG_MS, SWEEP_SLICE_SPACING_MS } from '../../core/constants.ts';

let now = 1_000_000;
let waited: number[];
beforeEach(() => {
  waited = [];
  simulateTime({ wait: async (ms) => void waited.push(ms), random: () => 0 });
});
afterEach(() => simulateTime(undefined));
const createPace = () => createSweepPace({ now: () => now });

describe('slices of due holds', () => {
  it('are spaced over all partitions together, and go at once after a pause', async () => {
    const pace = createPace();
    const turns = await Promise.all([1, 2, 3].map(() => pace.turn(0)));
    expect(turns).toEqual([1, 2, 3].map((place) => place * SWEEP_SLICE_SPACING_MS));
    expect(waited).toEqual(turns);
    now += 60_000;
    expect(await pace.turn(0)).toBe(SWEEP_SLICE_SPACING_MS);
  });

  it('are not held up once the oldest is too late', async () => {
    const pace = createPace();
    expect(await pace.turn(SWEEP_HURRY_LAG_MS)).toBe(0);
    expect(waited).toEqual([]);
  });

  it('do not wait for a clock that was set back', async () => {
    const pace = createPace();
    await pace.turn(0);
    now -= 3_600_000;
    for (let n = 0; n < 4 * PARTITIONS; n += 1) await pace.turn(0);
    expect(Math.max(...waited)).toBeLessThanOrEqual((2 * PARTITIONS + 1) * SWEEP_SLICE_SPACING_MS);
  });
});
