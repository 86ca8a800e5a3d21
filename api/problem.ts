// Turns what was thrown into the one shape of an error: RFC 9457 members, those of the seed, and ours (`code`, `requestId`).
// Decides nothing about what is logged or measured; dispatch and sockets do.
import { STATUS_CODES } from 'node:http';
import { createInstantWriter } from '../core/clock.ts';
import { CodedError, type ErrorCode, ERRORS, fault, type FieldError } from '../core/errors.ts';
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
  /** JSON. */
  body: string;
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

interface Wording {
  /** What every answer of the code says, as pieces of JSON: before the detail, and after the timestamp. */
  head: string;
  tail: string;
  title: string;
}

const wordings = new Map<ErrorCode, Wording>();
const writeInstant = createInstantWriter();

function wordingOf(code: ErrorCode): Wording {
  const known = wordings.get(code);
  if (known !== undefined) return known;
  const { status, title } = ERRORS[code];
  const head = JSON.stringify({ type: `urn:doorbuster:error:${code}`, title, status });
  const tail = JSON.stringify({ error: STATUS_CODES[status] ?? title, code });
  const wording = { head: head.slice(0, -1), tail: tail.slice(1, -1), title: JSON.stringify(title) };
  wordings.set(code, wording);
  return wording;
}

/** Put together from pieces: a sold-out crowd gets nothing else, and to make an object of eleven members of each is a tenth of the door. */
export function toProblem(cause: Cause, path: string, requestId: string, nowMs: number): Problem {
  const { status } = ERRORS[cause.code];
  const { head, tail, title } = wordingOf(cause.code);
  const detail = cause.detail ? JSON.stringify(cause.detail) : title;
  const place = JSON.stringify(path);
  const retryAfterSeconds = retryAfter(cause, status);
  let body = `${head},"detail":${detail},"instance":${place},"timestamp":"${writeInstant(nowMs)}",${tail}`;
  body += `,"message":${detail},"path":${place},"requestId":${JSON.stringify(requestId)}`;
  if (cause.fields !== undefined) body += `,"fields":${JSON.stringify(cause.fields)}`;
  if (retryAfterSeconds !== undefined) body += `,"retryAfterSeconds":${retryAfterSeconds}`;
  for (const [name, value] of Object.entries(cause.members ?? {})) {
    if (value !== undefined) body += `,${JSON.stringify(name)}:${JSON.stringify(value)}`;
  }
  return { status, retryAfterSeconds, body: `${body}}` };
}
