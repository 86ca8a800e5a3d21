// The provider's errors, sorted by what a caller can do: nothing (refused), ask under a new key (again), or ask the same later.
import Stripe from 'stripe';
import { fault, messageOf } from '../../core/errors.ts';

/**
 * 4xx about this request: final. A 5xx may be kept under the key, and a key may have served other parameters: again. All else
 * (a limit, a lost connection, another call under this key that is under way: 409) is asked for later, as it is.
 */
export function judge(error: unknown): 'refused' | 'again' | 'later' {
  if (!(error instanceof Stripe.errors.StripeError)) return 'later';
  if (error instanceof Stripe.errors.StripeIdempotencyError) return 'again';
  if (error instanceof Stripe.errors.StripeInvalidRequestError) return 'refused';
  if (error instanceof Stripe.errors.StripeCardError) return 'refused';
  return (error.statusCode ?? 0) >= 500 ? 'again' : 'later';
}

export function reasonOf(error: unknown): string {
  const code = error instanceof Stripe.errors.StripeError ? (error.code ?? error.type) : 'unknown';
  return `${code}: ${messageOf(error)}`.slice(0, 300);
}

export function unavailable(error: unknown): Error {
  return fault('UNAVAILABLE', `The payment provider did not do it: ${reasonOf(error)}`, { cause: error });
}

export function rethrow(error: unknown): never {
  throw unavailable(error);
}

/** What the provider does not have is an answer; any other failure is not. */
export function undefinedIfMissing(error: unknown): undefined {
  if (error instanceof Stripe.errors.StripeInvalidRequestError && error.code === 'resource_missing') return undefined;
  throw unavailable(error);
}
