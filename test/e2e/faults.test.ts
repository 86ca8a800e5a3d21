// The fault matrix as a test: a few of its rows with a small crowd, the same code as `npm run faults`. Before them a run
// is interrupted and another one is killed outright in the middle of a fault, and nothing of either may be left.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { sleep } from '../../core/clock.ts';
import type { Row } from '../../scripts/faults/play.ts';

const PATIENCE = { timeout: 180_000 };
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

interface Run {
  child: ChildProcess;
  /** Resolves when it has said so; with all that was said. */
  said(words: string): Promise<string>;
  ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
}

function startFaults(...args: string[]): Run {
  const child = spawn(process.execPath, ['scripts/faults.ts', '--quick', ...args], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'] ?? '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (bytes: Buffer) => (stdout += bytes.toString()));
  child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()));
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
  return {
    child,
    ended,
    async said(words) {
      while (!stderr.includes(words)) {
        if (child.exitCode !== null) throw new Error(`it ended without "${words}":\n${stderr}`);
        await sleep(20);
      }
      return stderr;
    },
  };
}

const directoriesIn = (text: string): string[] => [...text.matchAll(/ runs in (\S+)/g)].map(([, path]) => path ?? '');

/** Processes that were started with, or work in, one of the directories. */
function processesOf(directories: readonly string[]): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const words = ['environ', 'cmdline'].map((file) => readFileSync(`/proc/${pid}/${file}`, 'utf8')).join('\0');
        return directories.some((directory) => words.includes(directory)) ? [words.replaceAll('\0', ' ')] : [];
      } catch {
        return []; // it ended meanwhile, or is not ours
      }
    });
}

test('an interrupted run leaves nothing, and what a killed one leaves is cleared by the next', PATIENCE, async () => {
  const killed = startFaults('--only', 'freeze-redis');
  const [left = ''] = directoriesIn(await killed.said('freeze-redis: now'));
  killed.child.kill('SIGKILL');
  await killed.ended;
  expect(existsSync(left)).toBe(true);
  // A frozen Redis hears nothing, not even that its supervisor is gone.
  expect(processesOf([left])).not.toEqual([]);

  const interrupted = startFaults('--only', 'freeze-postgres');
  const [second = ''] = directoriesIn(await interrupted.said('freeze-postgres: now'));
  interrupted.child.kill('SIGINT');
  expect((await interrupted.ended).code).toBe(130);
  expect([left, second].filter((directory) => existsSync(directory))).toEqual([]);
  expect(processesOf([left, second])).toEqual([]);
});

test('a few faults under load: nothing is lost, oversold, overtaken, or answered wrongly', PATIENCE, async () => {
  const { code, stdout, stderr } = await startFaults('--json').ended;
  // oxlint-disable-next-line typescript/no-unsafe-assignment
  const { rows }: { rows: Row[] } = JSON.parse(stdout);
  expect(rows.flatMap(({ name, problems }) => problems.map((problem) => `${name}: ${problem}`))).toEqual([]);
  expect(rows.map(({ name }) => name)).toEqual([
    'apply-committed',
    'net-redis-black-hole',
    'provider-cut-after',
    'redis-emptied',
  ]);
  for (const row of rows) {
    expect(row).toMatchObject({ isOk: true, oversold: 0, outOfOrder: 0, audit: 0, wrongAnswers: {} });
    expect(row.kept + row.lostUnwritten, row.name).toBe(row.acknowledged);
    expect(row.kept, row.name).toBeGreaterThan(0);
  }
  const byName = new Map(rows.map((row) => [row.name, row]));
  expect(byName.get('redis-emptied')?.meanwhile['503 FENCED']).toBeGreaterThan(0);
  expect(byName.get('net-redis-black-hole')?.meanwhile['503 OUTCOME_UNKNOWN']).toBeGreaterThan(0);
  expect(code).toBe(0);
  expect(processesOf(directoriesIn(stderr))).toEqual([]);
  expect(directoriesIn(stderr).filter((directory) => existsSync(directory))).toEqual([]);
});
