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

/** What a crowd's answers have in common: of one code, about one place, with the same members. */
interface Frame {
  readonly code: ErrorCode;
  readonly detail: string | undefined;
  readonly path: string;
  readonly members: Cause['members'];
  /** Before the timestamp, between it and the request's id, and after what only some have. */
  readonly before: string;
  readonly between: string;
  readonly after: string;
}

function frameOf({ code, detail, members }: Cause, path: string): Frame {
  const { head, tail, title } = wordingOf(code);
  const told = detail ? JSON.stringify(detail) : title;
  const place = JSON.stringify(path);
  const before = `${head},"detail":${told},"instance":${place},"timestamp":"`;
  const between = `",${tail},"message":${told},"path":${place},"requestId":"`;
  let after = '';
  for (const [name, value] of Object.entries(members ?? {})) {
    if (value !== undefined) after += `,${JSON.stringify(name)}:${JSON.stringify(value)}`;
  }
  return { code, detail, path, members, before, between, after: `${after}}` };
}

let last: Frame | undefined;

/**
 * Put together from pieces: a sold-out crowd gets nothing else, and to make an object of eleven members of each is a tenth of the
 * door. `requestId` has no character that JSON would escape (input.ts). Whoever gives the same object as `members` again means the
 * same members.
 */
export function toProblem(cause: Cause, path: string, requestId: string, nowMs: number): Problem {
  const { code, detail, members, fields } = cause;
  const isSame = last?.code === code && last.detail === detail && last.members === members && last.path === path;
  const frame = isSame && last !== undefined ? last : (last = frameOf(cause, path));
  const { status } = ERRORS[code];
  const retryAfterSeconds = retryAfter(cause, status);
  let body = `${frame.before}${writeInstant(nowMs)}${frame.between}${requestId}"`;
  if (fields !== undefined) body += `,"fields":${JSON.stringify(fields)}`;
  if (retryAfterSeconds !== undefined) body += `,"retryAfterSeconds":${retryAfterSeconds}`;
  return { status, retryAfterSeconds, body: body + frame.after };
}
