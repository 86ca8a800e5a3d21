import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bearerToken, createAuthenticator, isAllowed } from '../../api/auth.ts';
import { createTokenIssuer } from '../../api/tokens.ts';

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
const HS256 = { alg: 'HS256', typ: 'JWT' };
const good = { sub: 'u_1', role: 'USER', exp: NOW_MS / 1000 + 60 };

describe('tokens', () => {
  it('as jose signs them are accepted', async () => {
    expect(verify(await issue({ userId: 'u_jose', role: 'ADMIN' }, 60))).toEqual({
      kind: 'caller',
      caller: { userId: 'u_jose', role: 'ADMIN' },
      expiresAtMs: NOW_MS + 60_000,
    });
  });

  it('end at the second they name', async () => {
    expect(verify(signed(HS256, { ...good, exp: NOW_MS / 1000 }))).toMatchObject({ code: 'TOKEN_EXPIRED' });
    expect(verify(signed(HS256, { ...good, exp: NOW_MS / 1000 + 0.001 }))).toMatchObject({ kind: 'caller' });
    expect(verify(signed(HS256, { ...good, nbf: NOW_MS / 1000 + 1 }))).toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  it.each([
    ['of another algorithm', signed({ alg: 'none' }, good)],
    ['with a critical extension', signed({ ...HS256, crit: ['b64'] }, good)],
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
