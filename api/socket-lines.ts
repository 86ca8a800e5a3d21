// The lines that one socket watches. A subscription is answered with the line as it is; changes come by topic, once for
// all who watch, in the kind of frame in which each subscribed.
import { SOCKET_SUBSCRIPTIONS_MAX } from '../core/constants.ts';
import { fault } from '../core/errors.ts';
import { toLine } from '../shop/sales/sales.ts';
import type { LineBoard } from './line-board.ts';
import type { Connection, Outlet } from './socket-outlet.ts';

/** Its topic ends with the sale's id and the SKU. */
interface Watched {
  readonly topic: string;
  readonly saleId: string;
  readonly sku: string;
  readonly isBinary: boolean;
}

export class SocketLines {
  private readonly connection: Connection;
  private readonly outlet: Outlet;
  private readonly board: LineBoard;
  /** A list: most watch one line, and nobody more than a few. */
  private watched: Watched[] = [];

  constructor(connection: Connection, outlet: Outlet, board: LineBoard) {
    this.connection = connection;
    this.outlet = outlet;
    this.board = board;
  }

  async subscribe(saleId: string, sku: string, isBinary: boolean): Promise<void> {
    const counters = await this.board.current(saleId, sku);
    if (counters === undefined) throw fault('SKU_NOT_FOUND', 'there is no such SKU in such a sale');
    if (!this.outlet.isOpen) return;
    this.unsubscribe(saleId, sku);
    if (this.watched.length >= SOCKET_SUBSCRIPTIONS_MAX) {
      throw fault('BAD_REQUEST', `a socket watches ${SOCKET_SUBSCRIPTIONS_MAX} lines at most`);
    }
    const topic = this.board.watch(saleId, sku, isBinary);
    // The strings of the counters, which all watchers share.
    this.watched.push({ topic, saleId: counters.saleId, sku: counters.sku, isBinary });
    this.connection.subscribe(topic);
    // It may have changed between the read and the watch; from the watch on, every change is told.
    const latest = await this.board.current(saleId, sku);
    this.outlet.send(toLine(latest ?? counters), isBinary);
  }

  unsubscribe(saleId: string, sku: string): void {
    const index = this.watched.findIndex((line) => line.saleId === saleId && line.sku === sku);
    const [line] = index < 0 ? [] : this.watched.splice(index, 1);
    if (line === undefined) return;
    this.board.unwatch(line.topic);
    if (this.outlet.isOpen) this.connection.unsubscribe(line.topic);
  }

  /** Sends every line again: some were dropped while the client was slow. */
  async catchUp(): Promise<void> {
    for (const { saleId, sku, isBinary } of [...this.watched]) {
      const counters = await this.board.current(saleId, sku);
      if (counters !== undefined) this.outlet.send(toLine(counters), isBinary);
    }
  }

  closed(): void {
    for (const { topic } of this.watched) this.board.unwatch(topic);
    this.watched = [];
  }
}
