// Keys that change while tokens of the old one live, and a crowd of tokens judged by jose as well.
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { decodeProtectedHeader, jwtVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import { createAuthenticator } from '../../api/auth.ts';
import { createTokenIssuer } from '../../api/tokens.ts';
import { TOKEN_HEADERS_MAX, TOKEN_LEEWAY_SECONDS } from '../../core/constants.ts';
import { readSigningKeys } from '../../core/signing-keys.ts';
import { mintTokens } from '../../scripts/tokens/mint.ts';

const NOW_MS = 1_800_000_000_000;
const NOW = NOW_MS / 1000;
const clock = { now: () => NOW_MS };
const OLD = 'the-old-secret-of-this-test-0123456789';
const NEW = 'the-new-secret-of-this-test-9876543210';
const user = { userId: 'u_1', role: 'USER' } as const;

const verdict = (secrets: string, token: string) => createAuthenticator(secrets, clock).verify(token).kind;
const issued = (secrets: string) => createTokenIssuer(secrets, clock)(user, 60);
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const sign = (header: unknown, claims: unknown, secret: string) => {
  const part = `${encode(header)}.${encode(claims)}`;
  return `${part}.${createHmac('sha256', secret).update(part).digest('base64url')}`;
};
const unnamed = (secret: string) => sign({ alg: 'HS256' }, { sub: 'u_1', role: 'USER', exp: NOW + 60 }, secret);

describe('signing keys', () => {
  it('are one secret, or a list of names and secrets', () => {
    const read = (text: string) => readSigningKeys(text).map(({ id, secret }) => `${id}=${secret}`);
    expect(read('k2:new,k1:old')).toEqual(['k2=new', 'k1=old']);
    expect(read('k2:new')).toEqual(['k2=new']);
    for (const text of [
      'plain',
      'with,comma',
      'a:b,c',
      'a secret: with words',
      ':x',
      'k1:,k2:x',
      'much-too-long-a-name:x',
    ])
      expect(readSigningKeys(text)).toMatchObject([{ secret: text }]);
  });

  it('are rotated without a token that is refused too early or accepted too long', async () => {
    const [before, after] = [await issued(OLD), await issued(`b:${NEW},a:${OLD}`)];
    const between = await issued(`a:${OLD}`);
    // One secret, the same one named, the new one in front, the old one gone.
    const steps = [OLD, `a:${OLD}`, `b:${NEW},a:${OLD}`, `b:${NEW}`];
    const seen = [before, between, after].map((token) => steps.map((secrets) => verdict(secrets, token)));
    expect(seen).toEqual([
      ['caller', 'caller', 'caller', 'refused'],
      ['refused', 'caller', 'caller', 'refused'],
      ['refused', 'refused', 'caller', 'caller'],
    ]);
  });

  it('without a name in the token: the first one alone', () => {
    expect(verdict(`b:${NEW},a:${OLD}`, unnamed(NEW))).toBe('caller');
    expect(verdict(`b:${NEW},a:${OLD}`, unnamed(OLD))).toBe('refused');
  });

  it('do not sign under the name of another', () => {
    const header = { alg: 'HS256', kid: 'a' };
    const claims = { sub: 'u_1', role: 'ADMIN', exp: NOW + 60 };
    expect(verdict(`b:${NEW},a:${OLD}`, sign(header, claims, NEW))).toBe('refused');
    expect(verdict(`b:${NEW},a:${OLD}`, sign(header, claims, OLD))).toBe('caller');
  });

  it('are named in every token that we issue', async () => {
    const secrets = `b:${NEW},a:${OLD}`;
    const [minted = ''] = await mintTokens(['u_1'], 'USER', secrets);
    const [plain = ''] = await mintTokens(['u_1'], 'USER', OLD);
    expect(decodeProtectedHeader(minted)).toEqual({ alg: 'HS256', typ: 'JWT', kid: 'b' });
    expect(decodeProtectedHeader(await issued(secrets)).kid).toBe('b');
    expect(decodeProtectedHeader(plain).kid).toBe(readSigningKeys(OLD)[0].id);
    expect(decodeProtectedHeader(await issued(OLD)).kid).toBe(decodeProtectedHeader(plain).kid);
  });

  it('are found again however many headers there were', () => {
    const { verify } = createAuthenticator(OLD, clock);
    for (let n = 0; n < 3 * TOKEN_HEADERS_MAX; n += 1) {
      const header = { alg: 'HS256', n };
      const claims = { sub: 'u_1', role: 'USER', exp: NOW + 60 };
      expect(verify(sign(header, claims, OLD)).kind).toBe('caller');
      expect(verify(sign(header, claims, NEW)).kind).toBe('refused');
    }
  });
});

describe('a crowd of tokens', () => {
  const moment = fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: NOW - 10, max: NOW + 10 }) },
    { weight: 12, arbitrary: fc.constant<unknown>(NOW + 4) },
    fc.constantFrom<unknown>(undefined, null, 'soon', `${NOW + 60}`, [NOW + 60], true, NOW + 60),
  );
  const headers = fc.record(
    {
      alg: fc.oneof(
        { weight: 6, arbitrary: fc.constant('HS256') },
        { weight: 2, arbitrary: fc.constantFrom<unknown>('none', 'hs256', 'HS384', 'HS512', 'RS256', '', null) },
      ),
      typ: fc.constantFrom('JWT', 'at+jwt'),
      crit: fc.constant(['exp']),
    },
    { requiredKeys: ['alg'] },
  );
  const claims = fc.record(
    {
      sub: fc.oneof({ weight: 6, arbitrary: fc.constant('u_1') }, fc.constantFrom<unknown>('root', 7, null, ['u_1'])),
      role: fc.oneof({ weight: 6, arbitrary: fc.constant('USER') }, fc.constantFrom<unknown>('ROOT', 1, ['ADMIN'])),
      exp: moment,
      nbf: moment,
      iat: fc.oneof({ weight: 6, arbitrary: fc.constant<unknown>(NOW) }, moment),
      more: fc.jsonValue({ maxDepth: 2 }),
    },
    { requiredKeys: ['sub', 'role', 'exp'] },
  );
  const { verify } = createAuthenticator(OLD, clock);

  async function askJose(token: string): Promise<Record<string, unknown> | undefined> {
    const options = { algorithms: ['HS256'], clockTolerance: TOKEN_LEEWAY_SECONDS, currentDate: new Date(NOW_MS) };
    try {
      return (await jwtVerify(token, new TextEncoder().encode(OLD), options)).payload;
    } catch {
      return undefined;
    }
  }

  it('is judged as jose judges it, and by our own rules on top', async () => {
    const seen = { accepted: 0, refused: 0, stricter: 0 };
    await fc.assert(
      fc.asyncProperty(headers, claims, fc.constantFrom(OLD, OLD, OLD, OLD, NEW), async (header, body, secret) => {
        const token = sign(header, body, secret);
        const [ours, theirs] = [verify(token), await askJose(token)];
        if (ours.kind === 'caller') {
          seen.accepted += 1;
          expect(theirs).toMatchObject({ sub: ours.caller.userId, role: ours.caller.role, exp: body.exp });
          return;
        }
        seen.refused += 1;
        if (theirs === undefined) return;
        seen.stricter += 1;
        // Everything that jose takes and we do not must break a rule that only we have.
        const iat = theirs.iat ?? 0;
        const isOurs =
          theirs['sub'] !== 'u_1' ||
          theirs['role'] !== 'USER' ||
          theirs['exp'] === undefined ||
          typeof iat !== 'number' ||
          iat > NOW + TOKEN_LEEWAY_SECONDS;
        expect({ isOurs, token }).toEqual({ isOurs: true, token });
      }),
      { numRuns: 1_000 },
    );
    // It would prove nothing if one of the three never came; each comes in some hundredths of the cases.
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(0);
  });

  it('with whatever bytes in their place is judged without a fault, and never accepted', () => {
    const part = fc.oneof(
      fc.base64String(),
      fc.string({ unit: 'grapheme', maxLength: 60 }),
      fc.constant(encode({ alg: 'HS256' })),
    );
    fc.assert(
      fc.property(
        part,
        part,
        fc.oneof(part, fc.string({ unit: 'grapheme', minLength: 43, maxLength: 43 })),
        (a, b, c) => {
          expect(verify(`${a}.${b}.${c}`).kind).toBe('refused');
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
