// Issues access tokens, with jose; api/auth.ts verifies them. Used for guests only: accounts have their own issuer.
import { SignJWT } from 'jose';
import type { Clock } from '../core/clock.ts';
import { readSigningKeys } from '../core/signing-keys.ts';
import type { Caller } from '../shop/route.ts';

/** `secrets` as in JWT_SECRET; the first one signs. */
export function createTokenIssuer(secrets: string, clock: Clock) {
  const [{ id, secret }] = readSigningKeys(secrets);
  const key = new TextEncoder().encode(secret);
  return ({ userId, role }: Caller, lifeSeconds: number): Promise<string> => {
    const nowSeconds = Math.floor(clock.now() / 1000);
    return new SignJWT({ role })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT', kid: id })
      .setSubject(userId)
      .setIssuedAt(nowSeconds)
      .setExpirationTime(nowSeconds + lifeSeconds)
      .sign(key);
  };
}
