// What leaves one socket: answers, news of purchases, errors, the end. It remembers which version of which purchase was
// told, so that nothing is told twice, and it closes a client that reads too slowly to be told the truth.
// Frames leave together at the end of the turn that made them: a batch's answers to one socket are one write.
import { SOCKET_PURCHASES_MAX } from '../core/constants.ts';
import { type ErrorCode, ERRORS } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { PurchaseReply } from '../shop/sales/sales.ts';
import { slowSockets } from './door-metrics.ts';
import { type Cause, toFault } from './problem.ts';
import { encodeAnswer, encodeFrame, type Frame } from './socket-codec.ts';
import type { MessageId } from './wire.ts';

/** A socket as the server lends it; none of it is called after the socket has closed. */
export interface Connection {
  /** False: the client reads too slowly and this was not sent. */
  send(frame: Frame, isBinary: boolean): boolean;
  /** What is sent within is written at once. */
  cork(work: () => void): void;
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

/** What all sockets of a process share. */
export interface Departure {
  readonly log: Log;
  /** Calls `flush` at the end of this turn. */
  flushSoon(outlet: Outlet): void;
}

export function createDeparture(log: Log): Departure {
  let due: Outlet[] = [];
  function flushAll(): void {
    const outlets = due;
    due = [];
    for (const outlet of outlets) outlet.flush();
  }
  return {
    log,
    flushSoon(outlet) {
      // After all microtasks of this turn, so after the last answer of a batch.
      if (due.push(outlet) === 1) process.nextTick(flushAll);
    },
  };
}

/** A class, because there is one for each of many thousand sockets: methods are shared, and what most never use is absent. */
export class Outlet {
  isOpen = true;
  private readonly connection: Connection;
  private readonly departure: Departure;
  private told: Map<string, number> | undefined;
  /** Frames of this turn, each with its kind behind it. */
  private waiting: (Frame | boolean)[] | undefined;

  constructor(connection: Connection, departure: Departure) {
    this.connection = connection;
    this.departure = departure;
  }

  send(message: Record<string, unknown>, isBinary: boolean): void {
    if (this.isOpen) this.leave(encodeFrame(message, isBinary), isBinary);
  }

  /** The answer to a message: told even if it was told before. */
  answer(purchase: PurchaseReply, id: MessageId, isBinary: boolean): void {
    if (!this.isOpen) return;
    const told = (this.told ??= new Map());
    told.delete(purchase.purchaseId);
    told.set(purchase.purchaseId, purchase.version);
    if (told.size > SOCKET_PURCHASES_MAX) {
      const oldest = told.keys().next().value;
      if (oldest !== undefined) told.delete(oldest);
    }
    this.leave(encodeAnswer(purchase, id, isBinary), isBinary);
  }

  hasTold(purchaseId: string, version: number): boolean {
    return (this.told?.get(purchaseId) ?? -1) >= version;
  }

  /** News: told once a version. */
  tell(purchase: PurchaseReply, isBinary: boolean): void {
    if (!this.hasTold(purchase.purchaseId, purchase.version)) this.answer(purchase, undefined, isBinary);
  }

  refuse(cause: Cause, id: MessageId, isBinary: boolean): void {
    const { code, detail, fields, retryAfterSeconds, members } = cause;
    const extra = { ...(fields && { fields }), ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) };
    const message = detail || ERRORS[code].title;
    const echo = id === undefined ? {} : { id };
    this.send({ type: 'error', ...echo, code, message, ...extra, ...members }, isBinary);
  }

  /** The same for what was thrown; what nobody foresaw is logged. */
  fail(error: unknown, id: MessageId, isBinary: boolean): ErrorCode {
    const coded = toFault(error);
    if (coded.code === 'INTERNAL') {
      this.departure.log.error({ err: coded.cause ?? coded }, 'a message of a socket failed');
    }
    this.refuse(coded, id, isBinary);
    return coded.code;
  }

  end(code: number, reason: string): void {
    this.flush();
    if (!this.isOpen) return;
    // uWebSockets.js calls `close` from within `end`; whatever is still to be sent is in vain.
    this.isOpen = false;
    this.connection.end(code, reason);
  }

  /** The socket is gone. */
  closed(): void {
    this.isOpen = false;
    this.waiting = undefined;
  }

  flush(): void {
    const frames = this.waiting;
    this.waiting = undefined;
    if (frames === undefined || !this.isOpen) return;
    if (frames.length > 2) this.connection.cork(() => this.sendAll(frames));
    else this.sendAll(frames);
  }

  get purchaseIds(): readonly string[] {
    return this.told === undefined ? [] : [...this.told.keys()];
  }

  private leave(frame: Frame, isBinary: boolean): void {
    if (this.waiting === undefined) {
      this.waiting = [frame, isBinary];
      this.departure.flushSoon(this);
    } else {
      this.waiting.push(frame, isBinary);
    }
  }

  private sendAll(frames: readonly (Frame | boolean)[]): void {
    for (let i = 0; i < frames.length && this.isOpen; i += 2) {
      const [frame, isBinary] = [frames[i], frames[i + 1]];
      if (typeof frame === 'boolean' || frame === undefined) continue;
      if (this.connection.send(frame, isBinary === true)) continue;
      // Whoever misses news of a purchase must reconnect and ask (resume); a line is only the latest of many.
      slowSockets.inc();
      this.end(CLOSE_CODES.tooSlow, 'you read too slowly');
    }
  }
}
