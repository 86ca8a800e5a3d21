// More than one process can take, made certain instead of likely: Redis is frozen, so that whatever is let in stays in. What
// counts is who is let in, what the others are told, and that everything is as before afterwards; nothing here is timed.
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Api, startApi } from '../../api/api.ts';
import { type Concurrency, createConcurrency } from '../../api/load-shedding.ts';
import { createStockStore } from '../../actors/stock-store.ts';
import { sleep, systemClock } from '../../core/clock.ts';
import { connectRedis, whenReady } from '../../core/redis/redis.ts';
import { runAudit } from '../../shop/admin/admin.ts';
import { createEpochRecord } from '../../shop/orders/orders.ts';
import { createWork } from '../../workers/work.ts';
import { newBuyer, openSale, quietLog, send, startTestApi, type TestAnswer, type TestApi } from '../support/api.ts';

const LIMIT = 16;
const CONNECTIONS = { answered: 12, taken: 16 };

/** A system whose limits are its own; here it only lends its servers and makes the sales. */
let home: TestApi;
let small: Api;
let url: string;
/** What the last request found under way. */
let foundInFlight = 0;
const sockets: Socket[] = [];

beforeAll(async () => {
  home = await startTestApi();
  await home.api.attached;
  const usual = createConcurrency(LIMIT, LIMIT);
  const concurrency: Concurrency = {
    ...usual,
    hasRoom(method, path, count) {
      foundInFlight = count;
      return usual.hasRoom(method, path, count);
    },
    limit: LIMIT,
  };
  small = await startApi(home.config, quietLog, { concurrency });
  await small.attached;
  url = `http://127.0.0.1:${small.port}`;
});
afterEach(() => {
  home.testRedis.service.kill('SIGCONT');
  for (const socket of sockets.splice(0)) socket.destroy();
});
afterAll(async () => {
  await small?.close();
  await home?.close();
});

async function press(saleId: string, sku: string, token: string, key: string): Promise<TestAnswer> {
  const headers = { 'idempotency-key': key };
  return send(`${url}/api/v1/sales/${saleId}/purchases`, 'POST', { token, headers, body: { sku, quantity: 1 } });
}

async function inFlight(): Promise<number> {
  await send(`${url}/livez`, 'GET');
  return foundInFlight;
}

async function untilAnswered(answers: readonly unknown[], count: number): Promise<void> {
  while (answers.length < count) await sleep(5);
}

describe('a process with room for 16 requests', () => {
  test('turns newcomers away beyond that, serves those that are in, and everybody who comes back', async () => {
    const { saleId, sku } = await openSale(home, { stock: 100 });
    const buyers = await Promise.all(Array.from({ length: 60 }, newBuyer));
    home.testRedis.service.kill('SIGSTOP');
    const rejected: TestAnswer[] = [];
    const served: TestAnswer[] = [];
    const presses = buyers.map(async ({ token, userId }) => {
      const answer = await press(saleId, sku, token, userId);
      (answer.status === 503 ? rejected : served).push(answer);
    });
    await untilAnswered(rejected, buyers.length - LIMIT);

    // While it is full: health and money are not turned away, nor who has a purchase already; one more newcomer is.
    expect((await send(`${url}/livez`, 'GET')).status).toBe(200);
    expect((await send(`${url}/api/v1/payments/webhook`, 'POST', { body: {} })).status).toBe(400);
    expect((await send(`${url}/api/v1/purchases/nothing`, 'GET', { token: buyers[0]?.token ?? '' })).status).toBe(404);
    expect((await press(saleId, sku, buyers[0]?.token ?? '', 'late')).body.code).toBe('OVERLOADED');
    expect(served).toEqual([]);

    home.testRedis.service.kill('SIGCONT');
    await Promise.all(presses);
    expect(rejected).toHaveLength(buyers.length - LIMIT);
    for (const { status, headers, body } of rejected) {
      expect([status, body.code]).toEqual([503, 'OVERLOADED']);
      expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    }
    expect(served.map(({ status }) => status)).toEqual(served.map(() => 201));

    for (const { token, userId } of buyers) {
      const again = await press(saleId, sku, token, userId);
      expect(again.status).toBe(201);
    }
    expect(await auditOf(saleId)).toMatchObject({ ok: true, oversold: 0, lost: 0 });
    const { items } = (await home.call('GET', `/api/v1/sales/${saleId}`)).body;
    expect(items[0]).toMatchObject({ held: buyers.length, available: 100 - buyers.length });
  });

  test('sets no unit aside for those who went away before their turn', async () => {
    const { saleId, sku } = await openSale(home, { stock: 10 });
    const buyers = await Promise.all(Array.from({ length: 4 }, newBuyer));
    const [first, ...rest] = buyers.map(({ token }) => token);
    home.testRedis.service.kill('SIGSTOP');
    // The first is under way when Redis stands still; the others wait behind it, and leave.
    const under = press(saleId, sku, first ?? '', 'under-way');
    await expect.poll(() => inFlight()).toBe(1);
    const leaving = new AbortController();
    const presses = rest.map((token) =>
      fetch(`${url}/api/v1/sales/${saleId}/purchases`, {
        method: 'POST',
        signal: leaving.signal,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ sku, quantity: 1 }),
      }).catch(() => 'left'),
    );
    await expect.poll(() => inFlight()).toBe(4);
    leaving.abort();
    expect(await Promise.all(presses)).toEqual(['left', 'left', 'left']);
    await expect.poll(() => inFlight()).toBe(1);
    home.testRedis.service.kill('SIGCONT');
    expect((await under).status).toBe(201);
    // Whoever comes now is behind those that left.
    expect((await press(saleId, sku, (await newBuyer()).token, 'behind')).status).toBe(201);
    const { items } = (await home.call('GET', `/api/v1/sales/${saleId}`)).body;
    expect(items[0]).toMatchObject({ held: 2, available: 8 });
  });
});

describe('a process with room for 12 connections', () => {
  let crowded: Api;
  beforeAll(async () => {
    crowded = await startApi(home.config, quietLog, { connections: CONNECTIONS });
    await crowded.attached;
  });
  afterAll(() => crowded?.close());

  test('answers one more and ends it, does not hear out the ones far beyond, and forgets those that left', async () => {
    const first = await Promise.all(Array.from({ length: CONNECTIONS.answered }, () => openWith(crowded.port)));
    expect(first.map(({ status }) => status)).toEqual(first.map(() => 200));
    const beyond = Array.from({ length: CONNECTIONS.taken - CONNECTIONS.answered }, () => openWith(crowded.port, ''));
    const extra = await Promise.all(beyond);
    const unheard = await openWith(crowded.port);
    expect(unheard).toMatchObject({ status: 0, isEnded: true });

    const [told] = extra;
    told?.socket.write('GET /livez HTTP/1.1\r\nhost: x\r\n\r\n');
    const text = await told?.ended;
    expect(text).toContain('HTTP/1.1 503');
    expect(text?.toLowerCase()).toContain('retry-after: ');

    for (const { socket } of [...first, ...extra]) socket.destroy();
    await expect.poll(async () => (await openWith(crowded.port)).status).toBe(200);
  });

  test('counts WebSockets while they are open, and no longer', async () => {
    const { token } = await newBuyer();
    const at = { ...home, url: `http://127.0.0.1:${crowded.port}` };
    for (let i = 0; i < CONNECTIONS.taken + 4; i += 1) {
      const { WebSocket } = await import('ws');
      const socket = new WebSocket(`${at.url.replace('http', 'ws')}/ws`, {
        headers: { authorization: `Bearer ${token}` },
      });
      await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.close();
      await closed;
    }
    expect((await openWith(crowded.port)).status).toBe(200);
  });
});

function open(port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  sockets.push(socket);
  return socket;
}

/** A connection with a request on it, if any: its status, or 0 when it was ended without one. */
async function openWith(port: number, request = 'GET /livez HTTP/1.1\r\nhost: x\r\n\r\n') {
  const socket = open(port);
  let text = '';
  const ended = new Promise<string>((resolve) => socket.once('close', () => resolve(text)));
  const heard = new Promise<void>((resolve) => {
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString();
      resolve();
    });
    socket.once('close', () => resolve());
    if (request === '') socket.once('connect', () => resolve());
  });
  if (request !== '') socket.write(request);
  await heard;
  return { socket, ended, status: Number(text.slice(9, 12)), isEnded: socket.destroyed };
}

async function auditOf(saleId: string) {
  const { database, testRedis, config } = home;
  const redis = connectRedis(testRedis.url, 'scripts');
  await whenReady(redis, 10_000);
  const work = createWork(config, { postgres: database.postgres, redis, log: quietLog });
  try {
    await work.attach();
    work.start();
    const stock = createStockStore({ redis });
    await stock.attach(createEpochRecord(database.postgres));
    return await runAudit({ postgres: database.postgres, redis, stock, clock: systemClock }, { saleId });
  } finally {
    await work.stop();
    redis.disconnect();
  }
}
