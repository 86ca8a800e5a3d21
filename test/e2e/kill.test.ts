// kill -9 in the middle of a rush: processes that are started again by their supervisor, and the supervisor itself, after
// which a new start on the same data directory goes on where the old one was. Nothing acknowledged is lost.
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { sleep } from '../../core/clock.ts';
import { type RunFile, readRunFile } from '../../core/services/run-file.ts';
import { isAlive } from '../../core/services/service.ts';
import { runOps } from '../support/ops.ts';
import { startRush } from '../support/rush.ts';
import { freePort, temporaryDirectory } from '../support/stack.ts';

/** A second system and a crowd: on a machine that is busy with the other tests this is not quick. */
const PATIENCE = { timeout: 180_000 };
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CROWD = { buyers: 1_500, websockets: 0.2, arrivalMs: 6_000 };
const KEPT = { oversold: 0, lost: 0, outOfOrder: 0, unfinished: 0, audit: 'ok', isOk: true };

const supervisors: ChildProcess[] = [];

/** Where an expectation failed half way, the system is still there. */
afterAll(async () => {
  for (const child of supervisors) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGTERM');
    await ended(child);
  }
});

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('exit', () => resolve()));
}

async function supervise(env: Record<string, string>): Promise<ChildProcess> {
  const settings = { PATH: process.env['PATH'] ?? '', API_PROCESSES: '2', LOG_LEVEL: 'warn', ...env };
  const child = spawn(process.execPath, ['scripts/start.ts'], { cwd: ROOT, env: settings });
  supervisors.push(child);
  let output = '';
  child.stderr.on('data', (bytes: Buffer) => (output += bytes.toString()));
  child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()));
  while (!output.includes('Doorbuster is ready')) {
    if (child.exitCode !== null) throw new Error(`the start ended:\n${output}`);
    await sleep(25);
  }
  return child;
}

function runOf(dataDir: string): RunFile {
  const run = readRunFile(dataDir);
  if (run === undefined) throw new Error(`nothing runs on ${dataDir}`);
  return run;
}

// Beside each other: each is a system of its own, and mostly waited for.
test.concurrent(
  'API processes and the workers are killed: the rush goes on, and the audit agrees',
  PATIENCE,
  async () => {
    const { opened, result } = startRush({ ...CROWD, apiProcesses: 2 });
    const dataDir = /kept in (\S+)\/run\.json/.exec((await opened).join('\n'))?.[1] ?? '';
    const killed: string[] = [];
    for (const name of ['api-1', 'workers', 'api-2']) {
      const pid = runOf(dataDir).processes.find((one) => one.name === name)?.pid;
      if (pid !== undefined && process.kill(pid, 'SIGKILL')) killed.push(name);
      await sleep(1_500);
    }
    const seen = await result;
    expect(killed).toEqual(['api-1', 'workers', 'api-2']);
    expect(seen.problems).toEqual([]);
    expect(seen).toMatchObject({ sold: 50, ...KEPT });
    expect(seen.lostAnswers).toBeGreaterThan(0);
  },
);

test.concurrent(
  'the supervisor is killed: the next start on its data goes on with the same sale',
  PATIENCE,
  async () => {
    // A path as people have them.
    const dataDir = join(temporaryDirectory('killed'), 'my data');
    const env = { DATA_DIR: dataDir, PORT: String(await freePort()), SANDBOX_PORT: String(await freePort()) };
    const first = await supervise(env);
    const before = runOf(dataDir);
    const { opened, result } = startRush(CROWD, dataDir);
    await opened;
    await sleep(1_500);
    first.kill('SIGKILL');
    await ended(first);

    const second = await supervise(env);
    expect(before.processes.filter(({ pid }) => isAlive(pid))).toEqual([]);
    expect(runOf(dataDir)).toMatchObject({
      url: before.url,
      redisUrl: before.redisUrl,
      databaseUrl: before.databaseUrl,
    });
    const seen = await result;
    expect(seen.problems).toEqual([]);
    expect(seen).toMatchObject({ sold: 50, ...KEPT });

    const audit = await runOps(['audit', '--json'], { DATA_DIR: dataDir });
    expect([audit.code, audit.json<{ ok: boolean }>().ok]).toEqual([0, true]);
    const after = runOf(dataDir);
    second.kill('SIGTERM');
    await ended(second);
    expect(after.processes.filter(({ pid }) => isAlive(pid))).toEqual([]);
  },
);
