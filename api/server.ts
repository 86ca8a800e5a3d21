// The one home of uWebSockets.js, which ends the process on what others forgive: a request is read before the first await,
// every response has an abort handler, nothing is written to a response that is gone, and every write is corked.
import {
  App,
  type HttpRequest,
  type HttpResponse,
  type TemplatedApp,
  type us_listen_socket,
  us_listen_socket_close,
  us_socket_local_port,
  type us_socket_context_t,
  type WebSocket,
} from 'uWebSockets.js';
import { type Clock, sleep } from '../core/clock.ts';
import {
  BODY_DEADLINE_MS,
  BODY_LIMIT_BYTES,
  DRAIN_DEADLINE_MS,
  REQUEST_DEADLINE_MS,
  REQUEST_GRACE_MS,
  SOCKET_BACKPRESSURE_BYTES,
  SOCKET_IDLE_SECONDS,
  SOCKET_PAYLOAD_BYTES,
  WATCH_INTERVAL_MS,
} from '../core/constants.ts';
import type { Admitted, Answer } from './arrival.ts';
import type { Dispatcher } from './dispatch.ts';
import { isBodyLarge, toArrival, write } from './http-bytes.ts';
import type { Connection } from './socket-outlet.ts';
import type { Session } from './socket-session.ts';
import type { Upgrader } from './socket-upgrade.ts';
import type { Sockets } from './sockets.ts';

export interface Server {
  readonly port: number;
  /** Takes nothing new, waits for the answers that are due, ends the sockets. */
  close(): Promise<void>;
}

export interface ServerOptions {
  /** 0 for any free one. Several processes share a port: the kernel spreads the connections. */
  port: number;
  dispatcher: Dispatcher;
  sockets: Sockets;
  upgrader: Upgrader;
  clock: Clock;
}

/** One request that is not answered yet. */
interface Exchange {
  res: HttpResponse;
  isHead: boolean;
  isDone: boolean;
  isReading: boolean;
  /** When the body must be here, then when the answer must be. */
  deadlineAt: number;
  request: Admitted;
}

interface SocketData {
  address: string;
  identity: Parameters<Sockets['open']>[2];
  session: Session | undefined;
  hasMissedLines: boolean;
}

const NO_BODY = Buffer.alloc(0);
const ignore = (): void => {};
/** ws.send: 1 sent, 0 buffered, 2 dropped. */
const DROPPED = 2;

interface HttpDoor {
  readonly pending: ReadonlySet<Exchange>;
  /** Answers in the place of whoever is overdue. */
  watch(): void;
  /** From now on every answer ends its connection, so that the client finds another process. */
  stop(): void;
}

/** HTTP: answers at once or keeps the exchange until its answer, its abort or its deadline. */
function serveHttp(app: TemplatedApp, { dispatcher, clock }: ServerOptions): HttpDoor {
  const pending = new Set<Exchange>();
  let isStopping = false;

  function settle(exchange: Exchange, answer: Answer): void {
    pending.delete(exchange);
    if (exchange.isDone) return;
    exchange.isDone = true;
    write(exchange.res, answer, exchange.isHead, isStopping);
  }

  async function run(exchange: Exchange, body: Buffer): Promise<void> {
    exchange.isReading = false;
    exchange.deadlineAt = clock.now() + REQUEST_DEADLINE_MS + REQUEST_GRACE_MS;
    settle(exchange, await dispatcher.finish(exchange.request, body));
  }

  function readBody(exchange: Exchange): void {
    const chunks: Buffer[] = [];
    let length = 0;
    exchange.res.onData((chunk, isLast) => {
      if (exchange.isDone) return;
      length += chunk.byteLength;
      if (length > BODY_LIMIT_BYTES) {
        const detail = `the limit is ${BODY_LIMIT_BYTES} bytes`;
        settle(exchange, dispatcher.refuse(exchange.request, 'BODY_TOO_LARGE', detail));
        return;
      }
      // The chunk's memory is uWebSockets.js' own and is gone after this call.
      chunks.push(Buffer.from(Buffer.from(chunk)));
      if (isLast) void run(exchange, chunks.length === 1 ? (chunks[0] ?? NO_BODY) : Buffer.concat(chunks, length));
    });
  }

  app.any('/*', (res, req) => {
    // Before anything else: a response without an abort handler, left for whatever reason, ends the process.
    res.onAborted(ignore);
    const arrival = toArrival(res, req);
    const isHead = arrival.method === 'HEAD';
    const begun = dispatcher.begin(arrival);
    if (begun.kind === 'answered') {
      write(res, begun.answer, isHead, isStopping || isBodyLarge(arrival));
      return;
    }
    const readsBody = begun.hasBody && begun.route.bodyKind !== 'none';
    const deadlineAt = begun.startedAt + BODY_DEADLINE_MS;
    const exchange: Exchange = { res, isHead, isDone: false, isReading: readsBody, deadlineAt, request: begun };
    pending.add(exchange);
    res.onAborted(() => {
      exchange.isDone = true;
      pending.delete(exchange);
    });
    if (readsBody) readBody(exchange);
    else void run(exchange, NO_BODY);
  });

  return {
    pending,
    watch() {
      const now = clock.now();
      for (const exchange of [...pending]) {
        if (exchange.deadlineAt > now) continue;
        const { request, isReading } = exchange;
        const answer = isReading
          ? dispatcher.refuse(request, 'REQUEST_TIMEOUT', 'the body did not arrive in time')
          : dispatcher.refuse(request, 'OUTCOME_UNKNOWN', 'the answer did not come in time');
        settle(exchange, answer);
      }
    },
    stop() {
      isStopping = true;
    },
  };
}

function lend(ws: WebSocket<SocketData>): Connection {
  return {
    send: (frame, isBinary) => ws.send(frame, isBinary) !== DROPPED,
    // Later, because uWebSockets.js calls `close` from within: whoever ends a socket may still be setting it up.
    end: (code, reason) => setImmediate(() => ws.getUserData().session !== undefined && ws.end(code, reason)),
    subscribe: (topic) => ws.subscribe(topic),
    unsubscribe: (topic) => ws.unsubscribe(topic),
  };
}

function serveSockets(app: TemplatedApp, { sockets, upgrader }: ServerOptions): void {
  sockets.publishThrough((topic, frame, isBinary) => app.publish(topic, frame, isBinary));
  app.ws<SocketData>('/ws', {
    maxPayloadLength: SOCKET_PAYLOAD_BYTES,
    maxBackpressure: SOCKET_BACKPRESSURE_BYTES,
    closeOnBackpressureLimit: false,
    idleTimeout: SOCKET_IDLE_SECONDS,
    sendPingsAutomatically: true,
    upgrade(res: HttpResponse, req: HttpRequest, context: us_socket_context_t) {
      const arrival = toArrival(res, req);
      const upgraded = upgrader.begin(arrival);
      if (upgraded.kind === 'answered') {
        write(res, upgraded.answer, false, false);
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
      data.session = sockets.open(lend(ws), data.address, data.identity);
    },
    message(ws, message, isBinary) {
      // Copied: the bytes are only valid until the first await of whoever reads them.
      void ws.getUserData().session?.receive(Buffer.from(Buffer.from(message)), isBinary);
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
      const data = ws.getUserData();
      const session = data.session;
      data.session = undefined;
      if (session !== undefined) sockets.closed(session);
    },
  });
}

function listen(app: TemplatedApp, port: number): Promise<us_listen_socket> {
  return new Promise((resolve, reject) => {
    app.listen(port, (socket) => {
      if (socket === false) reject(new Error(`port ${port} cannot be listened on; something else may have it`));
      else resolve(socket);
    });
  });
}

export async function startServer(options: ServerOptions): Promise<Server> {
  const app = App();
  serveSockets(app, options);
  const http = serveHttp(app, options);
  const listening = await listen(app, options.port);
  const watching = setInterval(http.watch, WATCH_INTERVAL_MS);
  return {
    port: us_socket_local_port(listening),
    async close() {
      us_listen_socket_close(listening);
      options.dispatcher.stop();
      http.stop();
      const until = options.clock.now() + DRAIN_DEADLINE_MS;
      while (http.pending.size > 0 && options.clock.now() < until) await sleep(10);
      clearInterval(watching);
      options.sockets.close();
      // Their close frames leave with the next turn of the loop.
      await sleep(50);
      app.close();
    },
  };
}
