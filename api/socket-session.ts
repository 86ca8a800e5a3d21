// One socket's conversation: reads each message, asks the shop, answers in the kind of frame that asked.
// A message can do no worse than get an error; a client that goes on with wrong ones is closed.
import type { Clock } from '../core/clock.ts';
import {
  REQUEST_DEADLINE_MS,
  SOCKET_AUTH_DEADLINE_MS,
  SOCKET_BUYS_IN_FLIGHT_MAX,
  SOCKET_MESSAGE_BURST,
  SOCKET_MESSAGE_RATE_PER_SECOND,
  SOCKET_REFUSALS_MAX,
} from '../core/constants.ts';
import { type ErrorCode, fault } from '../core/errors.ts';
import type { Caller } from '../shop/route.ts';
import type { PurchaseReply, Purchases } from '../shop/sales/sales.ts';
import { socketMessages } from './door-metrics.ts';
import type { Gatekeeper } from './gatekeeper.ts';
import { validate } from './input.ts';
import { toFault } from './problem.ts';
import { type Bucket, takeToken } from './rate-limit.ts';
import { decodeFrame, idOf } from './socket-codec.ts';
import type { SocketLines } from './socket-lines.ts';
import { CLOSE_CODES, type Outlet } from './socket-outlet.ts';
import { type SocketMessage, socketMessageSchema } from './wire.ts';

export interface Identity {
  caller: Caller;
  expiresAtMs: number;
}

export interface Session {
  receive(bytes: Uint8Array, isBinary: boolean): Promise<void>;
  tell(purchase: PurchaseReply): void;
  send(message: Record<string, unknown>): void;
  /** The client reads again after lines were dropped. */
  catchUp(): Promise<void>;
  /** Ends it when its token has ended, or when it never sent one. */
  watch(now: number): void;
  end(code: number, reason: string): void;
  closed(): void;
  readonly userId: string | undefined;
  readonly purchaseIds: readonly string[];
}

export interface SessionOptions {
  gatekeeper: Gatekeeper;
  purchases: Purchases;
  clock: Clock;
  outlet: Outlet;
  lines: SocketLines;
  address: string;
  /** False: this buyer has too many sockets. */
  onIdentified(session: Session, userId: string): boolean;
}

const MESSAGE_RATE = { ratePerSecond: SOCKET_MESSAGE_RATE_PER_SECOND, burst: SOCKET_MESSAGE_BURST };
/** What counts against a client; a refusal of the shop (sold out) does not. */
const CLIENT_FAULTS: ReadonlySet<ErrorCode> = new Set([
  'RATE_LIMITED',
  'INVALID_JSON',
  'VALIDATION_FAILED',
  'BAD_REQUEST',
]);

type Message<T extends SocketMessage['type']> = SocketMessage & { type: T };

export function createSession(options: SessionOptions, known: Identity | undefined): Session {
  const { gatekeeper, purchases, clock, outlet, lines } = options;
  const openedAt = clock.now();
  const bucket: Bucket = { tokens: SOCKET_MESSAGE_BURST, filledAt: openedAt };
  let identity: Identity | undefined;
  let prefersBinary = false;
  let refusals = 0;
  let buysInFlight = 0;

  function identify(next: Identity): void {
    if (identity !== undefined && identity.caller.userId !== next.caller.userId) {
      throw fault('FORBIDDEN', 'this socket belongs to another user');
    }
    const isFirst = identity === undefined;
    identity = next;
    if (isFirst && !options.onIdentified(session, next.caller.userId)) {
      outlet.end(CLOSE_CODES.tooManySockets, 'too many sockets of one user');
    }
  }

  function authenticate(message: Message<'auth'>, isBinary: boolean): void {
    try {
      identify(gatekeeper.authenticate(message.token, options.address));
    } catch (error) {
      const code = outlet.fail(error, message.id, isBinary);
      outlet.end(CLOSE_CODES.unauthenticated, code);
      return;
    }
    outlet.send({ type: 'auth', ...echo(message), userId: identity?.caller.userId }, isBinary);
  }

  async function buy(message: Message<'buy'>, caller: Caller, isBinary: boolean): Promise<void> {
    if (buysInFlight >= SOCKET_BUYS_IN_FLIGHT_MAX) throw fault('RATE_LIMITED', 'too many buys at once');
    gatekeeper.admit(caller, options.address, '/ws');
    const { saleId, sku, quantity, key } = message;
    buysInFlight += 1;
    try {
      const wish = { saleId, sku, quantity, key, buyer: caller.userId };
      const bought = await purchases.buy(wish, clock.now() + REQUEST_DEADLINE_MS);
      if (bought.kind === 'purchase') return outlet.answer(bought.purchase, message.id, isBinary);
      const { code, purchaseId, retryAfterSeconds } = bought;
      const members = { saleId, sku, ...(purchaseId && { purchaseId }) };
      outlet.refuse({ code, retryAfterSeconds, members }, message.id, isBinary);
    } finally {
      buysInFlight -= 1;
    }
  }

  /** After a reconnect: what became of these. Each counts as a request. */
  async function resume(message: Message<'resume'>, caller: Caller, isBinary: boolean): Promise<void> {
    for (const purchaseId of new Set(message.purchaseIds)) {
      if (!outlet.isOpen) return;
      gatekeeper.admit(caller, options.address, '/ws');
      try {
        outlet.answer(await purchases.get(purchaseId, caller.userId), message.id, isBinary);
      } catch (error) {
        const { code, detail, retryAfterSeconds } = toFault(error);
        outlet.refuse({ code, detail, retryAfterSeconds, members: { purchaseId } }, message.id, isBinary);
      }
    }
  }

  async function serve(message: SocketMessage, isBinary: boolean): Promise<void> {
    if (message.type === 'auth') return authenticate(message, isBinary);
    if (message.type === 'ping') return outlet.send({ type: 'pong', ...echo(message) }, isBinary);
    if (identity === undefined) throw fault('UNAUTHENTICATED', 'send {"type":"auth","token":"…"} first');
    if (message.type === 'subscribe') return lines.subscribe(message.saleId, message.sku, isBinary);
    if (message.type === 'unsubscribe') return lines.unsubscribe(message.saleId, message.sku);
    if (message.type === 'buy') return buy(message, identity.caller, isBinary);
    return resume(message, identity.caller, isBinary);
  }

  function read(raw: unknown): SocketMessage {
    const waitSeconds = takeToken(bucket, MESSAGE_RATE, clock.now());
    if (waitSeconds > 0) throw fault('RATE_LIMITED', 'too many messages', { retryAfterSeconds: waitSeconds });
    if (raw === undefined) throw fault('INVALID_JSON', 'the message cannot be read');
    // The output of that very schema.
    const message = validate(socketMessageSchema, raw, 'message') as SocketMessage;
    socketMessages.inc({ type: message.type });
    return message;
  }

  function countRefusal(code: ErrorCode): void {
    if (CLIENT_FAULTS.has(code)) refusals += 1;
    if (refusals > SOCKET_REFUSALS_MAX) outlet.end(CLOSE_CODES.badClient, 'too many refused messages');
  }

  const session: Session = {
    async receive(bytes, isBinary) {
      prefersBinary = isBinary;
      const raw = decodeFrame(bytes, isBinary);
      try {
        await serve(read(raw), isBinary);
      } catch (error) {
        countRefusal(outlet.fail(error, idOf(raw), isBinary));
      }
    },
    tell: (purchase) => outlet.tell(purchase, prefersBinary),
    send: (message) => outlet.send(message, prefersBinary),
    catchUp: () => lines.catchUp(),
    watch(now) {
      if (identity === undefined) {
        if (now - openedAt > SOCKET_AUTH_DEADLINE_MS) outlet.end(CLOSE_CODES.unauthenticated, 'no token was sent');
      } else if (identity.expiresAtMs <= now) {
        outlet.refuse({ code: 'TOKEN_EXPIRED' }, undefined, prefersBinary);
        outlet.end(CLOSE_CODES.unauthenticated, 'TOKEN_EXPIRED');
      }
    },
    end: (code, reason) => outlet.end(code, reason),
    closed() {
      outlet.closed();
      lines.closed();
    },
    get userId() {
      return identity?.caller.userId;
    },
    get purchaseIds() {
      return outlet.purchaseIds;
    },
  };
  if (known !== undefined) identify(known);
  return session;
}

function echo(message: SocketMessage): Record<string, unknown> {
  return message.id === undefined ? {} : { id: message.id };
}
