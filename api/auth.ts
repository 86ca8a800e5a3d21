// Who is asking: synchronous HS256 verification, because an awaited one costs four fifths of the door's throughput.
// Only HS256 is ever accepted, whatever a token's header asks for. Tokens are issued elsewhere (jose).
import { timingSafeEqual } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { readSigningKeys } from '../core/signing-keys.ts';
import type { Access, Caller, Role } from '../shop/route.ts';
import { TOKEN_HEADERS_MAX, TOKEN_LEEWAY_SECONDS, TOKEN_LENGTH_MAX } from '../core/constants.ts';
import { parsePlainClaims, parseToken } from './token-json.ts';
import { createTokenSigner } from './token-signature.ts';

export type Authentication =
  | { kind: 'caller'; caller: Caller; expiresAtMs: number }
  | { kind: 'refused'; code: 'UNAUTHENTICATED' | 'TOKEN_EXPIRED'; detail: string };

export interface Authenticator {
  /** `now` where the caller has just read the clock. */
  verify(token: string, now?: number): Authentication;
}

const SIGNATURE_LENGTH = 43;
const USER_ID = /^u_[A-Za-z0-9_-]{1,62}$/;
const ROLES: ReadonlySet<unknown> = new Set<Role>(['USER', 'ADMIN', 'INTERNAL']);
const LEEWAY_MS = TOKEN_LEEWAY_SECONDS * 1000;

const refuse = (detail: string): Authentication => ({ kind: 'refused', code: 'UNAUTHENTICATED', detail });

/** A moment of a claim in milliseconds; NaN for what is none. */
const toMs = (claim: unknown): number => (typeof claim === 'number' ? claim * 1000 : Number.NaN);

function readClaims(payload: string, now: number): Authentication {
  const claims = parsePlainClaims(payload) ?? parseToken(payload);
  if (claims === undefined) return refuse('the token has no claims');
  const { sub, role, exp, nbf, iat } = claims;
  if (typeof sub !== 'string' || !USER_ID.test(sub)) return refuse('the claim sub is not a user id');
  if (!ROLES.has(role)) return refuse('the claim role is not USER, ADMIN or INTERNAL');
  if (!Number.isFinite(toMs(exp))) return refuse('the claim exp is missing');
  // The issuer's clock and ours differ a little; the same leeway holds for every moment, and for a socket's end.
  const expiresAtMs = toMs(exp) + LEEWAY_MS;
  if (expiresAtMs <= now) return { kind: 'refused', code: 'TOKEN_EXPIRED', detail: 'the token has expired' };
  if (nbf !== undefined && !(toMs(nbf) <= now + LEEWAY_MS)) return refuse('the token is not valid yet');
  if (iat !== undefined && !(toMs(iat) <= now + LEEWAY_MS)) return refuse('the token was issued in the future');
  // ROLES has just been asked.
  return { kind: 'caller', caller: { userId: sub, role: role as Role }, expiresAtMs };
}

const [given, right] = [Buffer.alloc(2 * SIGNATURE_LENGTH), Buffer.alloc(2 * SIGNATURE_LENGTH)];

/**
 * In two bytes a character, so that no letter is taken for one with the same low byte. Comparing the encoded forms refuses the
 * other spellings that base64 has for the same bytes.
 */
function isSame(signature: string, rightOne: string): boolean {
  if (signature.length !== SIGNATURE_LENGTH) return false;
  given.write(signature, 'utf16le');
  right.write(rightOne, 'utf16le');
  return timingSafeEqual(given, right);
}

interface Key {
  sign(text: string): string;
}

/** `secrets` as in JWT_SECRET: one, or several with names. A token without a `kid` is held against the first alone. */
export function createAuthenticator(secrets: string, clock: Clock): Authenticator {
  const keys = new Map<unknown, Key>();
  for (const { id, derivedId, secret } of readSigningKeys(secrets)) {
    const key = { sign: createTokenSigner(secret, TOKEN_LENGTH_MAX) };
    if (!keys.has(undefined)) keys.set(undefined, key);
    keys.set(derivedId, key).set(id, key);
  }
  // All tokens of one issuer share one header, so each is parsed once. Only headers under a right signature get in here.
  const known = new Map<string, Key>();
  // Mostly the last one's: to compare two texts is less than to hash a fresh one.
  let last: { readonly header: string; readonly key: Key } | undefined;

  function findKey(encodedHeader: string): Key | Authentication {
    const header = parseToken(encodedHeader);
    if (header?.['alg'] !== 'HS256') return refuse('only HS256 tokens are accepted');
    // Extensions that must be understood, and are not; b64 would change what is signed.
    if (header['crit'] !== undefined || header['b64'] !== undefined) return refuse('the token has an extension');
    return keys.get(header['kid']) ?? refuse('the token names a key that is not known here');
  }

  return {
    verify(token, now = clock.now()) {
      if (token.length > TOKEN_LENGTH_MAX) return refuse('the token is too long');
      const first = token.indexOf('.');
      const second = token.indexOf('.', first + 1);
      if (first <= 0 || second < 0 || token.indexOf('.', second + 1) >= 0) return refuse('this is not a JWT');
      const header = token.slice(0, first);
      const earlier = header === last?.header ? last.key : known.get(header);
      const key = earlier ?? findKey(header);
      if ('kind' in key) return key;
      if (!isSame(token.slice(second + 1), key.sign(token.slice(0, second)))) {
        return refuse('the signature does not match');
      }
      if (earlier === undefined) {
        if (known.size >= TOKEN_HEADERS_MAX) known.clear();
        known.set(header, key);
        last = { header, key };
      }
      return readClaims(token.slice(first + 1, second), now);
    },
  };
}

/** The token of an `Authorization` header; undefined when there is none of the Bearer scheme. */
export function bearerToken(authorization: string | undefined): string | undefined {
  if (authorization === undefined || authorization.length < 8) return undefined;
  const scheme = authorization.slice(0, 7);
  if (scheme !== 'Bearer ' && scheme.toLowerCase() !== 'bearer ') return undefined;
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
