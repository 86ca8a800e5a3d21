// The servers that we run ourselves: what they were told is on the disk, a crash is repaired by the next start, and
// nobody else's process is ever touched.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { loadConfig } from '../../core/config.ts';
import { openPostgres } from '../../core/postgres/postgres.ts';
import { connectRedis, whenReady } from '../../core/redis/redis.ts';
import { openDataDirectory, readPorts, readSecrets, writePorts } from '../../core/services/data-dir.ts';
import { freePort, isPortFree, portOrFree } from '../../core/services/ports.ts';
import { startPostgres } from '../../core/services/postgres.ts';
import { openAncestors } from '../../core/services/postgres-files.ts';
import { startMark } from '../../core/services/process-table.ts';
import { lastRun, readRunFile, writeRunFile } from '../../core/services/run-file.ts';
import { isAlive, type Service } from '../../core/services/service.ts';
import { claimPort, fillSecrets } from '../../scripts/start/surroundings.ts';
import { startRedis, temporaryDirectory } from '../support/stack.ts';

const services: Service[] = [];
const lines: string[] = [];
const say = (line: string): number => lines.push(line);

afterAll(() => Promise.all(services.map((service) => service.stop())));

async function postgresIn(directory: string, port?: number): Promise<Service> {
  const service = await startPostgres({ directory, password: 'known', port, say });
  services.push(service);
  return service;
}

async function ask(service: Service, sql: string): Promise<unknown[]> {
  const postgres = openPostgres(service.url, { max: 1, name: 'services-test' });
  try {
    return (await postgres.query(sql)).rows;
  } finally {
    await postgres.close();
  }
}

async function redisIn(dir: string, port?: number): Promise<Service> {
  const service = await startRedis({ dir, ...(port === undefined ? {} : { port }) });
  services.push(service);
  return service;
}

async function tell(service: Service, ...command: [string, ...string[]]): Promise<unknown> {
  const redis = connectRedis(service.url, 'scripts');
  try {
    await whenReady(redis, 5_000);
    return await redis.call(...command);
  } finally {
    redis.disconnect();
  }
}

test('Postgres keeps its rows and its port over an orderly stop, a kill -9 and an orphaned server', async () => {
  const directory = join(temporaryDirectory('pg'), 'postgres');
  const first = await postgresIn(directory);
  await ask(first, 'CREATE TABLE kept AS SELECT 1 AS n');
  await first.stop();
  expect(isAlive(first.pid)).toBe(false);

  const second = await postgresIn(directory, first.port);
  expect(second.url).toBe(first.url);
  await ask(second, 'INSERT INTO kept VALUES (2)');
  second.kill('SIGKILL');
  expect(await second.ended).toBe('ended by SIGKILL');

  const third = await postgresIn(directory, first.port);
  await ask(third, 'INSERT INTO kept VALUES (3)');
  const fourth = await postgresIn(directory, first.port);
  expect(isAlive(third.pid)).toBe(false);
  expect(lines.join('\n')).toContain(`a Postgres of an earlier run still lives (pid ${third.pid})`);
  expect(await ask(fourth, 'SELECT n FROM kept ORDER BY n')).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
  expect(fourth.port).toBe(first.port);
  expect(await ask(fourth, 'SHOW fsync')).toEqual([{ fsync: 'on' }]);
  expect(await ask(fourth, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
});

test('an initialisation that was cut off half way is begun again', async () => {
  const directory = join(temporaryDirectory('pg-cut'), 'postgres');
  mkdirSync(`${directory}.new`, { recursive: true });
  writeFileSync(join(`${directory}.new`, 'PG_VERSION'), 'half');
  const service = await postgresIn(directory);
  expect(await ask(service, 'SELECT 1 AS n')).toEqual([{ n: 1 }]);
  expect(existsSync(`${directory}.new`)).toBe(false);
});

test('a write that Redis acknowledged survives its kill -9, and an orphaned Redis is stopped before the next one starts', async () => {
  const dir = temporaryDirectory('redis-kept');
  const first = await redisIn(dir);
  await tell(first, 'SET', 'kept', 'yes');
  first.kill('SIGKILL');
  await first.ended;

  const second = await redisIn(dir, first.port);
  expect(second.url).toBe(first.url);
  expect(String(await tell(second, 'GET', 'kept'))).toBe('yes');
  const third = await redisIn(dir, first.port);
  expect(isAlive(second.pid)).toBe(false);
  expect(third.port).toBe(first.port);
  expect(String(await tell(third, 'GET', 'kept'))).toBe('yes');
  const settings = ['appendonly', 'appendfsync', 'maxmemory-policy', 'bind'];
  const answers = await Promise.all(settings.map((name) => tell(third, 'CONFIG', 'GET', name)));
  expect(answers.map((pair) => String(pair))).toEqual([
    'appendonly,yes',
    'appendfsync,always',
    'maxmemory-policy,noeviction',
    'bind,127.0.0.1',
  ]);
});

test('a pid file that names a process of somebody else harms nobody', async () => {
  const dir = temporaryDirectory('redis-stale');
  const stranger = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', 'redis-server'], { stdio: 'ignore' });
  writeFileSync(join(dir, 'redis.pid'), String(stranger.pid));
  const service = await redisIn(dir);
  expect(isAlive(stranger.pid ?? 0)).toBe(true);
  expect(isAlive(service.pid)).toBe(true);
  stranger.kill('SIGKILL');
});

test('a Postgres whose old pid nobody collected, or somebody else has by now, starts all the same', async () => {
  const directory = join(temporaryDirectory('pg-pid'), 'postgres');
  const pidFile = join(directory, 'postmaster.pid');
  let service = await postgresIn(directory);
  await ask(service, 'CREATE TABLE kept AS SELECT 1 AS n');
  // As the same user: another's process Postgres would not take for its own.
  const { uid, gid } = statSync(pidFile);
  // The shell's child ends at once; what the shell has become meanwhile never asks for it.
  const script = 'sleep 0 & echo $!; exec sleep 1000';
  const parent = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'], uid, gid });
  const [said] = await once(parent.stdout, 'data');
  const zombie = Number.parseInt(String(said), 10);
  await expect.poll(() => isAlive(zombie)).toBe(false);
  for (const pid of [zombie, parent.pid ?? 0]) {
    service.kill('SIGKILL');
    await service.ended;
    writeFileSync(pidFile, readFileSync(pidFile, 'utf8').replace(/^\d+/, String(pid)));
    service = await postgresIn(directory, service.port);
    expect(await ask(service, 'SELECT n FROM kept')).toEqual([{ n: 1 }]);
  }
  expect(isAlive(parent.pid ?? 0)).toBe(true);
  parent.kill('SIGKILL');
});

test('a Redis that cannot start says why', async () => {
  const started = startRedis({ args: ['--no-such-option', 'x'] });
  await expect(started).rejects.toThrow(/Redis did not start in .*: ended with code 1\n[^]*no-such-option/);
});

test('a data directory has one system at a time, and the lock of a dead one is taken over', () => {
  const directory = temporaryDirectory('data');
  const held = openDataDirectory(directory);
  expect(() => openDataDirectory(directory)).toThrow(`pid ${process.pid}`);
  held.release();
  // The same pid, used again by another process: not the one that took the lock.
  writeFileSync(join(directory, 'lock'), `${process.pid} of another start\n`);
  const again = openDataDirectory(directory);
  expect(readFileSync(join(directory, 'lock'), 'utf8')).toBe(`${process.pid} ${startMark(process.pid)}\n`);
  again.release();
  expect(existsSync(join(directory, 'lock'))).toBe(false);
});

test('secrets are generated once, for their owner alone, and never in production', () => {
  const directory = temporaryDirectory('secrets');
  const secrets = readSecrets(directory);
  expect(readSecrets(directory)).toEqual(secrets);
  expect(statSync(join(directory, 'secrets.json')).mode & 0o777).toBe(0o600);
  expect(new Set(Object.values(secrets)).size).toBe(4);

  const filled = fillSecrets(loadConfig({}), secrets);
  expect(filled.jwtSecret).toBe(secrets.jwtSecret);
  expect(filled.stripe.webhookSecret).toBe(secrets.stripeWebhookSecret);
  const given = { JWT_SECRET: 'a secret of our own, which is long enough', STRIPE_SECRET_KEY: 'sk_test_ours' };
  expect(() => fillSecrets(loadConfig(given), secrets)).toThrow(/STRIPE_WEBHOOK_SECRET: must be set/);
  expect(() => fillSecrets(loadConfig({ NODE_ENV: 'production' }), secrets)).toThrow(
    /JWT_SECRET: must be set\n.*STRIPE_SECRET_KEY: must be set\n.*STRIPE_WEBHOOK_SECRET: must be set/,
  );
  const weak = { ...given, STRIPE_WEBHOOK_SECRET: 'whsec_x', JWT_SECRET: 'short', NODE_ENV: 'production' };
  expect(() => fillSecrets(loadConfig(weak), secrets)).toThrow(/JWT_SECRET: must have at least 32/);
});

test('a port that is taken is named together with its variable', async () => {
  const port = await freePort();
  expect(await isPortFree(port)).toBe(true);
  const stranger = createServer().listen(port, '127.0.0.1');
  await new Promise((resolve) => stranger.once('listening', resolve));
  await expect(claimPort(port, 'PORT')).rejects.toThrow(`Port ${port} is in use: stop what listens there, or set PORT`);
  stranger.close();
  expect(await claimPort(0, 'PORT')).toBeGreaterThan(0);
});

test('a port that one process chose is given out by no other, though nobody listens on it yet', async () => {
  const port = await freePort();
  const program = `import { freePort, portOrFree } from '${new URL('../../core/services/ports.ts', import.meta.url).href}';
    console.log(await portOrFree(${port}), await portOrFree(await freePort()));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program]);
  const [instead, own] = stdout.trim().split(' ').map(Number);
  expect(instead).toBeGreaterThan(0);
  expect(instead).not.toBe(port);
  expect(own).toBeGreaterThan(0);
  expect(await portOrFree(port)).toBe(port);
});

test('the ports and the run file are read back, the run file only while its process lives', () => {
  const directory = temporaryDirectory('run');
  expect(readPorts(directory)).toEqual({});
  writePorts(directory, { postgres: 1, redis: 2 });
  expect(readPorts(directory)).toEqual({ postgres: 1, redis: 2 });
  const urls = { url: 'http://x', databaseUrl: 'postgres://x', redisUrl: 'redis://x', sandboxUrl: null };
  const run = { pid: process.pid, startMark: startMark(process.pid), port: 1, ...urls, processes: [] };
  expect(readRunFile(directory)).toBeUndefined();
  writeRunFile(directory, run);
  expect(readRunFile(directory)).toEqual(run);
  writeRunFile(directory, { ...run, startMark: 'earlier' });
  expect(readRunFile(directory)).toBeUndefined();
  expect(lastRun(directory)?.pid).toBe(process.pid);
});

test('the way to a directory is opened for passage and for nothing else', () => {
  const closed = join(temporaryDirectory('closed'), 'inner');
  mkdirSync(closed, { mode: 0o700 });
  const said: string[] = [];
  openAncestors(join(closed, 'data'), (line) => said.push(line));
  expect(statSync(closed).mode & 0o777).toBe(0o701);
  expect(said).toHaveLength(1);
  expect(said[0]).toContain(closed);
  openAncestors(join(closed, 'data'), (line) => said.push(line));
  expect(said).toHaveLength(1);
});
