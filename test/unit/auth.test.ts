import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bearerToken, createAuthenticator, isAllowed } from '../../api/auth.ts';
import { parsePlainClaims, parseToken } from '../../api/token-json.ts';
import { createTokenIssuer } from '../../api/tokens.ts';
import { TOKEN_LEEWAY_SECONDS } from '../../core/constants.ts';

const SECRET = 'unit-test-secret-of-enough-characters';
const NOW_MS = 1_800_000_000_000;
const clock = { now: () => NOW_MS };
const { verify } = createAuthenticator(SECRET, clock);
const issue = createTokenIssuer(SECRET, clock);

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const signed = (header: unknown, claims: unknown, secret = SECRET) => {
  const part = `${encode(header)}.${encode(claims)}`;
  return `${part}.${createHmac('sha256', secret).update(part).digest('base64url')}`;
};
/** As the issuer would sign this very text, with what JSON.stringify never writes. */
const signedText = (header: string, claims: string) => {
  const part = [header, claims].map((text) => Buffer.from(text).toString('base64url')).join('.');
  return `${part}.${createHmac('sha256', SECRET).update(part).digest('base64url')}`;
};
/** The last letter replaced by one that is the same when only its low byte is looked at. */
const lowByte = (token: string) => token.slice(0, -1) + String.fromCharCode(token.charCodeAt(token.length - 1) + 0x100);
const twice = (more: string) => `${JSON.stringify(good).slice(0, -1)},${more}}`;
const HS256 = { alg: 'HS256', typ: 'JWT' };
const good = { sub: 'u_1', role: 'USER', exp: NOW_MS / 1000 + 60 };

describe('tokens', () => {
  it('as jose signs them are accepted', async () => {
    expect(verify(await issue({ userId: 'u_jose', role: 'ADMIN' }, 60))).toEqual({
      kind: 'caller',
      caller: { userId: 'u_jose', role: 'ADMIN' },
      expiresAtMs: NOW_MS + 60_000 + TOKEN_LEEWAY_SECONDS * 1000,
    });
  });

  it('are good for the leeway of clocks beyond what they name, and not a millisecond longer', () => {
    const at = (claims: Record<string, unknown>) => verify(signed(HS256, { ...good, ...claims }));
    const now = NOW_MS / 1000;
    expect(at({ exp: now - TOKEN_LEEWAY_SECONDS })).toMatchObject({ code: 'TOKEN_EXPIRED' });
    expect(at({ exp: now - TOKEN_LEEWAY_SECONDS + 0.001 })).toMatchObject({ kind: 'caller', expiresAtMs: NOW_MS + 1 });
    for (const claim of ['nbf', 'iat']) {
      expect(at({ [claim]: now + TOKEN_LEEWAY_SECONDS })).toMatchObject({ kind: 'caller' });
      expect(at({ [claim]: now + TOKEN_LEEWAY_SECONDS + 0.001 })).toMatchObject({ code: 'UNAUTHENTICATED' });
    }
  });

  it.each([
    ['of no algorithm', signed({ alg: 'none' }, good)],
    ['of no algorithm and no signature', `${encode({ alg: 'none' })}.${encode(good)}.`],
    ['of an algorithm in small letters', signed({ alg: 'hs256' }, good)],
    ['of a longer hash', signed({ alg: 'HS512' }, good)],
    ['of a public key', signed({ alg: 'RS256' }, good)],
    ['of a list of algorithms', signed({ alg: ['HS256'] }, good)],
    ['without an algorithm', signed({ typ: 'JWT' }, good)],
    ['with two algorithms', signedText('{"alg":"none","alg":"HS256"}', JSON.stringify(good))],
    ['with a critical extension', signed({ ...HS256, crit: ['b64'] }, good)],
    ['with an unencoded payload', signed({ ...HS256, b64: false }, good)],
    ['of a key nobody knows', signed({ ...HS256, kid: 'other' }, good)],
    ['of a key that is a path', signed({ ...HS256, kid: '../../dev/null' }, good)],
    ['of a key that is no text', signed({ ...HS256, kid: 0 }, good)],
    ['of a key that is null', signed({ ...HS256, kid: null }, good)],
    ['of an inherited key', signed({ ...HS256, kid: '__proto__' }, good)],
    ['with two roles', signedText(JSON.stringify(HS256), twice('"role":"ADMIN"'))],
    ['with two ends', signedText(JSON.stringify(HS256), twice('"exp":99999999999'))],
    ['with a second role in disguise', signedText(JSON.stringify(HS256), twice('"r\\u006fle":"ADMIN"'))],
    ['with two names deeper down', signedText(JSON.stringify(HS256), twice('"x":{"a":[{"b":1,"b":2}]}'))],
    ['with a start in words', signed(HS256, { ...good, nbf: 'soon' })],
    ['without a start but null', signed(HS256, { ...good, nbf: null })],
    ['with an issue in words', signed(HS256, { ...good, iat: '0' })],
    ['with an end that is a list', signed(HS256, { ...good, exp: [NOW_MS] })],
    ['with an end that is true', signed(HS256, { ...good, exp: true })],
    ['with an end beyond numbers', signedText(JSON.stringify(HS256), '{"sub":"u_1","role":"USER","exp":1e999}')],
    ['with a role in small letters', signed(HS256, { ...good, role: 'admin' })],
    ['with a role in a list', signed(HS256, { ...good, role: ['ADMIN'] })],
    ['with a user of too many letters', signed(HS256, { ...good, sub: `u_${'x'.repeat(63)}` })],
    ['with a user of two lines', signed(HS256, { ...good, sub: 'u_1\nu_2' })],
    ['of more bytes than any has', signed(HS256, { ...good, filler: 'x'.repeat(2_048) })],
    ['with a signature of other letters', `${signed(HS256, good).split('.', 2).join('.')}.${'é'.repeat(43)}`],
    ['with a signature whose letters have the right low byte', lowByte(signed(HS256, good))],
    ['with a signature of one other letter', `${signed(HS256, good).slice(0, -1)}é`],
    ['of another secret', signed(HS256, good, 'another')],
    ['of a subject that is no user', signed(HS256, { ...good, sub: 'admin' })],
    ['of a subject that is a list', signed(HS256, { ...good, sub: ['u_1'] })],
    ['of an inherited role', signed(HS256, { ...good, role: 'constructor' })],
    ['without an end', signed(HS256, { ...good, exp: undefined })],
    ['with an end in words', signed(HS256, { ...good, exp: 'never' })],
    ['with claims that are a list', signed(HS256, [])],
    ['with four parts', `${signed(HS256, good)}.x`],
    ['with two parts', signed(HS256, good).split('.').slice(0, 2).join('.')],
    ['with a padded signature', `${signed(HS256, good)}=`],
    ['that are empty', ''],
    ['of dots', '..'],
  ])('%s are refused', (_, token) => {
    expect(verify(token)).toMatchObject({ kind: 'refused', code: 'UNAUTHENTICATED' });
  });

  it('with any one character changed are refused', async () => {
    const token = await issue({ userId: 'u_jose', role: 'USER' }, 60);
    fc.assert(
      fc.property(
        fc.nat(token.length - 1),
        fc.constantFrom('A', 'Z', 'a', 'z', '0', '9', '-', '_', '.', '='),
        (at, character) => {
          fc.pre(token[at] !== character);
          expect(verify(token.slice(0, at) + character + token.slice(at + 1)).kind).toBe('refused');
        },
      ),
    );
  });

  it('that are ordinary are read as any other is', () => {
    const text = fc.oneof(
      fc.stringMatching(
        /^\{"role":"(USER|ADMIN|x)","sub":"u_[a-z0-9-]{0,70}"(,"iat":[0-9]{1,12})?,"exp":0?[0-9]{1,12}\}$/,
      ),
      fc.stringMatching(/^\{"role":"(USER|A\\u0044MIN)","sub":"u_[a-z"]{1,4}"(,"exp":[0-9-]{1,4}){1,2}\}$/),
    );
    let plain = 0;
    fc.assert(
      fc.property(text, (json) => {
        const payload = Buffer.from(json).toString('base64url');
        const claims = parsePlainClaims(payload);
        if (claims === undefined) return;
        plain += 1;
        expect(claims).toEqual(parseToken(payload));
      }),
      { numRuns: 1_000 },
    );
    expect(plain).toBeGreaterThan(100);
    const padded = Buffer.from('{"role":"USER","sub":"u_1","exp":1}').toString('base64');
    expect([parsePlainClaims(padded), parseToken(padded)]).toEqual([undefined, undefined]);
  });

  it('never make the verification throw', () => {
    fc.assert(fc.property(fc.string({ maxLength: 200, unit: 'binary' }), (text) => void verify(text)));
  });
});

describe('access', () => {
  it('follows the role', () => {
    const [user, admin, service] = (['USER', 'ADMIN', 'INTERNAL'] as const).map((role) => ({ userId: 'u_1', role }));
    const table = (['public', 'user', 'admin', 'internal'] as const).map((access) =>
      [undefined, user, service, admin].map((caller) => isAllowed(access, caller)),
    );
    expect(table).toEqual([
      [true, true, true, true],
      [false, true, true, true],
      [false, false, false, true],
      [false, false, true, true],
    ]);
  });

  it('reads the header whatever the case of its scheme', () => {
    expect(['Bearer a.b.c', 'bearer a.b.c', 'Basic abc', 'Bearer ', ''].map((text) => bearerToken(text))).toEqual([
      'a.b.c',
      'a.b.c',
      undefined,
      undefined,
      undefined,
    ]);
  });
});
