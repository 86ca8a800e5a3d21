// Turns what was thrown into the one shape of an error: RFC 9457 members, those of the seed, and ours (`code`, `requestId`).
// Decides nothing about what is logged or measured; dispatch and sockets do.
import { STATUS_CODES } from 'node:http';
import { CodedError, ERRORS, fault, type FieldError } from '../core/errors.ts';
import { isInfrastructureError } from '../core/postgres/postgres.ts';
import type { Refusal } from '../shop/route.ts';

export const PROBLEM_TYPE = 'application/problem+json';
/** For a 429 or 503 that names no time itself. */
const DEFAULT_RETRY_AFTER_SECONDS = 1;
/** Class 22 of Postgres, data exception: a value that no schema refused but the database did. */
const POSTGRES_DATA_EXCEPTION = /^22\w{3}$/;

export interface Problem {
  status: number;
  retryAfterSeconds: number | undefined;
  body: Record<string, unknown>;
}

/** Whatever was thrown, as a fault of the catalogue. What is not foreseen is INTERNAL, with the cause attached. */
export function toFault(error: unknown): CodedError {
  // Whoever raised INTERNAL wrote for the log: scripts and keys are nobody else's business.
  if (error instanceof CodedError && error.code !== 'INTERNAL') return error;
  if (isInfrastructureError(error)) {
    return fault('UNAVAILABLE', 'a database is not reachable right now', { retryAfterSeconds: 1, cause: error });
  }
  if (isDataException(error)) return fault('BAD_REQUEST', 'a value cannot be stored', { cause: error });
  return fault('INTERNAL', 'something unforeseen happened; the request id finds it in the log', { cause: error });
}

function isDataException(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('code' in error)) return false;
  return typeof error.code === 'string' && POSTGRES_DATA_EXCEPTION.test(error.code);
}

/** A fault that was thrown, or a refusal that was returned. */
export type Cause = Refusal & { fields?: readonly FieldError[] | undefined };

/** Every 429 and 503 says when to come back. */
function retryAfter({ retryAfterSeconds }: Cause, status: number): number | undefined {
  if (retryAfterSeconds !== undefined) return Math.max(1, Math.ceil(retryAfterSeconds));
  return status === 429 || status === 503 ? DEFAULT_RETRY_AFTER_SECONDS : undefined;
}

export function toProblem(cause: Cause, path: string, requestId: string, nowMs: number): Problem {
  const { status, title } = ERRORS[cause.code];
  const detail = cause.detail || title;
  const retryAfterSeconds = retryAfter(cause, status);
  const body: Record<string, unknown> = {
    type: `urn:doorbuster:error:${cause.code}`,
    title,
    status,
    detail,
    instance: path,
    timestamp: new Date(nowMs).toISOString(),
    error: STATUS_CODES[status] ?? title,
    message: detail,
    path,
    code: cause.code,
    requestId,
  };
  if (cause.fields !== undefined) body['fields'] = cause.fields;
  if (retryAfterSeconds !== undefined) body['retryAfterSeconds'] = retryAfterSeconds;
  return { status, retryAfterSeconds, body: cause.members === undefined ? body : Object.assign(body, cause.members) };
}
