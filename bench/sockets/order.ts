// What a crowd of sockets is asked to do, and what it reports: the words between a bench and the processes that hold the
// sockets. Two plays: every socket buys, or every socket watches one line.
export interface Door {
  readonly host: string;
  readonly port: number;
}

export interface BuyOrder {
  readonly play: 'buy';
  readonly saleId: string;
  readonly sku: string;
  /** Of each socket. */
  readonly purchases: number;
  /** That one socket sends in one piece; it sends on when all are answered and its turn comes again. */
  readonly depth: number;
  /** Of all sockets together, under way at a time. */
  readonly underWay: number;
}

export interface WatchOrder {
  readonly play: 'watch';
  readonly saleId: string;
  readonly sku: string;
}

/** What a process is told: first to open, and again for more sockets; then plays, any number of them. */
export type Command =
  | ({ readonly play: 'open' /** One socket each. */; readonly tokens: readonly string[] } & Door)
  | BuyOrder
  | WatchOrder
  | { readonly play: 'reckon'; readonly changes: readonly Change[] };

/** A change of the line as its maker knows it: from then on a line is to show at least this head. */
export interface Change {
  /** Milliseconds since the epoch, which every process of a machine shares. */
  readonly at: number;
  readonly head: number;
}

export interface BuyReport {
  /** Answers by status or code. */
  readonly answers: Readonly<Record<string, number>>;
  /** From the write to the answer's arrival, milliseconds. */
  readonly times: readonly number[];
  /** Messages that were no answer: news that the answer had told, or was to tell. */
  readonly news: number;
  readonly firstAt: number;
  readonly lastAt: number;
  readonly generatorMs: number;
}

export interface WatchReport {
  readonly sockets: number;
}

export interface ReckonReport {
  /** For each change: the longest that any socket of this process waited for it; null where one was never told. */
  readonly slowest: readonly (number | null)[];
  /** All waits, of every socket and change. */
  readonly times: readonly number[];
  readonly messages: number;
  readonly generatorMs: number;
}
