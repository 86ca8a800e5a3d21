// The way of every HTTP request, one stage after the other: route, caller, rate, headers, body, handler, answer.
// `begin` needs only the head and refuses before a byte of the body is read; `finish` never throws.
import type { Clock } from '../core/clock.ts';
import { type CodedError, fault } from '../core/errors.ts';
import { randomId } from '../core/ids.ts';
import { keepLast } from '../core/last-made.ts';
import { Later } from '../core/later.ts';
import type { Log } from '../core/log.ts';
import type { Caller, RequestContext, Route, RouteReply } from '../shop/route.ts';
import { countAnswer, observeDuration } from './door-metrics.ts';
import { answerProblem, answerPreflight, answerReply, headerLine } from './answers.ts';
import type { Admitted, Answer, Arrival, Begun, Unread } from './arrival.ts';
import { bearerToken, isAllowed } from './auth.ts';
import type { Gatekeeper } from './gatekeeper.ts';
import { createBodyReader } from './body-reader.ts';
import { isJsonType, parseQuery, readIdempotencyKey, readRequestId, validate } from './input.ts';
import { BODY_LIMIT_BYTES, REQUEST_DEADLINE_MS } from '../core/constants.ts';
import { toFault } from './problem.ts';
import { createRouteTable } from './route-table.ts';

const NO_BODY = Buffer.alloc(0);

export interface Dispatcher {
  begin(arrival: Arrival): Begun;
  /**
   * The answer, where the handler answers at once: a crowd that hears "sold out" waits for nothing. Else undefined, and `later` is
   * called with it and the time, once. `body` is read before it returns.
   */
  finish(
    admitted: Admitted,
    body: Buffer,
    later: (answer: Answer, now: number) => void,
    now?: number,
  ): Answer | undefined;
  /** For what only the server sees: a body too large or too slow, a handler that is overdue. */
  refuse(admitted: Admitted, code: 'BODY_TOO_LARGE' | 'REQUEST_TIMEOUT' | 'OUTCOME_UNKNOWN', detail: string): Answer;
  /** For what is turned away unread. Says so cheaply: no fault is made, since nothing was looked at that could be wrong. */
  shed(path: string, retryAfterSeconds: number): Answer;
  /** From now on every new request is sent elsewhere (SHUTTING_DOWN). */
  stop(): void;
}

export interface DispatcherDependencies {
  routes: readonly Route[];
  gatekeeper: Gatekeeper;
  clock: Clock;
  log: Log;
}

const NO_HEADERS: RequestContext['headers'] = { get: () => undefined };

function readHeaders(route: Route, arrival: Arrival): RequestContext['headers'] {
  if (route.headers.length === 0) return NO_HEADERS;
  const values = new Map<string, string>();
  for (const name of route.headers) {
    const value = arrival.header(name);
    if (value !== '') values.set(name, value);
  }
  return { get: (name) => values.get(name.toLowerCase()) };
}

const CONTENT_LENGTH = /^\d{1,15}$/;
/** NaN for what is no length. A crowd's bodies have a few. */
const lengthOf = keepLast((header: string) => (CONTENT_LENGTH.test(header) ? Number(header) : Number.NaN));

/** Whoever reads a length differently from us sees another request begin inside this one's body. */
function unclear(field: string, message: string): CodedError {
  return fault('BAD_REQUEST', `${field} ${message}`, { fields: [{ field, message }] });
}

/** Refuses by headers alone; answers whether a body follows. */
function checkBodyHead(route: Route, arrival: Arrival): boolean {
  const length = arrival.header('content-length');
  const encoding = arrival.header('transfer-encoding');
  if (length !== '' && Number.isNaN(lengthOf(length))) throw unclear('Content-Length', 'must be one number');
  if (encoding !== '' && encoding.toLowerCase() !== 'chunked') throw unclear('Transfer-Encoding', 'must be chunked');
  const hasBody = (length !== '' && length !== '0') || encoding !== '';
  if (route.bodyKind === 'none') return hasBody;
  if (length !== '' && lengthOf(length) > BODY_LIMIT_BYTES)
    throw fault('BODY_TOO_LARGE', `the limit is ${BODY_LIMIT_BYTES} bytes`);
  if (route.bodyKind === 'json' && hasBody && !isJsonType(arrival.header('content-type'))) {
    throw fault('UNSUPPORTED_MEDIA_TYPE', 'the body must be application/json');
  }
  return hasBody;
}

export function createDispatcher(dependencies: DispatcherDependencies): Dispatcher {
  const { gatekeeper, clock, log } = dependencies;
  const table = createRouteTable(dependencies.routes);
  // A request id costs no randomness each: this process's own prefix, and a count.
  const idPrefix = randomId('req_');
  let requests = 0;
  let isStopping = false;
  const readJson = createBodyReader();
  let lastRead: { from: unknown; params: unknown } = { from: undefined, params: undefined };

  function nextRequestId(arrival: Arrival): string {
    requests += 1;
    const own = arrival.header('x-request-id');
    return (own === '' ? undefined : readRequestId(own)) ?? `${idPrefix}-${requests}`;
  }

  function answerError(error: unknown, path: string, requestId: string, routeName: string): Answer {
    const coded = toFault(error);
    if (coded.code === 'INTERNAL')
      log.error({ requestId, route: routeName, err: coded.cause ?? coded }, 'request failed');
    countAnswer(routeName, coded.status);
    return answerProblem(coded, path, requestId, clock.now());
  }

  function admit(
    arrival: Arrival,
    route: Route,
    params: Readonly<Record<string, string>>,
    requestId: string,
  ): Admitted {
    const token = bearerToken(arrival.header('authorization'));
    // Read once: the clock is a call out of JavaScript.
    const startedAt = clock.now();
    const caller: Caller | undefined = gatekeeper.identify(token, route.access, arrival, startedAt);
    if (!isAllowed(route.access, caller)) throw fault('FORBIDDEN', 'your role does not allow this');
    gatekeeper.admit(caller, arrival, route.path, startedAt);
    const request: Unread = {
      caller,
      idempotencyKey: readIdempotencyKey(arrival.header('idempotency-key')),
      rawBody: NO_BODY,
      headers: readHeaders(route, arrival),
      path: arrival.path,
      address: route.access === 'public' ? arrival.address : '',
      requestId,
      deadlineAt: startedAt + REQUEST_DEADLINE_MS,
      isAbandoned: undefined,
      params: undefined,
      query: undefined,
      body: undefined,
    };
    const hasBody = checkBodyHead(route, arrival);
    const query = route.query === undefined ? '' : arrival.query;
    return { kind: 'admitted', route, params, query, request, hasBody, startedAt };
  }

  function readBody(route: Route, bytes: Buffer): unknown {
    if (route.bodyKind !== 'json' || route.body === undefined) return undefined;
    if (bytes.length > 0) return readJson(route, route.body, bytes);
    if (route.isBodyOptional) return validate(route.body, {}, 'body');
    throw fault('INVALID_JSON', 'a JSON body is required');
  }

  function readParams(route: Route, params: Readonly<Record<string, string>>): unknown {
    if (route.params === undefined) return undefined;
    // The table gives the same object for the same path.
    if (lastRead.from === params) return lastRead.params;
    const result = route.params.safeParse(params);
    // What cannot be the name of anything names nothing.
    if (!result.success) throw fault('NOT_FOUND', 'there is nothing at this address');
    lastRead = { from: params, params: Object.freeze(result.data) };
    return result.data;
  }

  function handle(admitted: Admitted, bytes: Buffer, now: number): ReturnType<Route['handle']> {
    const { route, request, params, query } = admitted;
    request.deadlineAt = now + REQUEST_DEADLINE_MS;
    // The bytes are the server's own after this call; a handler that wants them keeps them for longer.
    if (route.bodyKind === 'raw') request.rawBody = Buffer.from(bytes);
    request.params = readParams(route, params);
    if (route.query !== undefined) request.query = validate(route.query, parseQuery(query), 'query');
    request.body = readBody(route, bytes);
    return route.handle(request);
  }

  function answer({ route, request, startedAt }: Admitted, reply: RouteReply, now: number): Answer {
    countAnswer(route.path, reply.status);
    observeDuration(route.path, now - startedAt);
    if (reply.refusal !== undefined) return answerProblem(reply.refusal, request.path, request.requestId, now);
    return answerReply(reply, request.requestId);
  }

  function fail({ route, request, startedAt }: Admitted, error: unknown): Answer {
    observeDuration(route.path, clock.now() - startedAt);
    return answerError(error, request.path, request.requestId, route.path);
  }

  function answerSafely(admitted: Admitted, reply: RouteReply, now: number): Answer {
    try {
      return answer(admitted, reply, now);
    } catch (error) {
      return fail(admitted, error);
    }
  }

  return {
    begin(arrival) {
      const requestId = nextRequestId(arrival);
      const match = table.find(arrival.method, arrival.path);
      try {
        if (isStopping) throw fault('SHUTTING_DOWN');
        if (match.kind === 'unknown') throw fault('NOT_FOUND', 'there is nothing at this address');
        if (match.kind === 'route') return admit(arrival, match.route, match.params, requestId);
        if (arrival.method === 'OPTIONS') {
          return { kind: 'answered', answer: answerPreflight(match.allowed, requestId) };
        }
        throw fault('METHOD_NOT_ALLOWED', `allowed here: ${match.allowed.join(', ')}`);
      } catch (error) {
        const routeName = match.kind === 'route' ? match.route.path : match.kind;
        const answer = answerError(error, arrival.path, requestId, routeName);
        if (match.kind === 'other-method') answer.lines += headerLine('allow', match.allowed.join(', '));
        return { kind: 'answered', answer };
      }
    },

    finish(admitted, body, later, now = clock.now()) {
      try {
        const reply = handle(admitted, body, now);
        if (!(reply instanceof Promise || reply instanceof Later)) return answerSafely(admitted, reply, now);
        // Neither of both throws, so nothing is left of this promise.
        const told = (late: RouteReply): void => {
          const at = clock.now();
          later(answerSafely(admitted, late, at), at);
        };
        const failed = (error: unknown): void => later(fail(admitted, error), clock.now());
        if (reply instanceof Later) reply.listen({ told, failed });
        else void reply.then(told, failed);
        return undefined;
      } catch (error) {
        return fail(admitted, error);
      }
    },

    refuse({ request, route }, code, detail) {
      const options = code === 'OUTCOME_UNKNOWN' ? { retryAfterSeconds: 1 } : {};
      return answerError(fault(code, detail, options), request.path, request.requestId, route.path);
    },

    shed(path, retryAfterSeconds) {
      requests += 1;
      countAnswer('shed', 503);
      const cause = { code: isStopping ? 'SHUTTING_DOWN' : 'OVERLOADED', retryAfterSeconds } as const;
      return answerProblem(cause, path, `${idPrefix}-${requests}`, clock.now());
    },

    stop() {
      isStopping = true;
    },
  };
}
