// Shapes answers: the headers that every one carries (security-headers.ts, request id) and the two kinds of body.
import type { RouteReply } from '../shop/route.ts';
import type { Answer } from './arrival.ts';
import { type Cause, PROBLEM_TYPE, toProblem } from './problem.ts';

type Header = Answer['headers'][number];

const JSON_TYPE: Header = ['content-type', 'application/json; charset=utf-8'];
const PROBLEM: Header = ['content-type', PROBLEM_TYPE];
const TEXT_TYPE = 'text/plain; charset=utf-8';

/** A page of ours brings the headers that it needs; see page.ts. */
const isDocument = (reply: RouteReply): boolean => reply.contentType?.startsWith('text/html') === true;

export function answerReply(reply: RouteReply, requestId: string): Answer {
  const isApi = !isDocument(reply);
  const headers: Header[] = [['x-request-id', requestId]];
  if (reply.headers !== undefined) headers.push(...Object.entries(reply.headers));
  if (reply.text !== undefined) {
    headers.push(['content-type', reply.contentType ?? TEXT_TYPE]);
    return { status: reply.status, isApi, headers, body: reply.text };
  }
  if (reply.body === undefined) return { status: reply.status, isApi, headers, body: '' };
  headers.push(reply.contentType === undefined ? JSON_TYPE : ['content-type', reply.contentType]);
  return { status: reply.status, isApi, headers, body: JSON.stringify(reply.body) };
}

export function answerProblem(cause: Cause, path: string, requestId: string, nowMs: number): Answer {
  const problem = toProblem(cause, path, requestId, nowMs);
  const headers: Header[] = [['x-request-id', requestId], PROBLEM];
  if (problem.retryAfterSeconds !== undefined) headers.push(['retry-after', String(problem.retryAfterSeconds)]);
  if (problem.status === 401) headers.push(['www-authenticate', 'Bearer']);
  return { status: problem.status, isApi: true, headers, body: problem.body };
}

/** CORS asks before it calls. */
export function answerPreflight(allowed: readonly string[], requestId: string): Answer {
  const headers: Header[] = [['x-request-id', requestId]];
  headers.push(['allow', allowed.join(', ')]);
  headers.push(['access-control-allow-methods', allowed.join(', ')]);
  headers.push(['access-control-allow-headers', 'Authorization, Content-Type, Idempotency-Key, X-Request-Id']);
  headers.push(['access-control-max-age', '86400']);
  return { status: 204, isApi: true, headers, body: '' };
}
