// The board above the lines: the newest counts of every SKU that somebody here watches. A change is published to all its
// watchers at once, one message a SKU and interval, however many buyers wait and however often it changed.
import type { SkuCounters } from '../actors/records.ts';
import type { StockStore } from '../actors/stock-store.ts';
import { LINE_GROUP_SOCKETS } from '../core/constants.ts';
import { toLine } from '../shop/sales/sales.ts';
import { type Audience, type LinePress, newSchedule, type Told } from './line-press.ts';
import { encodeFrame, type Frame } from './socket-codec.ts';

export interface LineBoard {
  /** Undefined where Redis knows no such SKU. Many who ask at once cost Redis one call. */
  current(saleId: string, sku: string): Promise<SkuCounters | undefined>;
  /** One more watcher: the topic on which it is told. */
  watch(saleId: string, sku: string, isBinary: boolean): string;
  unwatch(topic: string): void;
  /** News from the feed; older ones than known are dropped, unwatched ones ignored. */
  update(counters: SkuCounters): void;
  /** After the feed was lost: reads everything that is watched again. */
  refresh(): Promise<void>;
}

export type Publish = (topic: string, frame: Frame, isBinary: boolean) => void;

/** Watchers of one line in one kind of frame, as many as one turn may tell. */
interface Group extends Audience {
  readonly line: Line;
  readonly topic: string;
  readonly isBinary: boolean;
  size: number;
  /** The version that its watchers were told last; those who came since know a newer one. */
  toldVersion: number;
}

interface Line extends Told {
  readonly saleId: string;
  readonly sku: string;
  counters: SkuCounters | undefined;
  watchers: number;
  readonly audiences: Group[];
  /** What it says, encoded once a version and kind. */
  written: { version: number; text: Frame | undefined; binary: Frame | undefined };
}

/** SKUs and sale ids contain no space. */
const keyOf = (saleId: string, sku: string): string => `${saleId} ${sku}`;

export interface LineBoardDependencies {
  stock: Pick<StockStore, 'snapshot'>;
  press: LinePress;
  publish: Publish;
}

export function createLineBoard({ stock, press, publish }: LineBoardDependencies): LineBoard {
  const lines = new Map<string, Line>();
  const groups = new Map<string, Group>();
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
    const line = lines.get(keyOf(counters.saleId, counters.sku));
    if (line === undefined || (line.counters !== undefined && line.counters.version >= counters.version)) return;
    line.counters = counters;
    press.changed(line);
  }

  function openLine(saleId: string, sku: string): Line {
    const line: Line = {
      ...{ saleId, sku, counters: undefined, watchers: 0, audiences: [], schedule: newSchedule() },
      written: { version: -1, text: undefined, binary: undefined },
    };
    lines.set(keyOf(saleId, sku), line);
    return line;
  }

  function openGroup(line: Line, isBinary: boolean): Group {
    const numbers = new Set(line.audiences.map(({ topic }) => topic));
    for (let number = 0; ; number += 1) {
      const topic = `${isBinary ? 'b' : 't'}${number} ${keyOf(line.saleId, line.sku)}`;
      if (numbers.has(topic)) continue;
      const group: Group = {
        ...{
          line,
          topic,
          isBinary,
          size: 0,
          toldVersion: -1,
          waitingSince: undefined,
          toldAt: Number.NEGATIVE_INFINITY,
        },
        tell() {
          const { counters } = line;
          if (counters === undefined || group.toldVersion >= counters.version) return;
          group.toldVersion = counters.version;
          publish(topic, frameOf(line, counters, isBinary), isBinary);
        },
      };
      line.audiences.push(group);
      groups.set(topic, group);
      return group;
    }
  }

  return {
    update,

    async current(saleId, sku) {
      const known = lines.get(keyOf(saleId, sku))?.counters;
      if (known !== undefined) return known;
      const found = (await read(saleId)).find((counters) => counters.sku === sku);
      const line = lines.get(keyOf(saleId, sku));
      if (line !== undefined) line.counters ??= found;
      return found;
    },

    watch(saleId, sku, isBinary) {
      const line = lines.get(keyOf(saleId, sku)) ?? openLine(saleId, sku);
      const hasRoom = (group: Group): boolean => group.isBinary === isBinary && group.size < LINE_GROUP_SOCKETS;
      const group = line.audiences.find(hasRoom) ?? openGroup(line, isBinary);
      group.size += 1;
      line.watchers += 1;
      return group.topic;
    },

    unwatch(topic) {
      const group = groups.get(topic);
      if (group === undefined) return;
      const { line } = group;
      group.size -= 1;
      line.watchers -= 1;
      if (group.size === 0) {
        groups.delete(topic);
        line.audiences.splice(line.audiences.indexOf(group), 1);
      }
      if (line.watchers === 0) lines.delete(keyOf(line.saleId, line.sku));
    },

    async refresh() {
      const saleIds = new Set([...lines.values()].map((line) => line.saleId));
      for (const saleId of saleIds) for (const counters of await read(saleId)) update(counters);
    },
  };
}

function frameOf(line: Line, counters: SkuCounters, isBinary: boolean): Frame {
  if (line.written.version !== counters.version) {
    line.written = { version: counters.version, text: undefined, binary: undefined };
  }
  const { written } = line;
  if (isBinary) return (written.binary ??= encodeFrame(toLine(counters), true));
  return (written.text ??= encodeFrame(toLine(counters), false));
}
