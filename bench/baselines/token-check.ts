// How the baselines check a bearer token: with jose, as most do it, or in one go with node:crypto. The key is made once.
import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto';
import { jwtVerify } from 'jose';

/** The user's id; undefined for a token that is not valid. */
export type TokenCheck = (authorization: string | undefined) => Promise<string | undefined> | string | undefined;

export function createTokenCheck(kind: 'jose' | 'sync', secret: string): TokenCheck {
  const key = createSecretKey(Buffer.from(secret, 'utf8'));
  const tokenOf = (authorization = ''): string => (authorization.startsWith('Bearer ') ? authorization.slice(7) : '');
  if (kind === 'jose') {
    return async (authorization) => {
      try {
        return (await jwtVerify(tokenOf(authorization), key, { algorithms: ['HS256'] })).payload.sub;
      } catch {
        return undefined;
      }
    };
  }
  return (authorization) => {
    const [header = '', payload = '', signature = ''] = tokenOf(authorization).split('.');
    const expected = createHmac('sha256', key).update(`${header}.${payload}`).digest();
    const given = Buffer.from(signature, 'base64url');
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
    // Signed by us, with these claims.
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { sub: string; exp: number };
    return claims.exp * 1_000 > Date.now() ? claims.sub : undefined;
  };
}
