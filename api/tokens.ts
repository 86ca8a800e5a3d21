// Issues access tokens, with jose; api/auth.ts verifies them. Used for guests only: accounts have their own issuer.
import { SignJWT } from 'jose';
import type { Clock } from '../core/clock.ts';
import type { Caller } from '../shop/route.ts';

export function createTokenIssuer(secret: string, clock: Clock) {
  const key = new TextEncoder().encode(secret);
  return ({ userId, role }: Caller, lifeSeconds: number): Promise<string> => {
    const nowSeconds = Math.floor(clock.now() / 1000);
    return new SignJWT({ role })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setSubject(userId)
      .setIssuedAt(nowSeconds)
      .setExpirationTime(nowSeconds + lifeSeconds)
      .sign(key);
  };
}
