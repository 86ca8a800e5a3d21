// One socket's conversation: reads each message, asks the shop, answers in the kind of frame that asked.
// A message can do no worse than get an error; a client that goes on with wrong ones is closed.
import { bucketFor } from '../actors/buckets.ts';
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
import { Later } from '../core/later.ts';
import type { Caller } from '../shop/route.ts';
import type { PurchaseReply, Purchases } from '../shop/sales/sales.ts';
import { countSocketMessage } from './door-metrics.ts';
import type { Gatekeeper } from './gatekeeper.ts';
import type { LineBoard } from './line-board.ts';
import { toFault } from './problem.ts';
import { type Bucket, takeToken } from './rate-limit.ts';
import { decodeFrame, idOf } from './socket-codec.ts';
import { SocketLines } from './socket-lines.ts';
import { type Message, readMessage } from './socket-message.ts';
import { CLOSE_CODES, type Connection, type Departure, Outlet } from './socket-outlet.ts';
import type { MessageId, SocketMessage } from './wire.ts';

export interface Identity {
  caller: Caller;
  expiresAtMs: number;
}

/** What all sockets of a process share. */
export interface SessionSurroundings {
  gatekeeper: Gatekeeper;
  purchases: Purchases;
  clock: Clock;
  board: LineBoard;
  departure: Departure;
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

/** A class, because there is one for each of many thousand sockets: it shares its methods, and is its own bucket of messages. */
export class Session implements Bucket {
  tokens = SOCKET_MESSAGE_BURST;
  filledAt: number;
  /** Another socket of the same buyer: the list of them all is in sockets.ts. */
  sibling: Session | undefined;
  private readonly around: SessionSurroundings;
  private readonly connection: Connection;
  private readonly outlet: Outlet;
  readonly address: string;
  private readonly openedAt: number;
  private identity: Identity | undefined;
  private lines: SocketLines | undefined;
  private prefersBinary = false;
  private refusals = 0;
  private buysInFlight = 0;

  constructor(around: SessionSurroundings, connection: Connection, address: string, known: Identity | undefined) {
    this.around = around;
    this.connection = connection;
    this.outlet = new Outlet(connection, around.departure);
    this.address = address;
    this.openedAt = around.clock.now();
    this.filledAt = this.openedAt;
    if (known !== undefined) this.identify(known);
  }

  get userId(): string | undefined {
    return this.identity?.caller.userId;
  }

  get purchaseIds(): readonly string[] {
    return this.outlet.purchaseIds;
  }

  /** Reads the bytes before it returns. */
  receive(bytes: Uint8Array, isBinary: boolean): void {
    this.prefersBinary = isBinary;
    const raw = decodeFrame(bytes, isBinary);
    try {
      const waitSeconds = takeToken(this, MESSAGE_RATE, this.around.clock.now());
      if (waitSeconds > 0) throw fault('RATE_LIMITED', 'too many messages', { retryAfterSeconds: waitSeconds });
      const message = readMessage(raw);
      countSocketMessage(message.type);
      this.serve(message, isBinary)?.catch((error: unknown) => this.failed(error, message.id, isBinary));
    } catch (error) {
      this.failed(error, idOf(raw), isBinary);
    }
  }

  hasTold(purchaseId: string, version: number): boolean {
    return this.outlet.hasTold(purchaseId, version);
  }

  tell(purchase: PurchaseReply): void {
    this.outlet.tell(purchase, this.prefersBinary);
  }

  send(message: Record<string, unknown>): void {
    this.outlet.send(message, this.prefersBinary);
  }

  /** The client reads again after lines were dropped. */
  async catchUp(): Promise<void> {
    await this.lines?.catchUp();
  }

  /** Ends it when its token has ended, or when it never sent one. */
  watch(now: number): void {
    if (this.identity === undefined) {
      if (now - this.openedAt > SOCKET_AUTH_DEADLINE_MS) this.end(CLOSE_CODES.unauthenticated, 'no token was sent');
    } else if (this.identity.expiresAtMs <= now) {
      this.outlet.refuse({ code: 'TOKEN_EXPIRED' }, undefined, this.prefersBinary);
      this.end(CLOSE_CODES.unauthenticated, 'TOKEN_EXPIRED');
    }
  }

  end(code: number, reason: string): void {
    this.outlet.end(code, reason);
  }

  closed(): void {
    this.outlet.closed();
    this.lines?.closed();
  }

  /** A promise only where something is waited for. */
  private serve(message: SocketMessage, isBinary: boolean): Promise<void> | undefined {
    if (message.type === 'auth') return this.authenticate(message, isBinary);
    if (message.type === 'ping') {
      this.outlet.send({ type: 'pong', ...echo(message.id) }, isBinary);
      return undefined;
    }
    if (this.identity === undefined) throw fault('UNAUTHENTICATED', 'send {"type":"auth","token":"…"} first');
    const { caller } = this.identity;
    if (message.type === 'buy') return this.buy(message, caller, isBinary);
    if (message.type === 'resume') return this.resume(message, caller, isBinary);
    // Of a sale that is split, the line in which this buyer waits.
    const saleId = bucketFor(message.saleId, caller.userId);
    if (message.type === 'unsubscribe') {
      this.lines?.unsubscribe(saleId, message.sku);
      return undefined;
    }
    this.lines ??= new SocketLines(this.connection, this.outlet, this.around.board);
    return this.lines.subscribe(saleId, message.sku, isBinary);
  }

  private identify(next: Identity): void {
    if (this.identity !== undefined && this.identity.caller.userId !== next.caller.userId) {
      throw fault('FORBIDDEN', 'this socket belongs to another user');
    }
    const isFirst = this.identity === undefined;
    this.identity = next;
    if (isFirst && !this.around.onIdentified(this, next.caller.userId)) {
      this.end(CLOSE_CODES.tooManySockets, 'too many sockets of one user');
    }
  }

  private authenticate(message: Message<'auth'>, isBinary: boolean): undefined {
    try {
      this.identify(this.around.gatekeeper.authenticate(message.token, this));
    } catch (error) {
      const code = this.outlet.fail(error, message.id, isBinary);
      this.end(CLOSE_CODES.unauthenticated, code);
      return;
    }
    this.outlet.send({ type: 'auth', ...echo(message.id), userId: this.userId }, isBinary);
  }

  private buy(message: Message<'buy'>, caller: Caller, isBinary: boolean): undefined {
    if (this.buysInFlight >= SOCKET_BUYS_IN_FLIGHT_MAX) throw fault('RATE_LIMITED', 'too many buys at once');
    const { gatekeeper, purchases, clock } = this.around;
    gatekeeper.admit(caller, this, '/ws');
    const { id, saleId, sku, quantity, key } = message;
    const wish = { saleId, sku, quantity, key, buyer: caller.userId };
    const outcome = purchases.buy(wish, clock.now() + REQUEST_DEADLINE_MS);
    if (!(outcome instanceof Later)) {
      this.answer(outcome, message, isBinary);
      return undefined;
    }
    this.buysInFlight += 1;
    outcome.listen({
      told: (bought) => {
        this.buysInFlight -= 1;
        try {
          this.answer(bought, message, isBinary);
        } catch (error) {
          this.failed(error, id, isBinary);
        }
      },
      failed: (error) => {
        this.buysInFlight -= 1;
        this.failed(error, id, isBinary);
      },
    });
    return undefined;
  }

  private answer(
    bought: Awaited<ReturnType<Purchases['buy']>>,
    { id, saleId, sku }: Message<'buy'>,
    isBinary: boolean,
  ): void {
    if (bought.kind === 'purchase') return this.outlet.answer(bought.purchase, id, isBinary);
    const { code, purchaseId, retryAfterSeconds } = bought;
    const members = { saleId, sku, ...(purchaseId && { purchaseId }) };
    this.outlet.refuse({ code, retryAfterSeconds, members }, id, isBinary);
  }

  /** After a reconnect: what became of these. Each counts as a request. */
  private async resume(message: Message<'resume'>, caller: Caller, isBinary: boolean): Promise<void> {
    const { gatekeeper, purchases } = this.around;
    for (const purchaseId of new Set(message.purchaseIds)) {
      if (!this.outlet.isOpen) return;
      gatekeeper.admit(caller, this, '/ws');
      try {
        this.outlet.answer(await purchases.get(purchaseId, caller.userId), message.id, isBinary);
      } catch (error) {
        const { code, detail, retryAfterSeconds } = toFault(error);
        this.outlet.refuse({ code, detail, retryAfterSeconds, members: { purchaseId } }, message.id, isBinary);
      }
    }
  }

  private failed(error: unknown, id: MessageId, isBinary: boolean): void {
    const code = this.outlet.fail(error, id, isBinary);
    if (CLIENT_FAULTS.has(code)) this.refusals += 1;
    if (this.refusals > SOCKET_REFUSALS_MAX) this.end(CLOSE_CODES.badClient, 'too many refused messages');
  }
}

const echo = (id: MessageId): { id?: string | number } => (id === undefined ? {} : { id });
