// What leaves one socket: answers, news of purchases, errors, the end. It remembers which version of which purchase was
// told, so that nothing is told twice, and it closes a client that reads too slowly to be told the truth.
import { SOCKET_PURCHASES_MAX } from '../core/constants.ts';
import { type ErrorCode, ERRORS } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { PurchaseReply } from '../shop/sales/sales.ts';
import { slowSockets } from './door-metrics.ts';
import { type Cause, toFault } from './problem.ts';
import { encodeFrame } from './socket-codec.ts';
import type { MessageId } from './wire.ts';

/** A socket as the server lends it; none of it is called after the socket has closed. */
export interface Connection {
  /** False: the client reads too slowly and this was not sent. */
  send(frame: string | Uint8Array, isBinary: boolean): boolean;
  end(code: number, reason: string): void;
  subscribe(topic: string): void;
  unsubscribe(topic: string): void;
}

export const CLOSE_CODES = {
  unauthenticated: 4401,
  tooManySockets: 4429,
  badClient: 1008,
  goingAway: 1001,
  tooSlow: 1013,
} as const;

export interface Outlet {
  readonly isOpen: boolean;
  send(message: Record<string, unknown>, isBinary: boolean): void;
  /** The answer to a message: told even if it was told before. */
  answer(purchase: PurchaseReply, id: MessageId, isBinary: boolean): void;
  /** News: told once a version. */
  tell(purchase: PurchaseReply, isBinary: boolean): void;
  refuse(cause: Cause, id: MessageId, isBinary: boolean): void;
  /** The same for what was thrown; what nobody foresaw is logged. */
  fail(error: unknown, id: MessageId, isBinary: boolean): ErrorCode;
  end(code: number, reason: string): void;
  closed(): void;
  readonly purchaseIds: readonly string[];
}

const withId = (id: MessageId): Record<string, unknown> => (id === undefined ? {} : { id });

export function createOutlet(connection: Connection, log: Log): Outlet {
  const told = new Map<string, number>();
  let isOpen = true;

  function end(code: number, reason: string): void {
    if (!isOpen) return;
    // uWebSockets.js calls `close` from within `end`; whatever is still to be sent is in vain.
    isOpen = false;
    connection.end(code, reason);
  }

  function send(message: Record<string, unknown>, isBinary: boolean): void {
    if (!isOpen || connection.send(encodeFrame(message, isBinary), isBinary)) return;
    // Whoever misses news of a purchase must reconnect and ask (resume); a line is only the latest of many.
    slowSockets.inc();
    end(CLOSE_CODES.tooSlow, 'you read too slowly');
  }

  function answer(purchase: PurchaseReply, id: MessageId, isBinary: boolean): void {
    told.delete(purchase.purchaseId);
    told.set(purchase.purchaseId, purchase.version);
    const oldest = told.keys().next().value;
    if (told.size > SOCKET_PURCHASES_MAX && oldest !== undefined) told.delete(oldest);
    send({ type: 'purchase', ...withId(id), ...purchase }, isBinary);
  }

  function refuse(cause: Cause, id: MessageId, isBinary: boolean): void {
    const { code, detail, fields, retryAfterSeconds, members } = cause;
    const extra = { ...(fields && { fields }), ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) };
    const message = detail || ERRORS[code].title;
    send({ type: 'error', ...withId(id), code, message, ...extra, ...members }, isBinary);
  }

  return {
    send,
    answer,
    end,
    tell(purchase, isBinary) {
      if ((told.get(purchase.purchaseId) ?? -1) < purchase.version) answer(purchase, undefined, isBinary);
    },
    refuse,
    fail(error, id, isBinary) {
      const coded = toFault(error);
      if (coded.code === 'INTERNAL') log.error({ err: coded.cause ?? coded }, 'a message of a socket failed');
      refuse(coded, id, isBinary);
      return coded.code;
    },
    closed() {
      isOpen = false;
    },
    get isOpen() {
      return isOpen;
    },
    get purchaseIds() {
      return [...told.keys()];
    },
  };
}
