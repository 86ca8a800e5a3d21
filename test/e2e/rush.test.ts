// The demo as a test: a whole system, a crowd, a sale, and its audit; once undisturbed, once with processes killed in
// the middle of it. Small numbers, the same code as `npm run rush`.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sleep } from '../../core/clock.ts';
import { loadConfig } from '../../core/config.ts';
import { DEFAULTS, type RushOptions } from '../../scripts/rush/options.ts';
import { runRush } from '../../scripts/rush/rush.ts';
import type { Terminal } from '../../scripts/rush/terminal.ts';

interface Told extends Terminal {
  lines: string[];
}

function listener(onLine: (line: string) => void = () => undefined): Told {
  const lines: string[] = [];
  const say = (line: string): void => {
    lines.push(line);
    onLine(line);
  };
  return {
    lines,
    say,
    draw: () => undefined,
    settle: () => undefined,
    print: () => undefined,
    isInteractive: false,
    columns: 80,
  };
}

async function rush(options: Partial<RushOptions>, terminal: Told) {
  const config = loadConfig({ DATA_DIR: '/nonexistent', LOG_LEVEL: 'warn' });
  const surroundings = { config, signal: new AbortController().signal, terminal };
  return runRush({ ...DEFAULTS, buyers: 2_000, stock: 50, holdSeconds: 3, limitMs: 120_000, ...options }, surroundings);
}

test('2,000 buyers race for 50 units: exactly 50 are sold, in order, and the audit agrees', async () => {
  const result = await rush({}, listener());
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

test('an API process and the workers are killed in the middle: nothing acknowledged is lost', async () => {
  const killed: string[] = [];
  const terminal = listener((line) => {
    if (line.includes('after the opening') && killed.length === 0) void killInTurn(terminal.lines, killed);
  });
  const result = await rush({ apiProcesses: 2, websockets: 0.2, arrivalMs: 8_000 }, terminal);
  expect(killed).toEqual(['api-1', 'workers', 'api-2']);
  expect(result.problems).toEqual([]);
  expect(result).toMatchObject({ sold: 50, oversold: 0, lost: 0, outOfOrder: 0, audit: 'ok', isOk: true });
  expect(result.lostAnswers).toBeGreaterThan(0);
});

test('nobody pays: the line runs dry, every unit comes back, and nothing is sold', async () => {
  const result = await rush({ buyers: 60, stock: 20, pay: 0, holdSeconds: 1 }, listener());
  expect(result.problems).toEqual([]);
  expect(result).toMatchObject({ sold: 0, oversold: 0, audit: 'ok', isOk: true });
  expect(result.expired).toBe(60);
});

/** By the pids of run.json, which the run tells about in its first lines. */
async function killInTurn(lines: readonly string[], killed: string[]): Promise<void> {
  const directory = /kept in (\S+)\/run\.json/.exec(lines.join('\n'))?.[1] ?? '';
  const file = join(directory, 'run.json');
  killed.push('api-1');
  for (const name of ['api-1', 'workers', 'api-2']) {
    if (name !== 'api-1') killed.push(name);
    if (!existsSync(file)) return;
    const run = JSON.parse(readFileSync(file, 'utf8')) as { processes: { name: string; pid: number }[] };
    const pid = run.processes.find((one) => one.name === name)?.pid;
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
    await sleep(1_500);
  }
}
