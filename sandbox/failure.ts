// Stripe's error format: {error:{type, code, message, param, …}} with its status. Thrown by the verbs, answered by the
// server. `isStored` says whether an idempotency key remembers it: Stripe keeps the answer once the work has begun.
import type { Answer, Intent } from './wire.ts';

export interface FailureBody {
  type: 'api_error' | 'card_error' | 'idempotency_error' | 'invalid_request_error' | 'rate_limit_error';
  message: string;
  code?: string;
  decline_code?: string;
  param?: string;
  charge?: string;
  payment_intent?: Intent;
}

export class Failure extends Error {
  readonly status: number;
  readonly body: FailureBody;
  readonly isStored: boolean;

  constructor(status: number, body: FailureBody, isStored = false) {
    super(body.message);
    this.status = status;
    this.body = body;
    this.isStored = isStored;
  }

  toAnswer(): Answer {
    // The SDK asks this header before it retries: a stored 500 would only be replayed to it.
    const headers: Record<string, string> =
      this.isStored && this.status >= 500 ? { 'stripe-should-retry': 'false' } : {};
    return { status: this.status, body: { error: this.body }, headers };
  }
}

export function missingObject(kind: string, id: string, param = 'intent'): Failure {
  return new Failure(404, {
    type: 'invalid_request_error',
    code: 'resource_missing',
    message: `No such ${kind}: '${id}'`,
    param,
  });
}

export function invalidParameter(code: string, param: string, message: string): Failure {
  return new Failure(400, { type: 'invalid_request_error', code, message, param });
}

export function unexpectedState(intent: Intent, message: string): Failure {
  const body = { code: 'payment_intent_unexpected_state', message, payment_intent: intent } as const;
  return new Failure(400, { type: 'invalid_request_error', ...body }, true);
}

/** The failures that POST /sandbox/behavior plants. 5xx are stored under the key as Stripe does; 429 and 409 are not. */
export function plantedFailure(status: number): Failure {
  if (status === 429) {
    const message = 'Too many requests hit the API too quickly.';
    return new Failure(429, { type: 'rate_limit_error', code: 'rate_limit', message });
  }
  if (status === 409) {
    const message = 'There is currently another in-progress request using this Idempotent Key.';
    return new Failure(409, { type: 'idempotency_error', code: 'idempotency_key_in_use', message });
  }
  if (status < 500) {
    return new Failure(status, { type: 'invalid_request_error', message: 'A failure that was asked for.' }, true);
  }
  return new Failure(status, { type: 'api_error', message: 'A failure that was asked for.' }, true);
}
