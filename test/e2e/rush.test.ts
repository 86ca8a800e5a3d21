// The demo as a test: a whole system, a crowd, a sale, and its audit. Small numbers, the same code as `npm run rush`. What
// happens when processes are killed in the middle of it is in kill.test.ts.
import { expect, test } from 'vitest';
import { startRush } from '../support/rush.ts';

// Beside each other: mostly they wait for holds to end.
test.concurrent('2,000 buyers race for 50 units: exactly 50 are sold, in order, and the audit agrees', async () => {
  const result = await startRush({}).result;
  expect(result.problems).toEqual([]);
  expect(result).toMatchObject({
    sold: 50,
    oversold: 0,
    lost: 0,
    outOfOrder: 0,
    unfinished: 0,
    audit: 'ok',
    isOk: true,
  });
  expect(result.soldOut + result.expired + result.refunded + result.lineFull + result.sold).toBe(2_000);
  expect(result.answered).toBe(2_000);
});

test.concurrent('nobody pays: the line runs dry, every unit comes back, and nothing is sold', async () => {
  const result = await startRush({ buyers: 60, stock: 20, pay: 0, holdSeconds: 1 }).result;
  expect(result.problems).toEqual([]);
  expect(result).toMatchObject({ sold: 0, oversold: 0, audit: 'ok', isOk: true });
  expect(result.expired).toBe(60);
});
