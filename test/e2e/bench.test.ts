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
  expect(report.bare.median).toBeGreaterThan(0);

  // Ours, the script per request and the seed's design: each while the crowd sends, and until the last order is there.
  const lanes = report.benches[1]?.rows.filter(({ bar }) => bar !== undefined) ?? [];
  expect(lanes.map(({ bar }) => bar?.label)).toEqual(['doorbuster', 'script per request, jose', 'seed design']);
  for (const { count, ratio } of lanes) {
    expect(count).toBeGreaterThan(0);
    expect(ratio).toBeGreaterThan(0);
  }
  expect(report.measures['accepted.overScriptPerRequest']).toBeGreaterThan(0);
  const unmeasured = report.targets.filter(({ isMet }) => isMet === null).map(({ question }) => question);
  expect(unmeasured).not.toContain(report.targets[0]?.question);
  expect(unmeasured).toContain(report.targets[1]?.question);

  // Nothing was refused but with 503 or 429, which say when to come back: else it would be among the problems.
  const rows = report.benches[2]?.rows ?? [];
  const overload = rows.find(({ what }) => what.startsWith('overload'));
  expect(rows.map(({ what }) => what.split(',')[0])).toEqual(['peak', 'peak again', 'overload', 'afterwards']);
  expect(overload?.count).toBeGreaterThan(0);
  const measured = report.benches.flatMap(({ rows }) => rows).flatMap(({ latencies }) => latencies ?? []);
  expect(measured.length).toBeGreaterThan(rows.length);
  for (const { p50, p90, p99, p999, max } of measured) {
    expect(p50).toBeGreaterThan(0);
    expect([p50, p90, p99, p999, max]).toEqual([p50, p90, p99, p999, max].toSorted((a, b) => a - b));
  }
});

test('a bench that does not exist is refused by name', async () => {
  const failure = await run(process.execPath, [MAIN, '--only', 'quickness']).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 1, stderr: expect.stringContaining('there is no bench quickness') });
});
