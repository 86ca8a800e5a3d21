// Shapes answers: the headers that every one carries (security-headers.ts, request id) and the two kinds of body.
import type { RouteReply } from '../shop/route.ts';
import type { Answer } from './arrival.ts';
import { type Cause, PROBLEM_TYPE, toProblem } from './problem.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
const TEXT_TYPE = 'text/plain; charset=utf-8';

/** One header, behind others. */
export const headerLine = (name: string, value: string): string => `\r\n${name}: ${value}`;

const JSON_LINE = headerLine('content-type', JSON_TYPE);
const PROBLEM_LINE = headerLine('content-type', PROBLEM_TYPE);

/** A page of ours brings the headers that it needs; see page.ts. */
const isDocument = (contentType: string): boolean => contentType.startsWith('text/html');

function linesOf(headers: Record<string, string> | undefined): string {
  let lines = '';
  if (headers === undefined) return lines;
  for (const name of Object.keys(headers)) lines += headerLine(name, headers[name] ?? '');
  return lines;
}

export function answerReply({ status, text, body, contentType, headers }: RouteReply, requestId: string): Answer {
  const lines = linesOf(headers);
  if (text === undefined && body === undefined) return { status, isApi: true, requestId, lines, body: '' };
  const content = text ?? JSON.stringify(body);
  const type = contentType ?? (text === undefined ? JSON_TYPE : TEXT_TYPE);
  // What nearly all answers are.
  if (type === JSON_TYPE) return { status, isApi: true, requestId, lines: lines + JSON_LINE, body: content };
  const isApi = !isDocument(type);
  return { status, isApi, requestId, lines: lines + headerLine('content-type', type), body: content };
}

export function answerProblem(cause: Cause, path: string, requestId: string, nowMs: number): Answer {
  const { status, body, retryAfterSeconds } = toProblem(cause, path, requestId, nowMs);
  let lines = PROBLEM_LINE;
  if (retryAfterSeconds !== undefined) lines += headerLine('retry-after', String(retryAfterSeconds));
  if (status === 401) lines += headerLine('www-authenticate', 'Bearer');
  return { status, isApi: true, requestId, lines, body };
}

/** CORS asks before it calls. */
export function answerPreflight(allowed: readonly string[], requestId: string): Answer {
  const lines = linesOf({
    allow: allowed.join(', '),
    'access-control-allow-methods': allowed.join(', '),
    'access-control-allow-headers': 'Authorization, Content-Type, Idempotency-Key, X-Request-Id',
    'access-control-max-age': '86400',
  });
  return { status: 204, isApi: true, requestId, lines, body: '' };
}
