// What a real API process says while everything goes wrong, at its most talkative: no secret, no password, no token. And
// that in production it does not start at all with secrets that are weak.
import { expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { createAuthenticator } from '../../api/auth.ts';
import { systemClock } from '../../core/clock.ts';
import { readSecrets } from '../../core/services/data-dir.ts';
import { startMark } from '../../core/services/process-table.ts';
import { writeRunFile } from '../../core/services/run-file.ts';
import { connectRedis, whenReady } from '../../core/redis/redis.ts';
import { send, tokenOf } from '../support/api.ts';
import { runRefusedApi, startApiProcess } from '../support/api-process.ts';
import { runOps } from '../support/ops.ts';
import { freePort, openTestDatabase, startRedis, temporaryDirectory } from '../support/stack.ts';

const JWT_SECRET = 'a-secret-for-tests-of-forty-characters!!';
const STRIPE_KEY = 'sk_test_7Hq2mZx91Lw02mcK2xQ';
const WEBHOOK = 'whsec_9aK2mdLw02Xc82kdPq';
const REDIS_PASSWORD = 'p2Lw92mcKd-redis';
const DATABASE_PASSWORD = 'kx82Ls02mQ-postgres';

/** Opens a socket and waits until it has ended, however it does. */
function knock(url: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.on('open', () => socket.send('{"type":"auth","token":"not-a-token-at-all"}'));
    socket.on('error', () => resolve());
    socket.on('close', () => resolve());
  });
}

it('a process that cannot reach anything says so, and no secret', async () => {
  const [port, database] = [await freePort(), await openTestDatabase()];
  const redis = await startRedis({ port });
  const operator = connectRedis(redis.url, 'scripts');
  await whenReady(operator, 10_000);
  await operator.config('SET', 'requirepass', 'another-password');
  operator.disconnect();
  const nowhere = database.url.replace(/\/\/[^@]*@/, `//shop:${DATABASE_PASSWORD}@`);
  const api = await startApiProcess({
    NODE_ENV: 'test',
    LOG_LEVEL: 'trace',
    DATABASE_URL: nowhere,
    REDIS_URL: `redis://:${REDIS_PASSWORD}@127.0.0.1:${port}`,
    JWT_SECRET,
    STRIPE_SECRET_KEY: STRIPE_KEY,
    STRIPE_WEBHOOK_SECRET: WEBHOOK,
    STRIPE_API_BASE: 'http://127.0.0.1:9',
  });
  const token = await tokenOf('u_operator', 'ADMIN');
  const call = (method: string, path: string, options = {}) => send(`${api.url}${path}`, method, options);
  const answers = await Promise.all([
    call('GET', '/api/v1/orders', { token }),
    call('GET', '/api/v1/orders', { token: `${token}x` }),
    call('GET', '/api/v1/sales', { headers: { authorization: `Basic ${JWT_SECRET}` } }),
    call('POST', '/api/v1/sales', {
      token,
      body: { name: 'x', items: [{ sku: 'A', stock: 1, price: 1, currency: 'INR' }] },
    }),
    call('POST', '/api/v1/payments/webhook', { raw: JWT_SECRET, headers: { 'stripe-signature': `t=1,v1=${WEBHOOK}` } }),
    call('GET', '/readyz'),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([503, 401, 503, 503, 400, 503]);
  await knock(`${api.url.replace('http', 'ws')}/ws?access_token=${token}x`);
  await knock(`${api.url.replace('http', 'ws')}/ws`);
  await vi.waitFor(() => expect(api.output()).toContain('cannot be reached'), { timeout: 20_000 });
  await api.stop();
  const said = api.output();
  // Something went wrong and was told, or this proves nothing.
  expect(said).toContain('Redis cannot be reached');
  expect(said.split('\n').length).toBeGreaterThan(3);
  for (const secret of [
    JWT_SECRET,
    STRIPE_KEY,
    WEBHOOK,
    REDIS_PASSWORD,
    DATABASE_PASSWORD,
    token,
    'not-a-token-at-all',
  ])
    expect(said, secret).not.toContain(secret);
  const told = JSON.stringify(answers.map(({ body, headers }) => [body, [...headers]]));
  for (const secret of [JWT_SECRET, STRIPE_KEY, REDIS_PASSWORD, DATABASE_PASSWORD]) expect(told).not.toContain(secret);
  redis.kill('SIGKILL');
  await database.drop();
});

it('a process in production does not start with weak secrets, and lists them all without a value', async () => {
  const { code, output } = await runRefusedApi({
    NODE_ENV: 'production',
    DATABASE_URL: 'postgres://shop:hunter2-database@db.internal/doorbuster',
    REDIS_URL: 'rediss://:hunter2-redis@redis.internal',
    JWT_SECRET: 'hunter2-hunter2-hunter2-hunter2-hunter2',
    STRIPE_SECRET_KEY: 'sk_test_hunter2hunter2hunter2x9',
    STRIPE_WEBHOOK_SECRET: 'hunter2-webhook',
  });
  expect(code).toBe(1);
  for (const name of ['JWT_SECRET', 'STRIPE_SECRET_KEY', 'STRIPE_WEBHOOK_SECRET'])
    expect(output).toContain(`- ${name}: `);
  expect(output).not.toContain('hunter2');
});

it('operators sign nothing in production without the secret, whatever lies in the data directory', async () => {
  const directory = temporaryDirectory('production');
  const { jwtSecret } = readSecrets(directory);
  const url = 'http://127.0.0.1:9';
  const [databaseUrl, redisUrl] = ['postgres://127.0.0.1:9/d', 'redis://127.0.0.1:9'];
  const run = { pid: process.pid, startMark: startMark(process.pid), port: 9, url, databaseUrl, redisUrl };
  writeRunFile(directory, { ...run, sandboxUrl: null, processes: [] });
  const asked = (environment: string, ...args: string[]) =>
    runOps(args, { NODE_ENV: environment, DATA_DIR: directory });
  const token = ['token', '--user', 'u_x', '--role', 'ADMIN'];
  const [local, refused, sale] = await Promise.all([
    asked('development', ...token),
    asked('production', ...token),
    asked('production', 'sale', 'show', 'sale_00x', '--url', url),
  ]);
  // On a local system the very same command signs with the generated secret.
  expect(createAuthenticator(jwtSecret, systemClock).verify(local.stdout.trim())).toMatchObject({ kind: 'caller' });
  for (const { code, stdout, stderr } of [refused, sale]) {
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('JWT_SECRET must be set');
  }
});
