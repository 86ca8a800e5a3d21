// The requests of this process that are not answered yet, and the answers to those that are one too many. Every exchange
// ends once: by its answer, its abort or its deadline. Knows a response only as something to write to.
import type { Clock } from '../core/clock.ts';
import {
  OVERLOAD_RETRY_AFTER_MAX_SECONDS,
  OVERLOAD_RETRY_AFTER_SECONDS,
  REQUEST_DEADLINE_MS,
  REQUEST_GRACE_MS,
  SHED_ADJUST_INTERVAL_MS,
  SHED_INTERVAL_MS,
} from '../core/constants.ts';
import type { Admitted, Answer } from './arrival.ts';
import type { Dispatcher } from './dispatch.ts';
import { pendingRequests } from './door-metrics.ts';
import { type Response, write, writeCorked } from './http-bytes.ts';
import { type Concurrency, createRejectionLane, isNewcomer, type Rejection } from './load-shedding.ts';

/** One request that is not answered yet. */
export interface Exchange {
  readonly res: Response;
  readonly isHead: boolean;
  isDone: boolean;
  isReading: boolean;
  /** When the body must be here, then when the answer must be. */
  deadlineAt: number;
  readonly admitted: Admitted;
  readonly isNewcomer: boolean;
  /** Where it stands among those that are pending; -1 afterwards. */
  place: number;
}

export interface Exchanges {
  readonly size: number;
  hasRoom(method: string, path: string): boolean;
  begin(res: Response, admitted: Admitted, method: string, deadlineAt: number, isReading: boolean): Exchange;
  settle(exchange: Exchange, answer: Answer): void;
  abandon(exchange: Exchange): void;
  /** Its body is here: answers it when the handler has. Called within the call that brought the body. */
  run(exchange: Exchange, body: Buffer): void;
  /** Turns one away, now or a little later. `mustEnd` ends the connection. */
  turnAway(res: Response, path: string, isHead: boolean, mustEnd: boolean): void;
  /** Answers in the place of whoever is overdue. */
  watch(): void;
  /** Gives held rejections, and judges how many requests may be under way. */
  beat(): void;
  /** From now on every answer ends its connection, so that the client finds another process. */
  stop(): void;
  readonly isStopping: boolean;
}

export interface ExchangesDependencies {
  dispatcher: Dispatcher;
  concurrency: Concurrency;
  clock: Clock;
}

export function createExchanges({ dispatcher, concurrency, clock }: ExchangesDependencies): Exchanges {
  // Not a set: one that many enter and leave is made anew every few hundred times.
  const pending: Exchange[] = [];
  const lane = createRejectionLane(clock);
  let isStopping = false;
  let adjustAt = 0;
  let beatAt = clock.now();
  /** How late the last beat was: so long did requests wait before they were read, which no request can tell. */
  let lagMs = 0;

  /** A client that gave up has waited too long as well, and is the one to learn from where all do. */
  function observe({ isNewcomer: isNew, admitted }: Exchange, now = clock.now()): void {
    if (isNew) concurrency.observe(lagMs + now - admitted.startedAt);
  }

  /** Whether it was pending. The last one takes its place. */
  function leave(exchange: Exchange): boolean {
    const { place } = exchange;
    if (place < 0) return false;
    exchange.place = -1;
    const last = pending.pop();
    if (last === undefined || last === exchange) return true;
    pending[place] = last;
    last.place = place;
    return true;
  }

  function settle(exchange: Exchange, answer: Answer, writeOut = write, now?: number): void {
    if (leave(exchange)) observe(exchange, now);
    if (exchange.isDone) return;
    exchange.isDone = true;
    writeOut(exchange.res, answer, exchange.isHead, isStopping);
  }

  /** The more are turned away, the later they had better come back. */
  function retryAfterSeconds(): number {
    const crowds = Math.ceil(lane.size / concurrency.limit);
    return Math.min(OVERLOAD_RETRY_AFTER_MAX_SECONDS, OVERLOAD_RETRY_AFTER_SECONDS + crowds);
  }

  return {
    get size() {
      return pending.length;
    },
    hasRoom: (method, path) => concurrency.hasRoom(method, path, pending.length),
    begin(res, admitted, method, deadlineAt, isReading) {
      const isHead = method === 'HEAD';
      const isNew = isNewcomer(method, admitted.request.path);
      const place = pending.length;
      const exchange = { res, isHead, isDone: false, isReading, deadlineAt, admitted, isNewcomer: isNew, place };
      admitted.request.isAbandoned = () => exchange.isDone;
      pending.push(exchange);
      return exchange;
    },
    settle: (exchange, answer) => settle(exchange, answer),
    abandon(exchange) {
      exchange.isDone = true;
      if (leave(exchange)) observe(exchange);
    },
    run(exchange, body) {
      exchange.isReading = false;
      const now = clock.now();
      exchange.deadlineAt = now + REQUEST_DEADLINE_MS + REQUEST_GRACE_MS;
      const answer = dispatcher.finish(exchange.admitted, body, (late, at) => settle(exchange, late, write, at), now);
      if (answer !== undefined) settle(exchange, answer, writeCorked, now);
    },
    turnAway(res, path, isHead, mustEnd) {
      const rejection: Rejection = {
        isGone: false,
        write: () => write(res, dispatcher.shed(path, retryAfterSeconds()), isHead, isStopping || mustEnd),
      };
      // Before it is answered: an answered response must not be touched any more.
      res.onAborted(() => {
        rejection.isGone = true;
      });
      // A turn later where the connection ends: a request that came in the same piece would be answered after it.
      if (mustEnd) setImmediate(() => lane.add(rejection));
      else lane.add(rejection);
    },
    watch() {
      const now = clock.now();
      pendingRequests.set(pending.length);
      for (const exchange of [...pending]) {
        if (exchange.deadlineAt > now) continue;
        const { admitted, isReading } = exchange;
        const answer = isReading
          ? dispatcher.refuse(admitted, 'REQUEST_TIMEOUT', 'the body did not arrive in time')
          : dispatcher.refuse(admitted, 'OUTCOME_UNKNOWN', 'the answer did not come in time');
        settle(exchange, answer);
      }
    },
    beat() {
      lane.advance();
      const now = clock.now();
      lagMs = Math.max(0, now - beatAt - SHED_INTERVAL_MS);
      beatAt = now;
      if (now < adjustAt) return;
      concurrency.adjust();
      adjustAt = now + SHED_ADJUST_INTERVAL_MS;
    },
    stop() {
      isStopping = true;
      lane.flush();
    },
    get isStopping() {
      return isStopping;
    },
  };
}
