// Secrets: what production refuses, all of it at once and without quoting a value, and what a log line must not contain.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type ConfigError, configWarnings, loadConfig, requireRuntime } from '../../core/config.ts';
import { createLog } from '../../core/log.ts';
import { weakness } from '../../core/secret-strength.ts';

const STRONG = '5f1d7c0be2a94386b7e05a4c9d218f63aa17';
const good = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://shop:kx82Ls02mQ@db.internal/doorbuster',
  REDIS_URL: 'rediss://:p2Lw92mcKd@redis.internal:6379',
  JWT_SECRET: STRONG,
  STRIPE_SECRET_KEY: 'sk_live_51Hc92kdLw02mcK2xQ',
  STRIPE_WEBHOOK_SECRET: 'whsec_9aK2mdLw02Xc82kdPq',
};

function problemsOf(changes: Record<string, string>): readonly string[] {
  try {
    requireRuntime(loadConfig({ ...good, ...changes }));
    return [];
  } catch (error) {
    // loadConfig and requireRuntime throw nothing else.
    return (error as ConfigError).problems;
  }
}

describe('in production', () => {
  it('strong secrets are taken, one or several', () => {
    expect(problemsOf({})).toEqual([]);
    expect(problemsOf({ JWT_SECRET: `b:${STRONG},a:${randomBytes(32).toString('hex')}` })).toEqual([]);
    expect(problemsOf({ JWT_SECRET: randomBytes(32).toString('base64') })).toEqual([]);
  });

  const weak: [string, string, RegExp][] = [
    ['a short one', STRONG.slice(0, 31), /JWT_SECRET: must have at least 32/],
    ['a word', 'secretsecretsecretsecretsecretsecret', /guessers/],
    ['the word of every tutorial', 'your-256-bit-secret-your-256-bit-secret', /guessers/],
    ['that of tests', 'ChangeMe-ChangeMe-ChangeMe-ChangeMe-1', /guessers/],
    ['one letter', 'x'.repeat(40), /fewer than 8 different/],
    ['few letters', 'abcabcbacbacbabcbacbabcbabcbabcbacbab', /fewer than 8 different/],
    ['a keyboard', '1q2w3e4r5t1q2w3e4r5t1q2w3e4r5t1q2w3e4r5t', /repeats itself/],
    ['an alphabet', 'abcdefghijklmnopqrstuvwxyz0123456789', /sequence/],
    ['a weak one among strong ones', `b:${STRONG},a:short`, /JWT_SECRET \(key a\): must have at least 32/],
    ['two keys of one name', `a:${STRONG},a:${STRONG}1`, /one name to two keys/],
    ['one key twice', `a:${STRONG},b:${STRONG}`, /same as another of its keys/],
  ];
  it.each(weak)('a JWT_SECRET that is %s is refused', (_, secret, reason) => {
    expect(problemsOf({ JWT_SECRET: secret }).join('\n')).toMatch(reason);
  });

  it('a secret serves one purpose', () => {
    const webhook = `whsec_${STRONG}`;
    expect(problemsOf({ JWT_SECRET: webhook, STRIPE_WEBHOOK_SECRET: webhook })).toContain(
      'STRIPE_WEBHOOK_SECRET: is the same as JWT_SECRET',
    );
  });

  it.each([
    ['STRIPE_SECRET_KEY', 'pk_live_51Hc92kdLw02mcK2xQ', 'must look like sk_live_'],
    ['STRIPE_SECRET_KEY', 'sk_live_x', 'too short'],
    ['STRIPE_SECRET_KEY', 'sk_live_aaaaaaaaaaaaaaaaaaaaaaaa', 'different characters'],
    ['STRIPE_WEBHOOK_SECRET', 'a webhook secret', 'must look like whsec_'],
    ['STRIPE_WEBHOOK_SECRET', 'whsec_short', 'too short'],
  ])('a %s of %s is refused', (name, value, reason) => {
    expect(problemsOf({ [name]: value }).join('\n')).toContain(`${name}: `);
    expect(problemsOf({ [name]: value }).join('\n')).toContain(reason);
  });

  it("Stripe's test keys are for systems that say so, or for the sandbox", () => {
    const test = { STRIPE_SECRET_KEY: 'sk_test_51Hc92kdLw02mcK2xQ' };
    expect(problemsOf(test)).toEqual([expect.stringContaining('STRIPE_TEST_MODE=true')]);
    expect(problemsOf({ ...test, STRIPE_TEST_MODE: 'true' })).toEqual([]);
    expect(problemsOf({ ...test, STRIPE_API_BASE: 'http://sandbox:8081' })).toEqual([]);
  });

  it('tells everything at once, and quotes nothing', () => {
    const values = {
      JWT_SECRET: 'hunter2-hunter2',
      STRIPE_SECRET_KEY: 'sk_test_hunter2',
      STRIPE_WEBHOOK_SECRET: 'hunter2',
    };
    const more = { PORT: 'many', TRUSTED_PROXIES: '10.0.0.0/33', ALLOWED_ORIGINS: 'https://a.example/path' };
    for (const changes of [values, { ...values, ...more }]) {
      const problems = problemsOf(changes);
      expect(new Set(problems.map((problem) => problem.split(':')[0]))).toEqual(new Set(Object.keys(changes)));
      expect(problems.join('\n')).not.toContain('hunter2');
    }
    expect(problemsOf({ ...values, DATABASE_URL: '' }).join('\n')).toMatch(/DATABASE_URL: must be set[^]*JWT_SECRET/);
  });

  it('what may be right and is dangerous is said', () => {
    const warnings = (changes: Record<string, string>) =>
      configWarnings(loadConfig({ ...good, ...changes })).join('\n');
    expect(warnings({})).toBe('');
    expect(warnings({ REDIS_URL: 'redis://redis:6379' })).toMatch(/REDIS_URL has no password[^]*not encrypted/);
    expect(warnings({ DATABASE_URL: 'postgres://shop@db.internal/d' })).toContain('DATABASE_URL has no password');
    expect(warnings({ DATABASE_URL: 'postgres://shop@127.0.0.1/d', REDIS_URL: 'redis://localhost' })).toBe('');
    expect(warnings({ STRIPE_API_BASE: 'http://sandbox:8081', STRIPE_TEST_MODE: 'true' })).toMatch(
      /Stripe[^]*test cards/,
    );
    expect(warnings({ NODE_ENV: 'development', REDIS_URL: 'redis://redis:6379' })).toBe('');
  });
});

it('secrets by chance are never called weak, and those of .env.example are none', () => {
  for (let n = 0; n < 2_000; n += 1) {
    for (const form of ['hex', 'base64', 'base64url'] as const)
      expect(weakness(randomBytes(32).toString(form))).toBeUndefined();
    expect(weakness(randomBytes(16).toString('hex'))).toBeUndefined();
  }
  const example = readFileSync(new URL('../../.env.example', import.meta.url), 'utf8');
  expect(example.match(/^(?:JWT_SECRET|POSTGRES_PASSWORD|STRIPE_SECRET_KEY|STRIPE_WEBHOOK_SECRET)=$/gm)).toHaveLength(
    4,
  );
});

describe('addresses and origins', () => {
  it('are read as lists, and checked', () => {
    const config = loadConfig({ TRUSTED_PROXIES: '10.0.0.0/8, ::1,192.0.2.1', ALLOWED_ORIGINS: 'https://a.example' });
    expect(config.trustedProxies).toEqual(['10.0.0.0/8', '::1', '192.0.2.1']);
    expect(config.allowedOrigins).toEqual(['https://a.example']);
    for (const wrong of ['10.0.0.0/33', '::/129', 'proxy', '10.0.0.0/8/8', '10.0.0.1,', '*', '10.0.0.0/-1', '1.2.3'])
      expect(() => loadConfig({ TRUSTED_PROXIES: wrong }), wrong).toThrow('TRUSTED_PROXIES');
    for (const wrong of ['*', 'a.example', 'https://a.example/', 'wss://a.example', 'null', 'https://A.example'])
      expect(() => loadConfig({ ALLOWED_ORIGINS: wrong }), wrong).toThrow('ALLOWED_ORIGINS');
  });
});

describe('a log', () => {
  const lines: string[] = [];
  const config = loadConfig({ ...good, JWT_SECRET: `b:${STRONG},a:quo"ted-${STRONG}`, LOG_LEVEL: 'trace' });
  const log = createLog(config, 'test', { write: (line: string) => void lines.push(line) });

  it.each([
    ['a member', { token: 'aaa.bbb.ccc-is-told' }, 'is-told'],
    ['a member one deeper', { request: { authorization: 'Bearer is-told' } }, 'is-told'],
    ['an error that quotes a URL', { err: new Error(`connect to ${good.DATABASE_URL}`) }, 'kx82Ls02mQ'],
    [
      'an error that quotes a key',
      { err: new Error(`Invalid API Key: ${good.STRIPE_SECRET_KEY}`) },
      '51Hc92kdLw02mcK2xQ',
    ],
    ['a key of several', { text: `signed with ${STRONG}` }, STRONG],
    ['a key with quotes', { text: `signed with quo"ted-${STRONG}` }, 'ted-'],
    ["somebody else's password", { text: 'redis://default:hunter22@other:6379' }, 'hunter22'],
    ['a token', { text: 'GET /ws?access_token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1XzEifQ.c2ln' }, 'c2ln'],
    ["a payment's secret", { text: 'pi_3abc_secret_hunter22' }, 'hunter22'],
  ])('does not contain %s', (_, content, secret) => {
    lines.length = 0;
    log.error(content, 'it went wrong');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('[secret]');
    expect(lines[0]).not.toContain(secret);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ msg: 'it went wrong' });
  });
});
