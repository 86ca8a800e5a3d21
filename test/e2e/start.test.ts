// `npm start` as a person uses it: a terminal's Ctrl-C, a second one by mistake, a kill -9 of anything, and the data of
// yesterday there today.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { sleep } from '../../core/clock.ts';
import { openPostgres } from '../../core/postgres/postgres.ts';
import { connectRedis, whenReady } from '../../core/redis/redis.ts';
import { type RunFile, readRunFile } from '../../core/services/run-file.ts';
import { isAlive } from '../../core/services/service.ts';
import { freePort, temporaryDirectory } from '../support/stack.ts';

/** Six processes of their own a start: on a machine that is busy with the other tests this is not quick. */
const PATIENCE = { timeout: 300_000 };
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

interface Started {
  child: ChildProcess;
  ended: Promise<number | null>;
  output(): string;
}

const all: Started[] = [];

afterAll(async () => {
  for (const { child } of all) if (child.exitCode === null && child.signalCode === null) toTerminal(child, 'SIGINT');
  await Promise.all(all.map(({ ended }) => ended));
});

/** In a session of its own, as under a terminal: npm, its shell and we get the signals of toTerminal together. */
function npmStart(dataDir: string, port: number, more: Record<string, string> = {}): Started {
  const settings = { DATA_DIR: dataDir, PORT: String(port), SANDBOX_PORT: '0', API_PROCESSES: '2', NODE_ENV: 'test' };
  const unset = { DATABASE_URL: '', REDIS_URL: '', JWT_SECRET: '', STRIPE_SECRET_KEY: '', STRIPE_WEBHOOK_SECRET: '' };
  const env = { ...process.env, ...unset, ...settings, ...more };
  const child = spawn('npm', ['start'], { cwd: ROOT, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (output += bytes.toString()));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const started = { child, ended, output: () => output };
  all.push(started);
  return started;
}

function toTerminal(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid !== undefined) process.kill(-child.pid, signal);
}

/** Looks until the answer is there; the runner's own limit ends it if it never is. */
async function until<T>(look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await sleep(25);
  }
}

async function greeted({ child, output }: Started, dataDir: string): Promise<RunFile> {
  await until(() => {
    if (child.exitCode !== null) throw new Error(`npm start ended:\n${output()}`);
    return output().includes('Doorbuster is ready') || undefined;
  });
  return until(() => readRunFile(dataDir));
}

async function readiness(url: string): Promise<number | undefined> {
  return fetch(`${url}/readyz`).then(
    (response) => response.status,
    () => undefined,
  );
}

function pidsOf(run: RunFile): number[] {
  return [run.pid, ...run.processes.map(({ pid }) => pid)];
}

async function allGone(run: RunFile): Promise<true> {
  return until(() => (pidsOf(run).some(isAlive) ? undefined : true));
}

async function write(run: RunFile, n: number): Promise<void> {
  const postgres = openPostgres(run.databaseUrl, { max: 1, name: 'start-test' });
  const redis = connectRedis(run.redisUrl, 'scripts');
  await postgres.query('CREATE TABLE IF NOT EXISTS kept (n integer)');
  await postgres.query('INSERT INTO kept VALUES ($1)', [n]);
  await whenReady(redis, 10_000);
  await redis.rpush('kept', String(n));
  redis.disconnect();
  await postgres.close();
}

async function read(run: RunFile): Promise<{ rows: unknown[]; items: string[] }> {
  const postgres = openPostgres(run.databaseUrl, { max: 1, name: 'start-test' });
  const redis = connectRedis(run.redisUrl, 'scripts');
  await whenReady(redis, 10_000);
  const { rows } = await postgres.query<{ n: number }>('SELECT n FROM kept ORDER BY n');
  const items = await redis.lrange('kept', 0, -1);
  redis.disconnect();
  await postgres.close();
  return { rows: rows.map(({ n }) => n), items };
}

// Beside each other: each is a system of its own, and mostly waited for.
test.concurrent(
  'npm start is ready, stops without a trace on Ctrl-C, and finds its data again, also after a kill -9',
  PATIENCE,
  async () => {
    const dataDir = temporaryDirectory('start');
    const port = await freePort();
    const first = npmStart(dataDir, port);
    const run = await greeted(first, dataDir);
    expect(run.url).toBe(`http://127.0.0.1:${port}`);
    expect(await readiness(run.url)).toBe(200);
    expect(run.processes.map(({ name }) => name).sort()).toEqual(
      ['api-1', 'api-2', 'postgres', 'redis', 'sandbox', 'workers'].sort(),
    );
    await write(run, 1);

    const second = npmStart(dataDir, port);
    expect(await second.ended).not.toBe(0);
    expect(second.output()).toContain(`Another system runs on ${dataDir} (pid ${run.pid})`);
    expect(await readiness(run.url)).toBe(200);

    toTerminal(first.child, 'SIGINT');
    await first.ended;
    await allGone(run);
    expect(first.output()).toContain('doorbuster: stopped');
    expect(first.output()).not.toContain('starting it again');
    expect(existsSync(join(dataDir, 'run.json'))).toBe(false);
    expect(existsSync(join(dataDir, 'lock'))).toBe(false);

    const third = await greeted(npmStart(dataDir, port), dataDir);
    expect(third.databaseUrl).toBe(run.databaseUrl);
    expect(third.redisUrl).toBe(run.redisUrl);
    await write(third, 2);
    process.kill(third.pid, 'SIGKILL');

    const fourth = npmStart(dataDir, port);
    const again = await greeted(fourth, dataDir);
    expect(await readiness(again.url)).toBe(200);
    expect(pidsOf(third).filter(isAlive)).toEqual([]);
    expect(await read(again)).toEqual({ rows: [1, 2], items: ['1', '2'] });
    toTerminal(fourth.child, 'SIGINT');
    await fourth.ended;
    await allGone(again);
  },
);

test.concurrent('whatever is killed is started again, and the system becomes ready again', PATIENCE, async () => {
  const dataDir = temporaryDirectory('start-killed');
  const started = npmStart(dataDir, await freePort());
  const before = await greeted(started, dataDir);
  await write(before, 1);
  for (const { pid } of before.processes) process.kill(pid, 'SIGKILL');
  const after = await until(() => {
    const run = readRunFile(dataDir);
    const isWhole = run?.processes.length === before.processes.length;
    return isWhole && !run.processes.some(({ pid }) => pidsOf(before).includes(pid)) ? run : undefined;
  });
  expect(after.pid).toBe(before.pid);
  await until(async () => ((await readiness(after.url)) === 200 ? true : undefined));
  expect(await read(after)).toEqual({ rows: [1], items: ['1'] });
  toTerminal(started.child, 'SIGINT');
  await started.ended;
  await allGone(after);
});

test.concurrent('npm that is told to end takes the system with it', PATIENCE, async () => {
  const dataDir = temporaryDirectory('start-npm');
  const started = npmStart(dataDir, await freePort());
  const run = await greeted(started, dataDir);
  started.child.kill('SIGTERM');
  await started.ended;
  await allGone(run);
  expect(existsSync(join(dataDir, 'run.json'))).toBe(false);
});

test.concurrent('a port that is taken ends the start with the name of its variable', PATIENCE, async () => {
  const stranger = createServer().listen(0);
  await once(stranger, 'listening');
  const address = stranger.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const dataDir = temporaryDirectory('start-port');
  const started = npmStart(dataDir, port);
  expect(await started.ended).not.toBe(0);
  expect(started.output()).toContain(`Port ${port} is in use: stop what listens there, or set PORT to another port`);
  expect(existsSync(join(dataDir, 'lock'))).toBe(false);
  stranger.close();
});

test.concurrent('a Redis that is not there ends the start with the name of its variable', PATIENCE, async () => {
  const dataDir = temporaryDirectory('start-redis');
  const started = npmStart(dataDir, await freePort(), { REDIS_URL: 'redis://127.0.0.1:9' });
  expect(await started.ended).not.toBe(0);
  expect(started.output()).toContain('Redis (REDIS_URL) cannot be used');
  expect(existsSync(join(dataDir, 'lock'))).toBe(false);
});
