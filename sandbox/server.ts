// The sandbox's door: HTTP, authorization with the secret key (or a publishable key and a client secret), CORS for pages,
// idempotency keys and planted failures around the endpoints. What a payment is, is decided elsewhere.
import { createHash, timingSafeEqual } from 'node:crypto';
import http from 'node:http';
import { sleep } from '../core/clock.ts';
import { randomId } from '../core/ids.ts';
import type { Account } from './account.ts';
import type { Behavior, BehaviorControl, Unanswered } from './behavior.ts';
import type { ApiRequest } from './endpoints.ts';
import { Failure } from './failure.ts';
import { canonicalForm, parseForm } from './form.ts';
import type { Journal } from './journal.ts';
import { behaviorBody } from './wire.ts';
import type { Answer, BehaviorBody } from './wire.ts';

const MAX_BODY_BYTES = 64 * 1024;
const CORS = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, POST, OPTIONS',
  'access-control-allow-headers': 'authorization, content-type, idempotency-key, stripe-version, stripe-account',
  'access-control-expose-headers': 'request-id',
  'access-control-max-age': '86400',
};

export interface Door {
  secretKey: string;
  account: Account;
  behavior: BehaviorControl;
  journal: Journal;
  handle(request: ApiRequest): Answer;
  behave(body: BehaviorBody): Behavior;
  state(): unknown;
}

export function createServer(door: Door): http.Server {
  const server = http.createServer((request, response) => {
    const requestId = randomId('req_');
    answerRequest(door, request, requestId)
      .catch((error: unknown): Answer => {
        if (error instanceof Failure) return error.toAnswer();
        return { status: 500, body: { error: { type: 'api_error', message: 'An error inside the sandbox.' } } };
      })
      .then((answer) => {
        if (answer === 'cut') request.socket.destroy();
        else if (answer !== 'silent') respond(response, requestId, answer);
      })
      .catch(() => request.socket.destroy());
  });
  server.keepAliveTimeout = 60_000;
  return server;
}

async function answerRequest(
  door: Door,
  request: http.IncomingMessage,
  requestId: string,
): Promise<Answer | Unanswered> {
  const method = request.method ?? 'GET';
  const url = new URL(request.url ?? '/', 'http://sandbox');
  if (method === 'OPTIONS') return { status: 204, body: undefined };
  if (url.pathname === '/livez') return { status: 200, body: { status: 'ok' } };
  const text = await readBody(request);
  if (url.pathname.startsWith('/sandbox/')) return control(door, request, method, url.pathname, text);
  const form = parseForm(method === 'POST' ? text : url.search.slice(1));
  const isPublic = authorize(door.secretKey, request, form.get('key'));
  const idempotencyKey = header(request, 'idempotency-key') ?? null;
  const cause = { requestId, idempotencyKey };
  const apiRequest: ApiRequest = { method, path: url.pathname, form, cause, isPublic };
  const answer =
    method === 'POST' && idempotencyKey !== null ? once(door, apiRequest, idempotencyKey) : tried(door, apiRequest);
  await door.journal.flushed();
  const { answerDelayMs } = door.behavior.current;
  if (answerDelayMs > 0) await sleep(answerDelayMs);
  return answer;
}

/** The first answer to a key is the answer: also when it was a failure that came after the work had begun. */
function once(door: Door, request: ApiRequest, key: string): Answer | Unanswered {
  const digest = createHash('sha256').update(`${request.method} ${request.path} ${canonicalForm(request.form)}`);
  const print = digest.digest('base64url');
  const known = door.account.answers.get(key);
  if (known === undefined) return tried(door, request, (answer) => door.account.remember({ id: key, print, answer }));
  if (known.print !== print) {
    const message = `Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '${key}' if you meant to execute a different request.`;
    throw new Failure(400, { type: 'idempotency_error', message });
  }
  return { ...known.answer, headers: { ...known.answer.headers, 'idempotent-replayed': 'true' } };
}

function tried(door: Door, request: ApiRequest, remember: (answer: Answer) => void = () => {}): Answer | Unanswered {
  const planted = door.behavior.takeFailure(request.method, request.path);
  if (planted !== undefined && !planted.afterWork) {
    if (planted.unanswered !== undefined) return planted.unanswered;
    if (planted.failure.isStored) remember(planted.failure.toAnswer());
    return planted.failure.toAnswer();
  }
  let answer: Answer;
  try {
    answer = door.handle(request);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    answer = error.toAnswer();
    if (error.isStored) remember(answer);
    return answer;
  }
  // A cut connection loses the answer on its way; the key still has it. A 5xx instead of the answer is what is kept.
  const given = planted === undefined || planted.unanswered !== undefined ? answer : planted.failure.toAnswer();
  remember(given);
  return planted?.unanswered ?? given;
}

/** True when the caller is a page with a publishable key; false for the merchant; throws for anybody else. */
function authorize(secretKey: string, request: http.IncomingMessage, formKey: string | undefined): boolean {
  const [scheme, value = ''] = (header(request, 'authorization') ?? '').split(' ', 2);
  const basic = () => Buffer.from(value, 'base64').toString('utf8').split(':', 1)[0] ?? '';
  const key = scheme?.toLowerCase() === 'basic' ? basic() : value !== '' ? value : (formKey ?? '');
  if (key.startsWith('pk_')) return true;
  const hash = (text: string) => createHash('sha256').update(text).digest();
  if (key !== '' && timingSafeEqual(hash(key), hash(secretKey))) return false;
  const message = key === '' ? 'You did not provide an API key.' : `Invalid API Key provided: ${key.slice(0, 8)}****`;
  throw new Failure(401, { type: 'invalid_request_error', message });
}

/** POST /sandbox/behavior and GET /sandbox/state: for this machine, or with the secret key. */
function control(door: Door, request: http.IncomingMessage, method: string, path: string, text: string): Answer {
  const address = request.socket.remoteAddress ?? '';
  const isLocal = address === '127.0.0.1' || address === '::1' || address === '::ffff:127.0.0.1';
  if (!isLocal) authorize(door.secretKey, request, undefined);
  if (method === 'GET' && path === '/sandbox/state') return { status: 200, body: door.state() };
  if (method !== 'POST' || path !== '/sandbox/behavior') {
    throw new Failure(404, { type: 'invalid_request_error', message: `No ${method} ${path} here.` });
  }
  const parsed = behaviorBody.safeParse(parseJson(text));
  if (parsed.success) return { status: 200, body: door.behave(parsed.data) };
  const message = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ');
  throw new Failure(400, { type: 'invalid_request_error', message });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Failure(400, { type: 'invalid_request_error', message: 'The body is not JSON.' });
  }
}

async function readBody(request: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) throw new Failure(413, { type: 'invalid_request_error', message: 'Too large.' });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function respond(response: http.ServerResponse, requestId: string, answer: Answer): void {
  const body = answer.body === undefined ? '' : JSON.stringify(answer.body);
  const length = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  response.writeHead(answer.status, { ...CORS, ...length, 'request-id': requestId, ...answer.headers });
  response.end(body);
}

function header(request: http.IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
