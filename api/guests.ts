// Guests: a token for whoever looks at the live page of a local start, so that one can buy without an account.
// In production there are none: the endpoint answers as if it did not exist.
import type { Clock } from '../core/clock.ts';
import { GUEST_BURST, GUEST_RATE_PER_SECOND, GUEST_TOKEN_SECONDS, RATE_BUCKETS_MAX } from '../core/constants.ts';
import { fault } from '../core/errors.ts';
import { randomId } from '../core/ids.ts';
import { defineRoute, type Route } from '../shop/route.ts';
import { networkOf } from './client-address.ts';
import { createRateLimit } from './rate-limit.ts';
import type { RateShare } from './rate-share.ts';
import { createTokenIssuer } from './tokens.ts';
import { guestReplySchema } from './wire.ts';

export interface GuestOptions {
  jwtSecret: string;
  isProduction: boolean;
  clock: Clock;
  share?: RateShare | undefined;
}

export function guestRoutes(options: GuestOptions): Route[] {
  const { clock, isProduction, share } = options;
  const issueToken = createTokenIssuer(options.jwtSecret, clock);
  const limit = createRateLimit({
    name: 'guest',
    ratePerSecond: GUEST_RATE_PER_SECOND,
    burst: GUEST_BURST,
    maxBuckets: RATE_BUCKETS_MAX,
    clock,
    share,
  });

  const create = defineRoute({
    method: 'POST',
    path: '/api/v1/guests',
    summary: 'A guest with a token, outside production only',
    tag: 'Guests',
    access: 'public',
    replies: { 201: { description: 'The guest', schema: guestReplySchema } },
    errors: ['NOT_FOUND', 'RATE_LIMITED'],
    async handle({ address }) {
      if (isProduction) throw fault('NOT_FOUND', 'there is nothing at this address');
      const waitSeconds = limit.take(networkOf(address));
      if (waitSeconds > 0) throw fault('RATE_LIMITED', 'too many guests', { retryAfterSeconds: waitSeconds });
      const userId = randomId('u_guest');
      const token = await issueToken({ userId, role: 'USER' }, GUEST_TOKEN_SECONDS);
      return { status: 201, body: { token, userId, expiresIn: GUEST_TOKEN_SECONDS } };
    },
  });

  return [create];
}
