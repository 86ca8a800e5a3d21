// Turns what was thrown into the one shape of an error: RFC 9457 members, those of the seed, and ours (`code`, `requestId`).
// Decides nothing about what is logged or measured; dispatch and sockets do.
import { STATUS_CODES } from 'node:http';
import { CodedError, ERRORS, fault } from '../core/errors.ts';
import { isInfrastructureError } from '../core/postgres/postgres.ts';

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
  if (error instanceof CodedError) return error;
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

/** Whether an answer of this status says when to come back. */
function retryAfter(error: CodedError): number | undefined {
  if (error.retryAfterSeconds !== undefined) return Math.max(1, Math.ceil(error.retryAfterSeconds));
  return error.status === 429 || error.status === 503 ? DEFAULT_RETRY_AFTER_SECONDS : undefined;
}

export function toProblem(error: CodedError, path: string, requestId: string, nowMs: number): Problem {
  const title = ERRORS[error.code].title;
  const detail = error.detail === '' ? title : error.detail;
  const retryAfterSeconds = retryAfter(error);
  const body: Record<string, unknown> = {
    type: `urn:doorbuster:error:${error.code}`,
    title,
    status: error.status,
    detail,
    instance: path,
    timestamp: new Date(nowMs).toISOString(),
    error: STATUS_CODES[error.status] ?? title,
    message: detail,
    path,
    code: error.code,
    requestId,
  };
  if (error.fields !== undefined) body['fields'] = error.fields;
  if (retryAfterSeconds !== undefined) body['retryAfterSeconds'] = retryAfterSeconds;
  return { status: error.status, retryAfterSeconds, body: { ...body, ...error.members } };
}
