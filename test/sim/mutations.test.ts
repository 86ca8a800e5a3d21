import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hunt } from './hunt.ts';
import { playHistory } from './history.ts';
import { mutations } from './mutations.ts';
import { plant } from './plant.ts';
import { openTestStage } from './test-stage.ts';

let stage: Awaited<ReturnType<typeof openTestStage>>;
beforeAll(async () => {
  stage = await openTestStage();
});
afterAll(() => stage.close());

/** One of each kind, and those that are found soon; all of them: npm run sim -- --mutations. */
const REPRESENTATIVE = [
  'units-lost',
  'hold-kept',
  'small-overtakes',
  'limit-not-uncounted',
  'ticket-skipped',
  'retry-not-recognised',
  'restock-repeated',
  'sold-out-too-soon',
  'hold-never-ends',
  'record-dropped',
  'no-version-guard',
  'older-copy-accepted',
  'order-left-behind',
  'settled-without-stock',
  'wrong-ticket-told',
];

describe('a planted bug is found', () => {
  it.each(REPRESENTATIVE)(
    '%s',
    async (name) => {
      const mutation = mutations.find((one) => one.name === name);
      if (mutation === undefined) throw new Error(`there is no mutation ${name}`);
      const found = await hunt(stage, mutation, { from: 1, seeds: 200, steps: 20 });
      expect(found.foundBy?.rule, `${mutation.bug}: not found in ${found.seeds} seeds`).toBeTypeOf('string');
    },
    600_000,
  );

  it('every planted text is still in the code, and is gone when it was taken out', async () => {
    for (const mutation of mutations) plant(mutation).heal();
    const healed = await playHistory(stage, { seed: 1, steps: 10 });
    expect(healed.violation).toBeUndefined();
  });
});

describe('a seed', () => {
  it('gives the same history, byte for byte, whatever was played before', async () => {
    const first = await playHistory(stage, { seed: 4711, steps: 20, keepsTrace: true });
    await playHistory(stage, { seed: 4712, steps: 5 });
    const again = await playHistory(stage, { seed: 4711, steps: 20, keepsTrace: true });
    expect(again.trace).toEqual(first.trace);
    expect(again.hash).toBe(first.hash);
    const other = await playHistory(stage, { seed: 4713, steps: 20 });
    expect(other.hash).not.toBe(first.hash);
  }, 600_000);
});
