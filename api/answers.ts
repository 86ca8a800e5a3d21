// Shapes answers: the headers that every one carries (security-headers.ts, request id) and the two kinds of body.
import type { RouteReply } from '../shop/route.ts';
import type { Answer } from './arrival.ts';
import { type Cause, PROBLEM_TYPE, toProblem } from './problem.ts';
import { API_HEADERS } from './security-headers.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
const TEXT_TYPE = 'text/plain; charset=utf-8';

/** A page of ours brings the headers that it needs; see page.ts. */
const isDocument = (reply: RouteReply): boolean => reply.contentType?.startsWith('text/html') === true;

type Headers = Answer['headers'];

function baseHeaders(requestId: string): Headers {
  return [API_HEADERS, ['x-request-id', requestId]];
}

export function answerReply(reply: RouteReply, requestId: string): Answer {
  const headers: Headers = isDocument(reply) ? [['x-request-id', requestId]] : baseHeaders(requestId);
  if (reply.headers !== undefined) headers.push(...Object.entries(reply.headers));
  if (reply.text !== undefined) {
    headers.push(['content-type', reply.contentType ?? TEXT_TYPE]);
    return { status: reply.status, headers, body: reply.text };
  }
  if (reply.body === undefined) return { status: reply.status, headers, body: '' };
  headers.push(['content-type', reply.contentType ?? JSON_TYPE]);
  return { status: reply.status, headers, body: JSON.stringify(reply.body) };
}

export function answerProblem(cause: Cause, path: string, requestId: string, nowMs: number): Answer {
  const problem = toProblem(cause, path, requestId, nowMs);
  const headers = baseHeaders(requestId);
  headers.push(['content-type', PROBLEM_TYPE]);
  if (problem.retryAfterSeconds !== undefined) headers.push(['retry-after', String(problem.retryAfterSeconds)]);
  if (problem.status === 401) headers.push(['www-authenticate', 'Bearer']);
  return { status: problem.status, headers, body: problem.body };
}

/** CORS asks before it calls. */
export function answerPreflight(allowed: readonly string[], requestId: string): Answer {
  const headers = baseHeaders(requestId);
  headers.push(['allow', allowed.join(', ')]);
  headers.push(['access-control-allow-methods', allowed.join(', ')]);
  headers.push(['access-control-allow-headers', 'Authorization, Content-Type, Idempotency-Key, X-Request-Id']);
  headers.push(['access-control-max-age', '86400']);
  return { status: 204, headers, body: '' };
}
