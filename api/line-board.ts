// The board above the lines: the newest counts of every SKU that somebody here watches. A change is published to all its
// watchers at once, one message a SKU and interval, however many buyers wait and however often it changed.
import type { SkuCounters } from '../actors/records.ts';
import type { StockStore } from '../actors/stock-store.ts';
import { toLine } from '../shop/sales/sales.ts';
import { encodeFrame } from './socket-codec.ts';

export interface LineBoard {
  /** Undefined where Redis knows no such SKU. Many who ask at once cost Redis one call. */
  current(saleId: string, sku: string): Promise<SkuCounters | undefined>;
  watch(saleId: string, sku: string, isBinary: boolean): void;
  unwatch(saleId: string, sku: string, isBinary: boolean): void;
  /** News from the feed; older ones than known are dropped, unwatched ones ignored. */
  update(counters: SkuCounters): void;
  flush(): void;
  /** After the feed was lost: reads everything that is watched again. */
  refresh(): Promise<void>;
}

export type Publish = (topic: string, frame: string | Uint8Array, isBinary: boolean) => void;

interface Entry {
  saleId: string;
  sku: string;
  counters: SkuCounters | undefined;
  textWatchers: number;
  binaryWatchers: number;
  isDirty: boolean;
}

/** SKUs and sale ids contain no space. */
const keyOf = (saleId: string, sku: string): string => `${saleId} ${sku}`;

export function topicOf(saleId: string, sku: string, isBinary: boolean): string {
  return `${isBinary ? 'b' : 't'} ${keyOf(saleId, sku)}`;
}

export function createLineBoard(stock: Pick<StockStore, 'snapshot'>, publish: Publish): LineBoard {
  const entries = new Map<string, Entry>();
  const reading = new Map<string, Promise<readonly SkuCounters[]>>();

  function read(saleId: string): Promise<readonly SkuCounters[]> {
    const known = reading.get(saleId);
    if (known !== undefined) return known;
    const snapshot = stock.snapshot([saleId]).then(([sale]) => sale?.items ?? []);
    const promise = snapshot.finally(() => reading.delete(saleId));
    reading.set(saleId, promise);
    return promise;
  }

  function update(counters: SkuCounters): void {
    const entry = entries.get(keyOf(counters.saleId, counters.sku));
    if (entry === undefined || (entry.counters !== undefined && entry.counters.version >= counters.version)) return;
    entry.counters = counters;
    entry.isDirty = true;
  }

  function publishLine(entry: Entry, counters: SkuCounters): void {
    const line = toLine(counters);
    for (const isBinary of [false, true]) {
      const watchers = isBinary ? entry.binaryWatchers : entry.textWatchers;
      if (watchers > 0) publish(topicOf(entry.saleId, entry.sku, isBinary), encodeFrame(line, isBinary), isBinary);
    }
  }

  return {
    update,

    async current(saleId, sku) {
      const known = entries.get(keyOf(saleId, sku))?.counters;
      if (known !== undefined) return known;
      const found = (await read(saleId)).find((counters) => counters.sku === sku);
      const entry = entries.get(keyOf(saleId, sku));
      if (entry !== undefined) entry.counters ??= found;
      return found;
    },

    watch(saleId, sku, isBinary) {
      const key = keyOf(saleId, sku);
      const fresh = { saleId, sku, counters: undefined, textWatchers: 0, binaryWatchers: 0, isDirty: false };
      const entry: Entry = entries.get(key) ?? fresh;
      if (isBinary) entry.binaryWatchers += 1;
      else entry.textWatchers += 1;
      entries.set(key, entry);
    },

    unwatch(saleId, sku, isBinary) {
      const key = keyOf(saleId, sku);
      const entry = entries.get(key);
      if (entry === undefined) return;
      if (isBinary) entry.binaryWatchers -= 1;
      else entry.textWatchers -= 1;
      if (entry.textWatchers + entry.binaryWatchers === 0) entries.delete(key);
    },

    flush() {
      for (const entry of entries.values()) {
        if (!entry.isDirty || entry.counters === undefined) continue;
        entry.isDirty = false;
        publishLine(entry, entry.counters);
      }
    },

    async refresh() {
      const saleIds = new Set([...entries.values()].map((entry) => entry.saleId));
      for (const saleId of saleIds) for (const counters of await read(saleId)) update(counters);
    },
  };
}
