// All sockets of this process: who is connected, and what the feed has for them. Every process hears of every purchase,
// so a buyer is told here what happened through any other. Knows no transport: the server lends connections.
import type { Purchase } from '../actors/records.ts';
import type { ReadPurchases, StockFeed } from '../actors/stock-feed.ts';
import type { StockStore } from '../actors/stock-store.ts';
import type { Clock } from '../core/clock.ts';
import { SLICE_MAX, SOCKET_NEWS_DELAY_MS, WATCH_INTERVAL_MS } from '../core/constants.ts';
import { hasCode } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { type Purchases, toPurchaseReply } from '../shop/sales/sales.ts';
import { createCatchUp } from './catch-up.ts';
import { openSockets } from './door-metrics.ts';
import type { Gatekeeper } from './gatekeeper.ts';
import { createLineBoard, type Publish } from './line-board.ts';
import { createLinePress, realPace } from './line-press.ts';
import { createSocketBuyers } from './socket-buyers.ts';
import { CLOSE_CODES, type Connection, createDeparture } from './socket-outlet.ts';
import { type Identity, Session } from './socket-session.ts';

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
  const buyers = createSocketBuyers<Session>();
  let publish: Publish = () => {};
  const board = createLineBoard({
    stock,
    press: createLinePress(realPace),
    publish: (topic, frame, isBinary) => publish(topic, frame, isBinary),
  });
  const departure = createDeparture(log);
  const around = { gatekeeper, purchases, clock, board, departure, onIdentified: buyers.add };

  function tellBuyer(purchase: Purchase): void {
    // A hold of /inventory/reserve is its order's business.
    if (purchase.orderRef !== '') return;
    const reply = toPurchaseReply(purchase, {});
    for (const session of buyers.of(purchase.buyer)) session.tell(reply);
  }

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

  /** The feed was lost for a while: asks for everything that anybody here was told about. */
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
  // News comes beside the answer to the buy that made it, often first: it waits a moment, and then most of it was told.
  let news: ReadPurchases[] = [];
  function isUntold(buyer: string, purchaseId: string, version: number): boolean {
    for (let s = buyers.first(buyer); s !== undefined; s = s.sibling) if (!s.hasTold(purchaseId, version)) return true;
    return false;
  }
  function tellNews(): void {
    const due = news;
    news = [];
    for (const read of due) for (const purchase of read(isUntold)) tellBuyer(purchase);
  }
  feed.onPurchases(
    (read) => {
      if (news.push(read) === 1) setTimeout(tellNews, SOCKET_NEWS_DELAY_MS).unref();
    },
    () => buyers.size > 0,
  );
  feed.onPayment(({ purchaseId, buyer, clientSecret, status }) => {
    for (const session of buyers.of(buyer)) session.send({ type: 'payment', purchaseId, clientSecret, status });
  });
  const catchUp = createCatchUp(resync, log);
  feed.onResync(() => catchUp.ask());

  const watching = setInterval(() => {
    const now = clock.now();
    // A set may lose members while it is walked through.
    for (const session of sessions) session.watch(now);
  }, WATCH_INTERVAL_MS);

  return {
    publishThrough(through) {
      publish = through;
    },

    open(connection, address, identity) {
      const session = new Session(around, connection, address, identity);
      sessions.add(session);
      openSockets.set(sessions.size);
      return session;
    },

    closed(session) {
      session.closed();
      sessions.delete(session);
      openSockets.set(sessions.size);
      buyers.remove(session);
    },

    close() {
      catchUp.stop();
      clearInterval(watching);
      for (const session of [...sessions]) session.end(CLOSE_CODES.goingAway, 'this process is going down');
    },

    get size() {
      return sessions.size;
    },
  };
}
