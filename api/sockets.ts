// All sockets of this process: who is connected, and what the feed has for them. Every process hears of every purchase,
// so a buyer is told here what happened through any other. Knows no transport: the server lends connections.
import type { Purchase } from '../actors/records.ts';
import type { StockFeed } from '../actors/stock-feed.ts';
import type { StockStore } from '../actors/stock-store.ts';
import type { Clock } from '../core/clock.ts';
import { LINE_BROADCAST_INTERVAL_MS, SLICE_MAX, SOCKETS_PER_BUYER_MAX, WATCH_INTERVAL_MS } from '../core/constants.ts';
import { hasCode } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { type Purchases, toPurchaseReply } from '../shop/sales/sales.ts';
import { createCatchUp } from './catch-up.ts';
import { openSockets } from './door-metrics.ts';
import type { Gatekeeper } from './gatekeeper.ts';
import { createLineBoard, type Publish } from './line-board.ts';
import { createSocketLines } from './socket-lines.ts';
import { CLOSE_CODES, type Connection, createOutlet } from './socket-outlet.ts';
import { createSession, type Identity, type Session } from './socket-session.ts';

export interface SocketsDependencies {
  gatekeeper: Gatekeeper;
  purchases: Purchases;
  stock: Pick<StockStore, 'look' | 'snapshot'>;
  feed: StockFeed;
  clock: Clock;
  log: Log;
}

export interface Sockets {
  /** The server's way to reach all who subscribed a topic; nothing is published before. */
  publishThrough(publish: Publish): void;
  open(connection: Connection, address: string, identity: Identity | undefined): Session;
  closed(session: Session): void;
  /** Ends every socket; they will find another process. */
  close(): void;
  readonly size: number;
}

export function createSockets(dependencies: SocketsDependencies): Sockets {
  const { gatekeeper, purchases, stock, feed, clock, log } = dependencies;
  const sessions = new Set<Session>();
  const byBuyer = new Map<string, Set<Session>>();
  let publish: Publish = () => {};
  const board = createLineBoard(stock, (topic, frame, isBinary) => publish(topic, frame, isBinary));

  function onIdentified(session: Session, userId: string): boolean {
    const mine = byBuyer.get(userId) ?? new Set<Session>();
    if (mine.size >= SOCKETS_PER_BUYER_MAX) return false;
    mine.add(session);
    byBuyer.set(userId, mine);
    return true;
  }

  function tellBuyer(purchase: Purchase): void {
    // A hold of /inventory/reserve is its order's business.
    const mine = purchase.orderRef === '' ? byBuyer.get(purchase.buyer) : undefined;
    if (mine === undefined) return;
    const reply = toPurchaseReply(purchase, {});
    for (const session of mine) session.tell(reply);
  }

  /** The feed was lost for a while: asks for everything that anybody here was told about. */
  /** Purchases that Redis has forgotten: told from Postgres, or that they were lost. */
  async function tellOfUnknown(session: Session, unknown: ReadonlySet<string>): Promise<void> {
    for (const purchaseId of session.purchaseIds) {
      if (!unknown.has(purchaseId) || session.userId === undefined) continue;
      try {
        session.tell(await purchases.get(purchaseId, session.userId));
      } catch (error) {
        if (!hasCode(error, 'PURCHASE_NOT_FOUND')) throw error;
        session.send({ type: 'error', code: 'PURCHASE_NOT_FOUND', message: 'this purchase was lost', purchaseId });
      }
    }
  }

  async function resync(): Promise<void> {
    const ids = [...new Set([...sessions].flatMap((session) => session.purchaseIds))];
    for (let from = 0; from < ids.length; from += SLICE_MAX) {
      const views = await stock.look(ids.slice(from, from + SLICE_MAX));
      for (const view of views) if (view !== undefined) tellBuyer(view);
      const unknown = new Set(ids.slice(from, from + SLICE_MAX).filter((_, i) => views[i] === undefined));
      for (const session of unknown.size === 0 ? [] : [...sessions]) await tellOfUnknown(session, unknown);
    }
    await board.refresh();
  }

  feed.onLine((counters) => board.update(counters));
  feed.onPurchases((changed) => {
    for (const purchase of changed) tellBuyer(purchase);
  });
  feed.onPayment(({ purchaseId, buyer, clientSecret, status }) => {
    for (const session of byBuyer.get(buyer) ?? []) session.send({ type: 'payment', purchaseId, clientSecret, status });
  });
  const catchUp = createCatchUp(resync, log);
  feed.onResync(() => catchUp.ask());

  const broadcasting = setInterval(() => board.flush(), LINE_BROADCAST_INTERVAL_MS);
  const watching = setInterval(() => {
    const now = clock.now();
    for (const session of [...sessions]) session.watch(now);
  }, WATCH_INTERVAL_MS);

  return {
    publishThrough(through) {
      publish = through;
    },

    open(connection, address, identity) {
      const outlet = createOutlet(connection, log);
      const lines = createSocketLines(connection, outlet, board);
      const session = createSession({ gatekeeper, purchases, clock, outlet, lines, address, onIdentified }, identity);
      sessions.add(session);
      openSockets.set(sessions.size);
      return session;
    },

    closed(session) {
      session.closed();
      sessions.delete(session);
      openSockets.set(sessions.size);
      const mine = session.userId === undefined ? undefined : byBuyer.get(session.userId);
      mine?.delete(session);
      if (mine?.size === 0 && session.userId !== undefined) byBuyer.delete(session.userId);
    },

    close() {
      catchUp.stop();
      clearInterval(broadcasting);
      clearInterval(watching);
      for (const session of [...sessions]) session.end(CLOSE_CODES.goingAway, 'this process is going down');
    },

    get size() {
      return sessions.size;
    },
  };
}
