// The benches as people run them, with small amounts: what they print can be read, and the sales that they made pass the
// audit. Nothing here says how fast anything is.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { Report } from '../../bench/report.ts';

const MAIN = fileURLToPath(new URL('../../bench/main.ts', import.meta.url));
const run = promisify(execFile);

test('quick benches of accepted purchases and of an overload print their findings, and their sales pass the audit', {
  timeout: 180_000,
}, async () => {
  const { stdout } = await run(process.execPath, [
    MAIN,
    '--quick',
    '--json',
    '--only',
    'accepted',
    '--only',
    'overload',
  ]);
  const report = JSON.parse(stdout) as Report;
  const names = report.benches.map(({ name }) => name);
  expect(names).toEqual(['bare-post', 'accepted', 'overload', 'bare-post']);
  expect(report.benches.flatMap(({ problems }) => problems)).toEqual([]);
  expect(report).toMatchObject({ isOk: true, isQuick: true });
  expect(report.bare.mean).toBeGreaterThan(0);

  const [reached, steady] = report.benches[1]?.rows ?? [];
  expect(reached).toMatchObject({ count: 2_000, refused: {} });
  expect(reached?.ratio).toBeGreaterThan(0);
  expect(steady).toMatchObject({ perSecond: null, ratio: null, refused: {} });

  // Nothing was refused but with 503 or 429, which say when to come back: else it would be among the problems.
  const rows = report.benches[2]?.rows ?? [];
  const overload = rows.find(({ what }) => what.startsWith('overload'));
  expect(rows.map(({ what }) => what.split(',')[0])).toEqual(['peak', 'peak again', 'overload', 'afterwards']);
  expect(overload?.count).toBeGreaterThan(0);
  for (const { latencies } of report.benches.flatMap(({ rows }) => rows)) {
    const { p50 = 0, p90 = 0, p99 = 0, p999 = 0, max = 0 } = latencies ?? {};
    expect(p50).toBeGreaterThan(0);
    expect([p50, p90, p99, p999, max]).toEqual([p50, p90, p99, p999, max].toSorted((a, b) => a - b));
  }
});

test('a bench that does not exist is refused by name', async () => {
  const failure = await run(process.execPath, [MAIN, '--only', 'quickness']).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 1, stderr: expect.stringContaining('there is no bench quickness') });
});
