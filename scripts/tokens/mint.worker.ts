// A thread of the token mint (mint.ts): signs one order of tokens. HS256, with the claims that the door reads.
import { SignJWT } from 'jose';
import type { Role } from '../../shop/route.ts';

export interface TokenOrder {
  readonly userIds: readonly string[];
  readonly role: Role;
  readonly keyId: string;
  readonly secret: string;
  /** Seconds since 1970. */
  readonly expiresAt: number;
}

export default async function sign({ userIds, role, keyId, secret, expiresAt }: TokenOrder): Promise<string[]> {
  // Imported once; jose would import the bytes anew for every token.
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const key = await crypto.subtle.importKey('raw', new TextEncoder().encode(secret), algorithm, false, ['sign']);
  return Promise.all(
    userIds.map((userId) =>
      new SignJWT({ role })
        .setProtectedHeader({ alg: 'HS256', typ: 'JWT', kid: keyId })
        .setSubject(userId)
        .setExpirationTime(expiresAt)
        .sign(key),
    ),
  );
}
