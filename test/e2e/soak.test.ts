// The soak as people run it, for seconds instead of minutes: everything that was opened, begun and kept is given back, done or
// explained. Whether memory grows takes longer to see: that is what `npm run soak` is for.
import { expect, test } from 'vitest';
import { runSoak, USUAL } from '../../bench/soak/run.ts';

test('after some seconds of mixed traffic with faults, all counts return to their start', {
  timeout: 180_000,
}, async () => {
  const report = await runSoak(
    {
      ...USUAL,
      seconds: 3,
      seed: 7,
      hasFaults: true,
      size: { buyers: 30, people: 20, arrivalMs: 1_000, holdSeconds: 1 },
      rushLanes: 1,
      faultEveryMs: 900,
      sampleEveryMs: 1_000,
      isMemoryJudged: false,
      isWarmedUp: false,
    },
    { say: () => undefined, signal: new AbortController().signal },
  );
  expect(report.checks.filter(({ isOk }) => !isOk)).toEqual([]);
  expect(report.faults.length).toBeGreaterThan(0);
  expect(report.sales).toBeGreaterThanOrEqual(2);
  expect(report.checks.map(({ name }) => name)).toEqual(expect.arrayContaining(['audit', 'jobs', 'keys: purchases']));
});
