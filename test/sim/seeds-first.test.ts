import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTestStage, playSeeds } from './test-stage.ts';
import { SEEDS_A_FILE, STEPS_IN_TESTS } from './report.ts';

let stage: Awaited<ReturnType<typeof openTestStage>>;
beforeAll(async () => {
  stage = await openTestStage();
});
afterAll(() => stage.close());

it('keeps every promise through faults, the first half of the seeds', async () => {
  const { purchases, paid } = await playSeeds(stage, 1, SEEDS_A_FILE, STEPS_IN_TESTS);
  // Histories in which nothing happens would break nothing either.
  expect(purchases).toBeGreaterThan(SEEDS_A_FILE);
  expect(paid).toBeGreaterThan(SEEDS_A_FILE / 4);
}, 3_600_000);
