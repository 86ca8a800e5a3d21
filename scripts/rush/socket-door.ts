// The way in over a WebSocket: one buyer, one socket. It reconnects for as long as the buyer is there, presses again
// with the same key if the answer was lost, and asks (resume) what became of the purchase meanwhile.
import { WebSocket } from 'ws';
import { systemClock } from '../../core/clock.ts';
import { LOST, newer, type Pressed, type Purchase, readFrame, readPurchase, readRefusal } from './answers.ts';
import type { Buyer } from './crowd.ts';
import type { Offer } from './http-door.ts';
import type { Traffic } from './traffic.ts';
import type { Wheel } from './wheel.ts';

const RECONNECT_MS = 500;
/** Longer than the server's own deadline, so that its word is heard if it has one. */
const ANSWER_LIMIT_MS = 15_000;

/** What the same answer would be over HTTP. */
const STATUS_LINES: Readonly<Record<string, number>> = { WAITING: 202, RESERVED: 201 };

export interface SocketDoor {
  /** Resolves when the socket is open; a later loss is repaired behind the scenes. */
  open(): Promise<void>;
  buy(): Promise<Pressed>;
  /** Resolves with news beyond `known`, or with undefined once `ms` are over. */
  news(known: Purchase, ms: number): Promise<Purchase | undefined>;
  /** Whether the place in the line is to be told as the line moves. */
  watchLine(isWanted: boolean): void;
  close(): void;
}

export interface SocketDeps {
  url: string;
  offer: Offer;
  wheel: Wheel;
  traffic: Traffic;
}

export function createSocketDoor(buyer: Buyer, { url, offer, wheel, traffic }: SocketDeps): SocketDoor {
  const address = `${url.replace(/^http/, 'ws')}/ws`;
  const headers = { authorization: `Bearer ${buyer.token}` };
  let socket: WebSocket | undefined;
  let isDone = false;
  let isWatching = false;
  let latest: Purchase | undefined;
  let onAnswer: ((answer: Pressed) => void) | undefined;
  let onNews: (() => void) | undefined;
  let askedAt = 0;

  /** What the socket answered when it was asked to buy; '' for a connection that was lost meanwhile. */
  function note(status: number, code: string, hasRetryAfter = false): void {
    const heardAtMs = systemClock.now();
    traffic.heard({ question: 'buy', door: 'socket', status, code, hasRetryAfter, sentAtMs: askedAt, heardAtMs });
  }

  function send(message: Record<string, unknown>): boolean {
    if (socket?.readyState !== WebSocket.OPEN) return false;
    traffic.sent();
    socket.send(JSON.stringify(message));
    return true;
  }

  function settle(answer: Pressed): void {
    const waiting = onAnswer;
    onAnswer = undefined;
    waiting?.(answer);
  }

  function hear(message: Record<string, unknown>): void {
    if (message['type'] === 'error') {
      if (message['id'] !== buyer.index) return;
      note(0, String(message['code']), message['retryAfterSeconds'] !== undefined);
      settle(readRefusal(message, 0));
      return;
    }
    if (message['type'] === 'payment' && latest?.purchaseId === message['purchaseId']) {
      const { clientSecret, status } = message;
      if (latest !== undefined && typeof clientSecret === 'string' && typeof status === 'string') {
        latest = { ...latest, payment: { clientSecret, status } };
      }
    }
    const purchase = message['type'] === 'purchase' ? readPurchase(message) : undefined;
    if (purchase !== undefined) latest = latest === undefined ? purchase : newer(latest, purchase);
    if (purchase !== undefined && message['id'] === buyer.index) {
      note(STATUS_LINES[purchase.status] ?? 200, purchase.status);
      settle({ kind: 'purchase', purchase });
    }
    onNews?.();
  }

  function connect(): Promise<void> {
    return new Promise((resolve) => {
      const opening = new WebSocket(address, {
        headers,
        perMessageDeflate: false,
        handshakeTimeout: ANSWER_LIMIT_MS,
      });
      socket = opening;
      opening.on('open', () => resolve());
      opening.on('message', (data) => hear(readFrame(data)));
      opening.on('error', () => undefined); // 'close' follows
      opening.on('close', () => {
        if (onAnswer !== undefined) note(0, '');
        settle(LOST);
        if (!isDone) void reconnect().then(resolve);
      });
    });
  }

  async function reconnect(): Promise<void> {
    traffic.lost();
    await wheel.wait(RECONNECT_MS * (1 + (buyer.index % 16) / 8));
    if (isDone) return;
    traffic.reconnected();
    await connect();
    if (latest !== undefined) send({ type: 'resume', purchaseIds: [latest.purchaseId] });
    if (isWatching) send({ type: 'subscribe', ...offer });
  }

  return {
    open: connect,
    buy: () =>
      new Promise((resolve) => {
        onAnswer = resolve;
        askedAt = systemClock.now();
        if (!send({ type: 'buy', id: buyer.index, ...offer, quantity: 1, key: buyer.key })) settle(LOST);
        void wheel.wait(ANSWER_LIMIT_MS).then(() => onAnswer === resolve && settle(LOST));
      }),
    async news(known, ms) {
      // Whoever has looked by other means may know more than was told here: that alone is no news.
      latest = latest === undefined ? known : newer(latest, known);
      const isNews = (): boolean =>
        latest !== undefined &&
        latest.version >= known.version &&
        (latest.version > known.version || (latest.payment !== undefined && known.payment === undefined));
      if (isNews()) return latest;
      const heard = new Promise<void>((resolve) => {
        onNews = () => {
          if (isNews()) resolve();
        };
      });
      await Promise.race([heard, wheel.wait(ms)]);
      onNews = undefined;
      return isNews() ? latest : undefined;
    },
    watchLine(isWanted) {
      if (isWanted === isWatching) return;
      isWatching = isWanted;
      send({ type: isWanted ? 'subscribe' : 'unsubscribe', ...offer });
    },
    close() {
      isDone = true;
      socket?.close();
    },
  };
}
