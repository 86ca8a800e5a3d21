// Decides whether a request becomes a socket, and whose. A token may come in the query (browsers cannot set headers), in
// `Authorization`, or later as the first message; a wrong one is refused here, before there is a socket.
import type { Clock } from '../core/clock.ts';
import { fault } from '../core/errors.ts';
import { randomId } from '../core/ids.ts';
import { answerProblem } from './answers.ts';
import type { Answer, Arrival } from './arrival.ts';
import { bearerToken } from './auth.ts';
import { countAnswer } from './door-metrics.ts';
import type { Gatekeeper } from './gatekeeper.ts';
import { parseQuery } from './input.ts';
import { toFault } from './problem.ts';
import type { Identity } from './socket-session.ts';

export type Upgrade = { kind: 'upgraded'; identity: Identity | undefined } | { kind: 'answered'; answer: Answer };

export interface Upgrader {
  begin(arrival: Arrival): Upgrade;
  stop(): void;
}

export interface UpgraderOptions {
  gatekeeper: Gatekeeper;
  clock: Clock;
  /** Pages that may open a socket; any when absent. */
  allowedOrigins?: readonly string[] | undefined;
}

export function createUpgrader({ gatekeeper, clock, allowedOrigins }: UpgraderOptions): Upgrader {
  const origins = allowedOrigins === undefined ? undefined : new Set(allowedOrigins);
  let isStopping = false;

  /** Browsers always name the page; a client that names none is no browser, and could name any. */
  function checkOrigin(origin: string): void {
    if (origins === undefined || origin === '' || origins.has(origin)) return;
    throw fault('FORBIDDEN', 'this page may not open a socket here');
  }

  return {
    begin(arrival) {
      try {
        if (isStopping) throw fault('SHUTTING_DOWN');
        // The one that there is; uWebSockets.js would answer any other as if it were this.
        if (arrival.header('sec-websocket-version') !== '13') {
          throw fault('BAD_REQUEST', 'Sec-WebSocket-Version must be 13');
        }
        checkOrigin(arrival.header('origin'));
        const token = parseQuery(arrival.query)['access_token'] ?? bearerToken(arrival.header('authorization'));
        if (token === undefined) {
          gatekeeper.admit(undefined, arrival, arrival.path);
          return { kind: 'upgraded', identity: undefined };
        }
        return { kind: 'upgraded', identity: gatekeeper.authenticate(token, arrival) };
      } catch (error) {
        const coded = toFault(error);
        countAnswer('/ws', coded.status);
        return { kind: 'answered', answer: answerProblem(coded, arrival.path, randomId('req'), clock.now()) };
      }
    },
    stop() {
      isStopping = true;
    },
  };
}
