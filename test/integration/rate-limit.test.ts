// Limits that several processes share through Redis: what one lets through is missing in the others. The rates of these
// tests refill so slowly that no machine is slow enough to see it.
import { once } from 'node:events';
import http from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { rateReports } from '../../api/door-metrics.ts';
import { createRateLimit, type RateLimit } from '../../api/rate-limit.ts';
import { createRateShare, rateKeys, type RateShare } from '../../api/rate-share.ts';
import { sleep, systemClock } from '../../core/clock.ts';
import { RATE_DEBT_BURSTS, RATE_REPORT_SHARE } from '../../core/constants.ts';
import { connectRedis, type Redis, whenReady } from '../../core/redis/redis.ts';
import { JWT_SECRET, quietLog, send, tokenOf } from '../support/api.ts';
import { type ApiProcess, startApiProcess } from '../support/api-process.ts';
import { freePort, openTestDatabase, startRedis, type TestDatabase } from '../support/stack.ts';
import type { Service } from '../../core/services/service.ts';

const BURST = 100;
const TENTH = BURST * RATE_REPORT_SHARE;

interface Process {
  redis: Redis;
  share: RateShare;
  limit: RateLimit;
}

let port: number;
let service: Service;
let database: TestDatabase;
let processes: Process[];
let tests = 0;

async function openProcess(ratePerSecond = 0.000_1, burst = BURST): Promise<Process> {
  const redis = connectRedis(service.url, 'scripts');
  await whenReady(redis, 10_000);
  const share = createRateShare({ redis, clock: systemClock, log: quietLog });
  const limit = createRateLimit({ name: 'test', ratePerSecond, burst, maxBuckets: 100, clock: systemClock, share });
  const process = { redis, share, limit };
  processes.push(process);
  return process;
}

const keyOf = (key: string) => `${rateKeys.rates}test:${key}`;
/** How full the shared bucket is, asked over the process's own connection: its call was answered before this. */
async function levelOf({ redis }: Process, key: string): Promise<number | undefined> {
  const kept = await redis.get(keyOf(key));
  return kept === null ? undefined : Math.round(Number(kept.split(' ')[0]));
}
const untilLevel = (process: Process, key: string, level: number) =>
  vi.waitFor(async () => expect(await levelOf(process, key)).toBe(level), { timeout: 20_000, interval: 5 });
const take = ({ limit }: Process, key: string, times: number): number =>
  Array.from({ length: times }, () => limit.take(key)).filter((wait) => wait === 0).length;

const lostReports = async () =>
  (await rateReports.get()).values.find(({ labels }) => labels['outcome'] === 'lost')?.value ?? 0;

beforeAll(async () => {
  port = await freePort();
  [service, database] = await Promise.all([startRedis({ port }), openTestDatabase()]);
});
afterAll(async () => {
  await service.stop();
  await database.drop();
});
let key = '';
beforeEach(() => {
  tests += 1;
  key = `key-${tests}`;
  processes = [];
  return () => {
    for (const { share, redis } of processes) {
      share.close();
      redis.disconnect();
    }
  };
});

describe('a limit of several processes', () => {
  it('is used up by one for the others', async () => {
    const [one, other] = [await openProcess(), await openProcess()];
    expect(take(one, key, BURST + 5)).toBe(BURST);
    await untilLevel(one, key, 0);
    // It has not heard yet: what it lets through before it has is owed.
    expect(take(other, key, TENTH)).toBe(TENTH);
    await untilLevel(other, key, -TENTH);
    expect(other.limit.take(key)).toBeGreaterThan(1);
    expect(take(other, key, 50)).toBe(0);
    expect(take(other, 'another', 1)).toBe(1);
  });

  it('lets four allow what one allows, and a tenth of it each on top', async () => {
    const four = [await openProcess(), await openProcess(), await openProcess(), await openProcess()];
    let allowed = 0;
    for (let round = 0; round < 2 * BURST; round += TENTH) {
      for (const process of four) {
        const some = take(process, key, TENTH);
        allowed += some;
        // A lump is told at once or, when all of it was refused, there is nothing to tell.
        if (some === TENTH) await untilLevel(process, key, BURST - allowed);
      }
    }
    expect(allowed).toBeGreaterThanOrEqual(BURST);
    expect(allowed).toBeLessThanOrEqual(BURST + 4 * TENTH);
  });

  it('follows a key closely once little is left of it', async () => {
    const [one, other] = [await openProcess(), await openProcess()];
    take(one, key, 60);
    await untilLevel(one, key, 40);
    take(other, key, TENTH);
    await untilLevel(other, key, 30);
    take(other, key, 1);
    await untilLevel(other, key, 29);
  });

  it('is not told of a key that was asked for a few times', async () => {
    const one = await openProcess();
    take(one, key, TENTH - 1);
    take(one, `${key}-often`, TENTH);
    await untilLevel(one, `${key}-often`, BURST - TENTH);
    expect(await levelOf(one, key)).toBeUndefined();
    take(one, key, 1);
    await untilLevel(one, key, BURST - TENTH);
  });

  it('is owed no more than some bursts', async () => {
    const many = await Promise.all(Array.from({ length: RATE_DEBT_BURSTS + 2 }, () => openProcess()));
    for (const process of many) take(process, key, BURST);
    const [first] = many;
    await untilLevel(first ?? (await openProcess()), key, -RATE_DEBT_BURSTS * BURST);
  });

  it('tells of many keys, and keeps none of them longer than it must', async () => {
    const one = await openProcess(1_000, 100);
    for (let n = 0; n < 1_000; n += 1) take(one, `${key}-${n}`, 50);
    const count = async () => (await one.redis.keys(keyOf(`${key}-*`))).length;
    let most = 0;
    await vi.waitFor(
      async () => {
        most = Math.max(most, await count());
        expect(most).toBeGreaterThan(0);
        expect(await count()).toBe(0);
      },
      { timeout: 20_000, interval: 5 },
    );
    expect(one.limit.size).toBeLessThanOrEqual(100);
  });

  it('goes on by itself while Redis is away, and together again when it is back', async () => {
    const [one, other] = [await openProcess(), await openProcess()];
    const lostBefore = await lostReports();
    await service.stop();
    expect(take(one, key, BURST + 50)).toBe(BURST);
    expect(take(other, key, BURST + 50)).toBe(BURST);
    // Both have tried to tell, in vain.
    await vi.waitFor(async () => expect(await lostReports()).toBeGreaterThanOrEqual(lostBefore + 2), {
      timeout: 20_000,
    });
    service = await startRedis({ port });
    await Promise.all([whenReady(one.redis, 20_000), whenReady(other.redis, 20_000)]);
    const later = `${key}-later`;
    take(one, later, BURST);
    await untilLevel(one, later, 0);
    take(other, later, TENTH);
    await untilLevel(other, later, -TENTH);
    expect(take(other, later, 10)).toBe(0);
  });
});

describe('two real API processes', () => {
  let [one, other]: (ApiProcess | undefined)[] = [];
  let redis: Redis;

  beforeAll(async () => {
    const env = {
      DATABASE_URL: database.url,
      REDIS_URL: service.url,
      JWT_SECRET,
      STRIPE_SECRET_KEY: 'sk_test_none',
      STRIPE_WEBHOOK_SECRET: 'whsec_none',
      STRIPE_API_BASE: 'http://127.0.0.1:9',
      TRUSTED_PROXIES: '127.0.0.1',
    };
    [one, other] = await Promise.all([startApiProcess(env), startApiProcess(env)]);
    redis = connectRedis(service.url, 'scripts');
    await whenReady(redis, 10_000);
  });
  afterAll(async () => {
    redis?.disconnect();
    await Promise.all([one?.stop(), other?.stop()]);
  });

  /** As a proxy hands it on. */
  const from = (address: string) => ({ headers: { 'x-forwarded-for': address } });
  const ask = (process: ApiProcess | undefined, address: string, times: number) =>
    Promise.all(Array.from({ length: times }, () => send(`${process?.url}/api/v1/guests`, 'POST', from(address))));
  const untilOwed = (name: string) =>
    vi.waitFor(
      async () => expect(Number((await redis.get(`${rateKeys.rates}${name}`))?.split(' ')[0])).toBeLessThan(-1),
      {
        timeout: 20_000,
        interval: 10,
      },
    );

  /** It hears a moment after Redis has it; alone it would let more than these few tries through. */
  async function untilRefused(tryOnce: () => Promise<{ status: number }[]>): Promise<void> {
    const statuses: (number | undefined)[] = [];
    while (statuses.length < 5 && !statuses.includes(429)) {
      statuses.push((await tryOnce())[0]?.status);
      await sleep(20);
    }
    expect(statuses).toContain(429);
  }

  it('give an address as many guests as one of them would', async () => {
    const first = await ask(one, '203.0.113.7', 40);
    const given = first.filter(({ status }) => status === 201).length;
    // One every three seconds comes on top, on a machine that needs so long.
    expect(given).toBeGreaterThanOrEqual(20);
    expect(given).toBeLessThan(30);
    const late = first.find(({ status }) => status === 429);
    expect(late?.body.code).toBe('RATE_LIMITED');
    expect(Number(late?.headers.get('retry-after'))).toBeGreaterThan(0);
    await ask(other, '203.0.113.7', 10);
    await untilOwed('guest:203.0.113.7');
    await untilRefused(() => ask(other, '203.0.113.7', 1));
    expect(await ask(other, '203.0.113.8', 1)).toMatchObject([{ status: 201 }]);
  });

  it('count a customer of IPv6 by the network that is all theirs', async () => {
    // Fewer than twenty of each, and more than twenty of both.
    await ask(one, '2001:db8:1:2::1', 15);
    const more = await ask(one, '2001:db8:1:2:ffff::2', 15);
    expect(more.some(({ status }) => status === 429)).toBe(true);
    expect(await ask(one, '2001:db8:1:3::1', 1)).toMatchObject([{ status: 201 }]);
  });

  it('count by what the proxy wrote, whatever the client wrote in a line of its own above it', async () => {
    const statuses: (number | undefined)[] = [];
    for (let n = 0; n < 40; n += 1) {
      const headers = { 'x-forwarded-for': [`192.0.2.${n}`, '203.0.113.20'], 'content-length': 0 };
      const request = http.request(`${one?.url}/api/v1/guests`, { method: 'POST', headers });
      request.end();
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      response.resume();
      statuses.push(response.statusCode);
    }
    expect(statuses.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => 201));
    expect(statuses).toContain(429);
  });

  it('slow a forger down on both, and nobody with a token behind the same address', async () => {
    const forge = (process: ApiProcess | undefined, times: number) =>
      Promise.all(
        Array.from({ length: times }, () =>
          send(`${process?.url}/api/v1/orders`, 'GET', { token: 'forged', ...from('203.0.113.9') }),
        ),
      );
    await forge(one, 80);
    await forge(other, 40);
    await untilOwed('forger:203.0.113.9');
    await untilRefused(() => forge(other, 1));
    const token = await tokenOf('u_honest');
    for (const process of [one, other]) {
      const answer = await send(`${process?.url}/api/v1/purchases/pur_x`, 'GET', { token, ...from('203.0.113.9') });
      expect(answer.status).not.toBe(429);
    }
  });
});
