// The lines that one socket watches. A subscription is answered with the line as it is; changes come by topic, once for
// all who watch, in the kind of frame in which each subscribed.
import { SOCKET_SUBSCRIPTIONS_MAX } from '../core/constants.ts';
import { fault } from '../core/errors.ts';
import { toLine } from '../shop/sales/sales.ts';
import { type LineBoard, topicOf } from './line-board.ts';
import type { Connection, Outlet } from './socket-outlet.ts';

export interface SocketLines {
  subscribe(saleId: string, sku: string, isBinary: boolean): Promise<void>;
  unsubscribe(saleId: string, sku: string): void;
  /** Sends every line again: some were dropped while the client was slow. */
  catchUp(): Promise<void>;
  closed(): void;
}

export function createSocketLines(connection: Connection, outlet: Outlet, board: LineBoard): SocketLines {
  const lines = new Map<string, { saleId: string; sku: string; isBinary: boolean }>();

  function unsubscribe(saleId: string, sku: string): void {
    const key = `${saleId} ${sku}`;
    const line = lines.get(key);
    if (line === undefined) return;
    lines.delete(key);
    board.unwatch(saleId, sku, line.isBinary);
    if (outlet.isOpen) connection.unsubscribe(topicOf(saleId, sku, line.isBinary));
  }

  return {
    unsubscribe,

    async subscribe(saleId, sku, isBinary) {
      const key = `${saleId} ${sku}`;
      const counters = await board.current(saleId, sku);
      if (counters === undefined) throw fault('SKU_NOT_FOUND', 'there is no such SKU in such a sale');
      if (!outlet.isOpen) return;
      unsubscribe(saleId, sku);
      if (lines.size >= SOCKET_SUBSCRIPTIONS_MAX) {
        throw fault('BAD_REQUEST', `a socket watches ${SOCKET_SUBSCRIPTIONS_MAX} lines at most`);
      }
      lines.set(key, { saleId, sku, isBinary });
      board.watch(saleId, sku, isBinary);
      connection.subscribe(topicOf(saleId, sku, isBinary));
      // It may have changed between the read and the watch; from the watch on, every change is told.
      const latest = await board.current(saleId, sku);
      outlet.send(toLine(latest ?? counters), isBinary);
    },

    async catchUp() {
      for (const { saleId, sku, isBinary } of lines.values()) {
        const counters = await board.current(saleId, sku);
        if (counters !== undefined) outlet.send(toLine(counters), isBinary);
      }
    },

    closed() {
      for (const { saleId, sku, isBinary } of lines.values()) board.unwatch(saleId, sku, isBinary);
      lines.clear();
    },
  };
}
