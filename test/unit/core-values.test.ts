import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jitter, sleep } from '../../core/clock.ts';
import { ConfigError, loadConfig, requireRuntime } from '../../core/config.ts';
import { PARTITIONS } from '../../core/constants.ts';
import { CodedError, ERRORS, fault, hasCode } from '../../core/errors.ts';
import type { ErrorCode } from '../../core/errors.ts';
import { fingerprint, hashedId, partitionOf, randomId, randomInteger, randomSecret } from '../../core/ids.ts';
import { keepLast } from '../../core/last-made.ts';
import { toDecimal, toMinor } from '../../core/money.ts';
import { isInfrastructureError } from '../../core/postgres/postgres.ts';
import { pack, unpack } from '../../core/redis/msgpack.ts';

describe('ids', () => {
  it('carry their partition right after the prefix', () => {
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const id = randomId('pur', partition);
      expect(id).toMatch(/^pur_0[0-7][0-9a-z]{26}$/);
      expect(partitionOf(id)).toBe(partition);
      expect(partitionOf(`ord_${id.slice(4)}`)).toBe(partition);
    }
    expect(randomId('u')).toMatch(/^u_[0-9a-z]{26}$/);
  });

  it('are different each time, and the same for the same parts', () => {
    expect(new Set(Array.from({ length: 5_000 }, () => randomId('pur', 1))).size).toBe(5_000);
    expect(hashedId('pur', 2, ['buyer', 'sale', 'key'])).toBe(hashedId('pur', 2, ['buyer', 'sale', 'key']));
    expect(hashedId('pur', 2, ['ab', 'c'])).not.toBe(hashedId('pur', 2, ['a', 'bc']));
    expect(fingerprint(['a', 1])).toBe(fingerprint(['a', '1']));
    expect(fingerprint(['a', 1])).not.toBe(fingerprint(['a', 2]));
  });

  it('come with secrets and numbers from the same source', () => {
    expect(randomSecret(16)).toMatch(/^[0-9a-f]{32}$/);
    expect(randomSecret(16)).not.toBe(randomSecret(16));
    for (let n = 0; n < 100; n += 1) expect([5, 6, 7]).toContain(randomInteger(5, 8));
  });

  it('refuse a partition that does not exist', () => {
    expect(() => randomId('pur', PARTITIONS)).toThrow(RangeError);
    for (const id of [
      '',
      'pur_',
      'pur_zzabcdefghijk',
      'pur_08abcdefghijklmn',
      '03abcdefghijklmn',
      'pur_03',
      'PUR_03abcdefghijk',
      'pur_03abc\ndefghijk',
    ]) {
      expect(partitionOf(id)).toBeUndefined();
    }
  });
});

describe('what was made last', () => {
  it('is kept for the same parts, and nothing that could not be made', () => {
    const made: string[] = [];
    const join = keepLast((a: string, b: number) => {
      if (b < 0) throw new RangeError(a);
      made.push(`${a}${b}`);
      return { text: `${a}${b}` };
    });
    const first = join('a', 1);
    expect(join('a', 1)).toBe(first);
    expect(join('a', 2)).toEqual({ text: 'a2' });
    expect(() => join('b', -1)).toThrow(RangeError);
    expect(() => join('b', -1)).toThrow(RangeError);
    expect(join('a', 1)).toEqual(first);
    expect(made).toEqual(['a1', 'a2', 'a1']);
  });
});

describe('money', () => {
  it.each([
    [499, 'INR', 49_900],
    [0.29, 'USD', 29],
    [1.005, 'USD', undefined],
    [1.005, 'KWD', 1_005],
    [500, 'JPY', 500],
    [500.5, 'JPY', undefined],
    [0, 'EUR', 0],
    [-0, 'EUR', 0],
    [-1, 'EUR', undefined],
    [Number.NaN, 'EUR', undefined],
    [Number.POSITIVE_INFINITY, 'EUR', undefined],
    [1e15, 'EUR', undefined],
  ])('%d %s is %s minor units', (decimal, currency, minor) => {
    expect(toMinor(decimal, currency)).toBe(minor);
  });

  it('comes back as it went in', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e13 }), fc.constantFrom('INR', 'JPY', 'KWD'), (minor, currency) => {
        expect(toMinor(toDecimal(minor, currency), currency)).toBe(minor);
      }),
    );
  });
});

describe('errors', () => {
  it('carry the status of the catalogue, and Retry-After on every 429 and 503', () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      const error = fault(code);
      expect(error.status).toBe(ERRORS[code].status);
      expect(error.retryAfterSeconds).toBe(error.status === 503 || error.status === 429 ? 1 : undefined);
    }
  });

  it('carry fields, members and the cause', () => {
    const cause = new Error('why');
    const error = fault('LIMIT_EXCEEDED', 'One each', { members: { purchaseId: 'pur_1' }, cause });
    expect(error).toBeInstanceOf(CodedError);
    expect(error).toMatchObject({
      code: 'LIMIT_EXCEEDED',
      detail: 'One each',
      members: { purchaseId: 'pur_1' },
      cause,
    });
    expect(hasCode(error, 'SOLD_OUT', 'LIMIT_EXCEEDED')).toBe(true);
    expect(hasCode(new Error('SOLD_OUT'), 'SOLD_OUT')).toBe(false);
  });

  it('tell infrastructure from data', () => {
    const coded = (code: string) => Object.assign(new Error('x'), { code });
    const again = [
      '08006',
      '53300',
      '57P01',
      '57014',
      '40001',
      '40P01',
      '55P03',
      '25006',
      'ECONNREFUSED',
      'ECONNRESET',
    ];
    for (const code of again) expect(isInfrastructureError(coded(code))).toBe(true);
    for (const code of ['23505', '23503', '22P02', '42P01', 'ENOENT'])
      expect(isInfrastructureError(coded(code))).toBe(false);
    expect(isInfrastructureError(new AggregateError([coded('ECONNREFUSED')]))).toBe(true);
    expect(isInfrastructureError(new Error('wrapped', { cause: coded('40001') }))).toBe(true);
    expect(isInfrastructureError(new Error('Connection terminated unexpectedly'))).toBe(true);
    expect(isInfrastructureError(fault('OUTCOME_UNKNOWN'))).toBe(true);
    expect(isInfrastructureError(fault('NOT_FOUND'))).toBe(false);
    expect(isInfrastructureError('text')).toBe(false);
  });
});

describe('config', () => {
  it('has defaults that need no environment', () => {
    const config = loadConfig({});
    expect(config).toMatchObject({
      environment: 'development',
      port: 8080,
      sandboxPort: 8081,
      dataDir: '.data',
      stripe: {},
    });
    expect(config.apiProcesses).toBeGreaterThan(0);
    expect(Object.hasOwn(config, 'databaseUrl')).toBe(false);
  });

  it('lists every problem at once, and takes an empty variable for an unset one', () => {
    const broken = { PORT: '99999', REDIS_URL: 'http://x', LOG_LEVEL: 'loud', DATABASE_URL: ' ', API_PROCESSES: 'two' };
    try {
      loadConfig(broken);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      const { problems } = error as ConfigError;
      expect(problems.map((problem) => problem.split(':')[0])).toEqual([
        'PORT',
        'API_PROCESSES',
        'REDIS_URL',
        'LOG_LEVEL',
      ]);
    }
  });

  it('takes the nodes of a cluster', () => {
    expect(loadConfig({ REDIS_URL: 'redis://a:7000,b:7001,redis://c:7002' }).redisUrl).toContain('b:7001');
    expect(() => loadConfig({ REDIS_URL: 'redis://a:7000,:::' })).toThrow(ConfigError);
  });

  it('refuses to run without what it needs, and with a weak secret in production', () => {
    const complete = {
      DATABASE_URL: 'postgres://u:p@h/d',
      REDIS_URL: 'redis://h',
      JWT_SECRET: 'short',
      STRIPE_SECRET_KEY: 'sk_test_1',
      STRIPE_WEBHOOK_SECRET: 'whsec_1',
    };
    expect(requireRuntime(loadConfig(complete))).toMatchObject({
      jwtSecret: 'short',
      stripe: { secretKey: 'sk_test_1' },
    });
    expect(() => requireRuntime(loadConfig({ ...complete, NODE_ENV: 'production' }))).toThrow(/JWT_SECRET/);
    expect(() => requireRuntime(loadConfig({}))).toThrow(/DATABASE_URL[^]*REDIS_URL[^]*STRIPE_WEBHOOK_SECRET/);
  });
});

describe('clock', () => {
  it('jitters downwards only, to half at most', () => {
    for (let n = 0; n < 1_000; n += 1) {
      const ms = jitter(100);
      expect(ms).toBeGreaterThanOrEqual(50);
      expect(ms).toBeLessThanOrEqual(100);
    }
  });

  it('stops sleeping when told to, without an error', async () => {
    const abort = new AbortController();
    const sleeping = sleep(60_000, abort.signal);
    abort.abort();
    await sleeping;
    await sleep(60_000, abort.signal);
  });
});

describe('msgpack', () => {
  it('brings plain values back, undefined as null', () => {
    const value = ['pur_1', 1_790_000_000_000, -5, 0.5, [true, null, 'é'], { a: 1 }];
    expect(unpack(pack(value))).toEqual(value);
    expect(unpack(pack([undefined]))).toEqual([null]);
  });

  it('reads a 64-bit integer, as Lua writes large ones, as a number', () => {
    const bytes = Buffer.from('d300000001a0c5e800', 'hex');
    expect(unpack(bytes)).toBe(0x1a0c5e800);
  });

  it('gives each caller bytes of its own', () => {
    const one = pack(['first']);
    const text = one.toString('hex');
    for (let n = 0; n < 10_000; n += 1) pack(['another', n]);
    expect(one.toString('hex')).toBe(text);
  });
});
