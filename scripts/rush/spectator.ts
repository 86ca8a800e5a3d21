// Somebody who only watches: the counts of the sale as everybody is shown them, over a socket, and by asking now and
// then in case it is away. The head of the line may only move forward; it says so if it ever does not.
import { WebSocket } from 'ws';
import { readFrame } from './answers.ts';
import type { Offer } from './http-door.ts';

export interface Counts {
  status: string;
  available: number;
  held: number;
  sold: number;
  waiting: number;
  head: number;
}

type Line = Counts & { type: string; version: number };

export interface Spectator {
  readonly counts: Readonly<Counts>;
  /** How often a newer message showed an earlier head than an older one. */
  readonly headSteppedBack: number;
  onSoldOut(listener: () => void): void;
  close(): void;
}

const RECONNECT_MS = 500;
const ASK_INTERVAL_MS = 1_000;

export function createSpectator(url: string, token: string, offer: Offer, stock: number): Spectator {
  const counts: Counts = { status: 'SCHEDULED', available: stock, held: 0, sold: 0, waiting: 0, head: 1 };
  const listeners: (() => void)[] = [];
  let newest = { version: 0, head: 0 };
  let headSteppedBack = 0;
  let isClosed = false;
  let isSoldOut = false;
  let socket: WebSocket | undefined;

  function update(seen: Partial<Counts>): void {
    Object.assign(counts, seen);
    if (isSoldOut || counts.sold < stock) return;
    isSoldOut = true;
    for (const listener of listeners) listener();
  }

  function hear(line: Line): void {
    if (line.type !== 'line' || line.version < newest.version) return;
    if (line.head < newest.head) headSteppedBack += 1;
    newest = { version: line.version, head: line.head };
    const { status, available, held, sold, waiting, head } = line;
    update({ status, available, held, sold, waiting, head });
  }

  function connect(): void {
    if (isClosed) return;
    const opening = new WebSocket(`${url.replace(/^http/, 'ws')}/ws`, {
      headers: { authorization: `Bearer ${token}` },
      perMessageDeflate: false,
    });
    const subscribe = (): void => {
      if (opening.readyState === WebSocket.OPEN) opening.send(JSON.stringify({ type: 'subscribe', ...offer }));
    };
    socket = opening;
    opening.on('open', subscribe);
    opening.on('message', (data) => {
      // The contract's message; whatever else it is, `hear` leaves it alone.
      const message = readFrame(data) as unknown as Line;
      // We ask for one thing only: it was refused, by a process that has just started or whose Redis is away.
      if (message.type === 'error') setTimeout(subscribe, RECONNECT_MS);
      else hear(message);
    });
    opening.on('error', () => undefined); // 'close' follows
    opening.on('close', () => setTimeout(connect, RECONNECT_MS));
  }

  async function ask(): Promise<void> {
    if (socket?.readyState === WebSocket.OPEN) return;
    try {
      const answer = await fetch(`${url}/api/v1/sales/${offer.saleId}`);
      if (!answer.ok) return;
      // As documented; a sale of ours has one item.
      const sale = (await answer.json()) as { status: string; items: Omit<Counts, 'status' | 'head'>[] };
      const [item] = sale.items;
      if (item === undefined) return;
      const { available, held, sold, waiting } = item;
      update({ status: sale.status, available, held, sold, waiting });
    } catch {
      // Nobody listens right now; the next look is a second away.
    }
  }

  connect();
  const asking = setInterval(() => void ask(), ASK_INTERVAL_MS);
  return {
    counts,
    get headSteppedBack() {
      return headSteppedBack;
    },
    onSoldOut: (listener) => void listeners.push(listener),
    close() {
      isClosed = true;
      clearInterval(asking);
      socket?.close();
    },
  };
}
