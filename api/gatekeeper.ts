// Whom the door lets in, and how often: identity from the token; a bucket for each buyer, for each address that sends
// forged tokens, and for each that asks without one. The same for HTTP and for sockets.
import type { Clock } from '../core/clock.ts';
import { fault } from '../core/errors.ts';
import type { Access, Caller } from '../shop/route.ts';
import type { Authentication, Authenticator } from './auth.ts';
import {
  ANONYMOUS_BURST,
  ANONYMOUS_RATE_PER_SECOND,
  AUTH_FAILURE_BURST,
  AUTH_FAILURE_RATE_PER_SECOND,
  BUYER_BURST,
  BUYER_RATE_PER_SECOND,
  RATE_BUCKETS_MAX,
} from '../core/constants.ts';
import { networkOf } from './client-address.ts';
import { createRateLimit } from './rate-limit.ts';
import type { RateShare } from './rate-share.ts';

/** Where a request comes from. Asked only where it decides something, since to find it out is work. */
export interface Peer {
  readonly address: string;
}

/** `now` is the clock's, where the caller has just read it. */
export interface Gatekeeper {
  /** Throws 401 (or 429, for an address that forges too often) when the route needs a caller and there is none. */
  identify(token: string | undefined, access: Access, peer: Peer, now?: number): Caller | undefined;
  /** The same for a socket, which also needs to know when the token ends. */
  authenticate(token: string | undefined, peer: Peer): Extract<Authentication, { kind: 'caller' }>;
  /** Throws 429 when a buyer, or an address without a token, asks too often. */
  admit(caller: Caller | undefined, peer: Peer, path: string, now?: number): void;
}

/** Probes, and the provider, whose events come from few addresses and carry a signature. */
const UNLIMITED: ReadonlySet<string> = new Set(['/livez', '/readyz', '/api/v1/payments/webhook']);

export const isLimited = (path: string): boolean => !UNLIMITED.has(path);

/** Without `share` the limits are this process's own. */
export function createGatekeeper(authenticator: Authenticator, clock: Clock, share?: RateShare): Gatekeeper {
  const limit = (name: string, ratePerSecond: number, burst: number) =>
    createRateLimit({ name, ratePerSecond, burst, maxBuckets: RATE_BUCKETS_MAX, clock, share });
  const buyers = limit('buyer', BUYER_RATE_PER_SECOND, BUYER_BURST);
  const failures = limit('forger', AUTH_FAILURE_RATE_PER_SECOND, AUTH_FAILURE_BURST);
  const strangers = limit('anonymous', ANONYMOUS_RATE_PER_SECOND, ANONYMOUS_BURST);

  /** Forgeries only: a missing or an expired token is an honest client's, and many of those may share an address. */
  function forged(peer: Peer, detail: string): never {
    const waitSeconds = failures.take(networkOf(peer.address));
    if (waitSeconds === 0) throw fault('UNAUTHENTICATED', detail);
    throw fault('RATE_LIMITED', 'too many failed authentications', { retryAfterSeconds: waitSeconds });
  }

  function authenticate(
    token: string | undefined,
    peer: Peer,
    now?: number,
  ): Extract<Authentication, { kind: 'caller' }> {
    if (token === undefined) throw fault('UNAUTHENTICATED', 'a bearer token is required');
    const result = authenticator.verify(token, now);
    if (result.kind === 'caller') return result;
    if (result.code === 'TOKEN_EXPIRED') throw fault('TOKEN_EXPIRED', result.detail);
    return forged(peer, result.detail);
  }

  return {
    authenticate: (token, peer) => authenticate(token, peer),
    identify(token, access, peer, now) {
      if (access !== 'public') return authenticate(token, peer, now).caller;
      if (token === undefined) return undefined;
      const result = authenticator.verify(token, now);
      return result.kind === 'caller' ? result.caller : undefined;
    },
    admit(caller, peer, path, now) {
      // Operators and services are trusted not to click too fast.
      if (!isLimited(path) || (caller !== undefined && caller.role !== 'USER')) return;
      const waitSeconds =
        caller === undefined ? strangers.take(networkOf(peer.address), now) : buyers.take(caller.userId, now);
      if (waitSeconds > 0) throw fault('RATE_LIMITED', 'too many requests', { retryAfterSeconds: waitSeconds });
    },
  };
}
