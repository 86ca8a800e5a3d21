// That the least privileges which docs/SECURITY.md recommends are enough: a whole sale, from the migrations to the order in
// Postgres, as a Redis user who may reach two key prefixes and a Postgres role that owns nothing but its tables.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { openPostgres, type Postgres } from '../../core/postgres/postgres.ts';
import { connectRedis, whenReady } from '../../core/redis/redis.ts';
import { JWT_SECRET, openSale, startTestApi, type TestApi, tokenOf } from '../support/api.ts';
import { openTestDatabase, openTestRedis, type TestDatabase, type TestRedis } from '../support/stack.ts';

const ROLE = `doorbuster_${process.pid}`;
const PASSWORD = 'kx82Ls02mQ-least-of-all';
const paper = readFileSync(new URL('../../docs/SECURITY.md', import.meta.url), 'utf8');

/** The very lines that the paper shows. */
function recommended(start: string): string[] {
  return paper.split('\n').filter((line) => line.startsWith(start));
}

let database: TestDatabase;
let testRedis: TestRedis;
let api: TestApi;
let workers: ChildProcess;
let owner: Postgres;
let databaseUrl: string;
let redisUrl: string;

beforeAll(async () => {
  [database, testRedis] = await Promise.all([openTestDatabase(), openTestRedis()]);
  const [user] = recommended('ACL SETUSER');
  const words = (user ?? '').replace('<password>', PASSWORD).split(' ').slice(1);
  await testRedis.redis.call('ACL', ...words);
  redisUrl = testRedis.url.replace('redis://', `redis://doorbuster:${PASSWORD}@`);
  await database.postgres.query(`CREATE DATABASE ${ROLE}`);
  databaseUrl = database.url.replace(/\/[^/]*$/, `/${ROLE}`).replace(/\/\/[^@]*@/, `//${ROLE}:${PASSWORD}@`);
  owner = openPostgres(database.url.replace(/\/[^/]*$/, `/${ROLE}`), { max: 1, name: 'owner' });
  for (const line of recommended('CREATE ROLE').concat(recommended('GRANT '), recommended('REVOKE '))) {
    await owner.query(line.replaceAll('<password>', PASSWORD).replaceAll('doorbuster', ROLE));
  }
  const shared = { database, testRedis };
  api = await startTestApi(shared, { databaseUrl, redisUrl });
  await api.api.attached;
  workers = spawn(process.execPath, [fileURLToPath(new URL('../../workers/main.ts', import.meta.url))], {
    env: {
      ...{ PATH: process.env['PATH'], NODE_ENV: 'test', LOG_LEVEL: 'error', JWT_SECRET },
      ...{ DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, STRIPE_API_BASE: 'http://127.0.0.1:9' },
      ...{ STRIPE_SECRET_KEY: 'sk_test_none', STRIPE_WEBHOOK_SECRET: 'whsec_none' },
    },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  process.once('exit', () => workers.kill('SIGKILL'));
  await once(workers, 'message');
});
afterAll(async () => {
  workers?.kill('SIGKILL');
  await api?.close();
  await owner?.close();
  await database?.postgres.query(`DROP DATABASE IF EXISTS ${ROLE} WITH (FORCE)`);
  await database?.postgres.query(`DROP ROLE IF EXISTS ${ROLE}`);
  await database?.drop();
  await testRedis?.close();
});

it('the least privileges that are recommended are enough for a sale', async () => {
  const { saleId, sku } = await openSale(api);
  const token = await tokenOf('u_least');
  const bought = await api.call('POST', `/api/v1/sales/${saleId}/purchases`, { token, body: { sku } });
  expect(bought.status).toBe(201);
  const stored = async () => {
    const { rows } = await owner.query('SELECT status FROM orders WHERE order_id = $1', [bought.body.orderId]);
    expect(rows).toEqual([{ status: 'CREATED' }]);
  };
  await vi.waitFor(stored, { timeout: 20_000, interval: 20 });
  const back = await api.call('DELETE', `/api/v1/purchases/${bought.body.purchaseId}`, { token });
  expect(back.body.status).toBe('CANCELLED');
});

it('and they are the least: nothing else of either server', async () => {
  const least = await openAsLeast();
  try {
    for (const command of [
      ['FLUSHALL'],
      ['CONFIG', 'GET', '*'],
      ['GET', 'elsewhere'],
      ['KEYS', '*'],
      ['ACL', 'LIST'],
      ['REPLICAOF', 'NO', 'ONE'],
    ])
      await expect(least.redis.call(command[0] ?? '', ...command.slice(1)), command.join(' ')).rejects.toThrow(
        'NOPERM',
      );
    for (const statement of [
      'CREATE DATABASE x',
      'CREATE ROLE x',
      "COPY orders TO PROGRAM 'true'",
      'SELECT * FROM pg_authid',
    ])
      await expect(least.postgres.query(statement), statement).rejects.toThrow(/permission denied/);
  } finally {
    least.redis.disconnect();
    await least.postgres.close();
  }
});

async function openAsLeast() {
  const redis = connectRedis(redisUrl, 'scripts');
  await whenReady(redis, 10_000);
  return { redis, postgres: openPostgres(databaseUrl, { max: 1, name: 'least' }) };
}
