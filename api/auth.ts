// Who is asking: synchronous HS256 verification, because an awaited one costs four fifths of the door's throughput.
// Only HS256 is ever accepted, whatever a token's header asks for. Tokens are issued elsewhere (jose).
import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import type { Access, Caller, Role } from '../shop/route.ts';
import { TOKEN_LENGTH_MAX } from '../core/constants.ts';

export type Authentication =
  | { kind: 'caller'; caller: Caller; expiresAtMs: number }
  | { kind: 'refused'; code: 'UNAUTHENTICATED' | 'TOKEN_EXPIRED'; detail: string };

export interface Authenticator {
  verify(token: string): Authentication;
}

const BASE64URL = /^[A-Za-z0-9_-]+$/;
const USER_ID = /^u_[A-Za-z0-9_-]{1,62}$/;
const ROLES: ReadonlySet<unknown> = new Set<Role>(['USER', 'ADMIN', 'INTERNAL']);

const refuse = (detail: string): Authentication => ({ kind: 'refused', code: 'UNAUTHENTICATED', detail });

function parseObject(base64url: string): Record<string, unknown> | undefined {
  if (!BASE64URL.test(base64url)) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(base64url, 'base64url').toString('utf8'));
    // A non-null object that is no array is a record of unknowns.
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function isAcceptableHeader(encoded: string): boolean {
  const header = parseObject(encoded);
  return header !== undefined && header['alg'] === 'HS256' && header['crit'] === undefined;
}

export function createAuthenticator(secret: string, clock: Clock): Authenticator {
  const key = createSecretKey(Buffer.from(secret, 'utf8'));
  // All tokens of one issuer share one header, so it is parsed once.
  let acceptedHeader: string | undefined;

  function isSigned(signedPart: string, signature: string): boolean {
    // Comparing the encoded forms refuses the other spellings that base64 has for the same bytes.
    const expected = createHmac('sha256', key).update(signedPart).digest('base64url');
    return signature.length === expected.length && timingSafeEqual(Buffer.from(signature), Buffer.from(expected));
  }

  function readClaims(payload: string): Authentication {
    const claims = parseObject(payload);
    if (claims === undefined) return refuse('the token has no claims');
    const { sub, role, exp, nbf } = claims;
    if (typeof sub !== 'string' || !USER_ID.test(sub)) return refuse('the claim sub is not a user id');
    if (!ROLES.has(role)) return refuse('the claim role is not USER, ADMIN or INTERNAL');
    if (typeof exp !== 'number' || !Number.isFinite(exp)) return refuse('the claim exp is missing');
    const now = clock.now();
    if (exp * 1000 <= now) return { kind: 'refused', code: 'TOKEN_EXPIRED', detail: 'the token has expired' };
    if (nbf !== undefined && (typeof nbf !== 'number' || nbf * 1000 > now)) return refuse('the token is not valid yet');
    // ROLES has just been asked.
    return { kind: 'caller', caller: { userId: sub, role: role as Role }, expiresAtMs: exp * 1000 };
  }

  return {
    verify(token) {
      if (token.length > TOKEN_LENGTH_MAX) return refuse('the token is too long');
      const first = token.indexOf('.');
      const second = token.indexOf('.', first + 1);
      if (first <= 0 || second < 0 || token.indexOf('.', second + 1) >= 0) return refuse('this is not a JWT');
      const header = token.slice(0, first);
      if (header !== acceptedHeader) {
        if (!isAcceptableHeader(header)) return refuse('only HS256 tokens are accepted');
      }
      if (!isSigned(token.slice(0, second), token.slice(second + 1))) return refuse('the signature does not match');
      acceptedHeader = header;
      return readClaims(token.slice(first + 1, second));
    },
  };
}

/** The token of an `Authorization` header; undefined when there is none of the Bearer scheme. */
export function bearerToken(authorization: string | undefined): string | undefined {
  if (authorization === undefined || authorization.length < 8) return undefined;
  if (authorization.slice(0, 7).toLowerCase() !== 'bearer ') return undefined;
  return authorization.slice(7).trim();
}

export function isAllowed(access: Access, caller: Caller | undefined): boolean {
  switch (access) {
    case 'public':
      return true;
    case 'user':
      return caller !== undefined;
    case 'admin':
      return caller?.role === 'ADMIN';
    case 'internal':
      return caller?.role === 'ADMIN' || caller?.role === 'INTERNAL';
  }
}
