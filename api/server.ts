// The one home of uWebSockets.js, which ends the process on what others forgive: a request is read before the first await,
// every response has an abort handler, nothing is written to a response that is gone, and every write is corked.
import * as uws from 'uWebSockets.js';
import { type Clock, sleep } from '../core/clock.ts';
import {
  BODY_DEADLINE_MS,
  BODY_LIMIT_BYTES,
  DRAIN_DEADLINE_MS,
  SHED_INTERVAL_MS,
  SOCKET_BACKPRESSURE_BYTES,
  SOCKET_IDLE_SECONDS,
  SOCKET_PAYLOAD_BYTES,
  WATCH_INTERVAL_MS,
} from '../core/constants.ts';
import type { AddressReader } from './client-address.ts';
import { type ConnectionLimit, readConnectionLimit } from './connection-limit.ts';
import type { Answer } from './arrival.ts';
import type { Dispatcher } from './dispatch.ts';
import { createExchanges, type Exchange, type Exchanges } from './exchanges.ts';
import { isBodyLarge, toArrival, write, writeCorked } from './http-bytes.ts';
import { LentSocket } from './lent-socket.ts';
import { type Concurrency, createConcurrency } from './load-shedding.ts';
import type { Session } from './socket-session.ts';
import type { Upgrader } from './socket-upgrade.ts';
import type { Sockets } from './sockets.ts';

export interface Server {
  readonly port: number;
  /** Takes nothing new, waits for the answers that are due, ends the sockets. */
  close(): Promise<void>;
}

/** A test's own; else the usual ones. */
export interface ServerLimits {
  concurrency?: Concurrency;
  connections?: ConnectionLimit;
}

export interface ServerOptions {
  /** 0 for any free one. Several processes share a port: the kernel spreads the connections. */
  port: number;
  dispatcher: Dispatcher;
  sockets: Sockets;
  upgrader: Upgrader;
  addressOf: AddressReader;
  clock: Clock;
  limits?: ServerLimits | undefined;
}

interface SocketData {
  address: string;
  identity: Parameters<Sockets['open']>[2];
  session: Session | undefined;
  hasMissedLines: boolean;
}

// Undocumented: with it no answer says which server this is. Where it is missing, that much is told.
const silence: unknown = Reflect.get(uws, '_cfg');
if (typeof silence === 'function') silence('silent');

const NO_BODY = Buffer.alloc(0);

/** Open connections, sockets included: uWebSockets.js tells of each that opens, and not of the end of those that became sockets. */
interface Connections {
  count: number;
}

/**
 * Answers and ends the connection, a turn later: in this one a request that came in the same piece would be answered
 * after it, and the connection go on. uWebSockets.js ends it at such a request while this one is open.
 */
function leave(res: uws.HttpResponse, answer: Answer, isHead: boolean): void {
  let isGone = false;
  res.onAborted(() => {
    isGone = true;
  });
  setImmediate(() => isGone || write(res, answer, isHead, true));
}

/** HTTP: answers at once, turns away, or keeps the exchange until its answer, its abort or its deadline. */
function serveHttp(
  app: uws.TemplatedApp,
  { dispatcher, addressOf, limits }: ServerOptions,
  exchanges: Exchanges,
  connections: Connections,
): void {
  const limit = limits?.connections ?? readConnectionLimit();

  function readBody(exchange: Exchange, res: uws.HttpResponse): void {
    let chunks: Buffer[] | undefined;
    let length = 0;
    res.onData((chunk, isLast) => {
      if (exchange.isDone || length > BODY_LIMIT_BYTES) return;
      length += chunk.byteLength;
      if (length > BODY_LIMIT_BYTES) {
        const detail = `the limit is ${BODY_LIMIT_BYTES} bytes`;
        // A turn later, like `leave`.
        setImmediate(() => exchanges.settle(exchange, dispatcher.refuse(exchange.admitted, 'BODY_TOO_LARGE', detail)));
        return;
      }
      const part = Buffer.from(chunk);
      // A body is read in this call where it came in one piece, as nearly all do.
      if (isLast)
        return exchanges.run(exchange, chunks === undefined ? part : Buffer.concat([...chunks, part], length));
      // The chunk's memory is uWebSockets.js' own and is gone after this call.
      chunks ??= [];
      chunks.push(Buffer.from(part));
    });
  }

  app.filter((res, change) => {
    connections.count += Math.sign(change);
    if (change > 0 && connections.count > limit.taken) res.close();
  });
  app.any('/*', (res, req) => {
    const method = req.getCaseSensitiveMethod();
    const isHead = method === 'HEAD';
    const path = req.getUrl();
    const isCrowded = connections.count > limit.answered;
    if (isCrowded || !exchanges.hasRoom(method, path)) {
      const isLarge = isBodyLarge({ header: (name) => req.getHeader(name) });
      exchanges.turnAway(res, path, isHead, isCrowded || isLarge);
      return;
    }
    const arrival = toArrival(res, req, addressOf, method, path);
    // Never throws: a response without an abort handler, left for whatever reason, ends the process.
    const begun = dispatcher.begin(arrival);
    if (begun.kind === 'answered') {
      const isLast = exchanges.isStopping || isBodyLarge(arrival);
      if (isLast) leave(res, begun.answer, isHead);
      else writeCorked(res, begun.answer, isHead, false);
      return;
    }
    const readsBody = begun.hasBody && begun.route.bodyKind !== 'none';
    const exchange = exchanges.begin(res, begun, method, begun.startedAt + BODY_DEADLINE_MS, readsBody);
    res.onAborted(() => exchanges.abandon(exchange));
    if (readsBody) readBody(exchange, res);
    else exchanges.run(exchange, NO_BODY);
  });
}

function serveSockets(
  app: uws.TemplatedApp,
  { sockets, upgrader, addressOf }: ServerOptions,
  connections: Connections,
): void {
  sockets.publishThrough((topic, frame, isBinary) => app.publish(topic, frame, isBinary));
  app.ws<SocketData>('/ws', {
    maxPayloadLength: SOCKET_PAYLOAD_BYTES,
    maxBackpressure: SOCKET_BACKPRESSURE_BYTES,
    closeOnBackpressureLimit: false,
    idleTimeout: SOCKET_IDLE_SECONDS,
    sendPingsAutomatically: true,
    upgrade(res: uws.HttpResponse, req: uws.HttpRequest, context: uws.us_socket_context_t) {
      const arrival = toArrival(res, req, addressOf);
      const upgraded = upgrader.begin(arrival);
      if (upgraded.kind === 'answered') {
        writeCorked(res, upgraded.answer, false, false);
        return;
      }
      const data: SocketData = {
        address: arrival.address,
        identity: upgraded.identity,
        session: undefined,
        hasMissedLines: false,
      };
      const [key, protocol, extensions] = ['key', 'protocol', 'extensions'].map((name) =>
        req.getHeader(`sec-websocket-${name}`),
      );
      res.cork(() => res.upgrade(data, key ?? '', protocol ?? '', extensions ?? '', context));
    },
    open(ws) {
      const data = ws.getUserData();
      data.session = sockets.open(new LentSocket(ws), data.address, data.identity);
    },
    message(ws, message, isBinary) {
      // Not copied: a session reads them before it returns.
      ws.getUserData().session?.receive(new Uint8Array(message), isBinary);
    },
    dropped(ws) {
      ws.getUserData().hasMissedLines = true;
    },
    drain(ws) {
      const data = ws.getUserData();
      if (!data.hasMissedLines || ws.getBufferedAmount() > 0) return;
      data.hasMissedLines = false;
      void data.session?.catchUp();
    },
    close(ws) {
      connections.count -= 1;
      const data = ws.getUserData();
      const session = data.session;
      data.session = undefined;
      if (session !== undefined) sockets.closed(session);
    },
  });
}

function listen(app: uws.TemplatedApp, port: number): Promise<uws.us_listen_socket> {
  return new Promise((resolve, reject) => {
    app.listen(port, (socket) => {
      if (socket === false) reject(new Error(`port ${port} cannot be listened on; something else may have it`));
      else resolve(socket);
    });
  });
}

export async function startServer(options: ServerOptions): Promise<Server> {
  const app = uws.App();
  const connections: Connections = { count: 0 };
  const { dispatcher, clock, sockets, limits = {} } = options;
  const exchanges = createExchanges({ dispatcher, concurrency: limits.concurrency ?? createConcurrency(), clock });
  serveSockets(app, options, connections);
  serveHttp(app, options, exchanges, connections);
  const listening = await listen(app, options.port);
  const beating = setInterval(() => exchanges.beat(), SHED_INTERVAL_MS);
  const watching = setInterval(() => exchanges.watch(), WATCH_INTERVAL_MS);
  return {
    port: uws.us_socket_local_port(listening),
    async close() {
      uws.us_listen_socket_close(listening);
      dispatcher.stop();
      exchanges.stop();
      const until = clock.now() + DRAIN_DEADLINE_MS;
      while (exchanges.size > 0 && clock.now() < until) await sleep(10);
      clearInterval(watching);
      clearInterval(beating);
      exchanges.stop();
      sockets.close();
      // Their close frames leave with the next turn of the loop.
      await sleep(50);
      app.close();
    },
  };
}
