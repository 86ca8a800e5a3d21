// The verbs that concern a whole sale: install, open, pause, close, restock, count. Part of the stock store.
import { SLICE_MAX, RETENTION_AFTER_CLOSE_MS } from '../core/constants.ts';
import { partitionOf } from '../core/ids.ts';
import { type BucketVerbs, createBucketVerbs } from './bucket-verbs.ts';
import { untoldOf } from './buckets.ts';
import { type BlockVerbs, createBlockVerbs } from './block-verbs.ts';
import {
  type Purchase,
  type SaleStatus,
  type SkuCounters,
  toCounters,
  toPurchase,
  type WireCounters,
} from './records.ts';
import { bodyOf, type ScriptCaller } from './script-call.ts';
import { scripts } from './scripts.ts';

/** A sale as Redis needs it. Prices are minor units; null is "none". */
export interface SaleDefinition {
  readonly saleId: string;
  readonly opensAt: number | null;
  readonly closesAt: number | null;
  readonly holdMs: number;
  /** Units a buyer may have waiting, held and bought; 0 for no limit. */
  readonly perBuyerLimit: number;
  /** Waiting units per SKU after the opening; null for twice the stock. */
  readonly lineLimit: number | null;
  readonly admissionPerSecond: number | null;
  readonly paymentStart: 'eager' | 'on_demand';
  /** Admission stops while this many holds wait for their payment to be started; 0 for no limit. */
  readonly startBacklogLimit: number;
  readonly startNow?: boolean;
  readonly items: readonly { sku: string; stock: number; unitPrice: number; currency: string }[];
}

export interface SaleSnapshot {
  readonly saleId: string;
  readonly status: SaleStatus;
  readonly version: number;
  /** Outbox position of the partition at which the counts were read. */
  readonly seq: number;
  readonly items: readonly SkuCounters[];
}

export interface Census {
  readonly seq: number;
  readonly counters: SkuCounters;
  readonly purchases: readonly Purchase[];
  /** Ids that hold a ticket but whose record cannot be read. */
  readonly missing: readonly string[];
  /** Where the next page begins; 0 at the end. */
  readonly next: number;
}

export interface SaleVerbs extends BlockVerbs, BucketVerbs {
  /** Idempotent by sale id. */
  createSale(sale: SaleDefinition): Promise<{ created: boolean }>;
  setSaleState(
    saleId: string,
    verb: 'open' | 'pause' | 'close',
  ): Promise<{ outcome: 'OK' | 'REPLAY' | 'ILLEGAL' | 'SALE_NOT_FOUND'; status?: SaleStatus }>;
  /** Once per operation id; KEY_REUSED for another change under the same id. BELOW: less than what is held and sold would remain. */
  restock(change: { saleId: string; sku: string; by: number; operationId: string; reason: string }): Promise<{
    outcome:
      | 'OK'
      | 'REPLAY'
      | 'KEY_REUSED'
      | 'BELOW'
      | 'SALE_NOT_FOUND'
      | 'SKU_NOT_FOUND'
      | 'SALE_CLOSED'
      | 'BAD_REQUEST';
    counters?: SkuCounters;
  }>;
  snapshot(saleIds: readonly string[]): Promise<(SaleSnapshot | undefined)[]>;
  /** A page of a SKU's purchases by ticket, then the holds of orders; undefined where the SKU is unknown. */
  census(saleId: string, sku: string, from: number): Promise<Census | undefined>;
  /** What time does to the sales of a partition. */
  tick(partition: number): Promise<{ moved: number; hasMore: boolean }>;
}

type WireSnapshot = readonly [string, SaleStatus, number, WireCounters[]];
type WirePurchase = Parameters<typeof toPurchase>[1];

/** A sale's terms as the scripts take them. */
export function termsOf(sale: SaleDefinition): number[] {
  return [
    sale.opensAt ?? 0,
    sale.closesAt ?? 0,
    sale.holdMs,
    sale.perBuyerLimit,
    sale.lineLimit ?? -1,
    sale.admissionPerSecond ?? 0,
    sale.paymentStart === 'eager' ? sale.startBacklogLimit : 0,
  ];
}

export function createSaleVerbs(caller: ScriptCaller): SaleVerbs {
  async function createSale(sale: SaleDefinition): Promise<{ created: boolean }> {
    const partition = partitionOf(sale.saleId);
    if (partition === undefined) throw new RangeError(`sale id ${sale.saleId} names no partition`);
    const untold = untoldOf(sale.saleId);
    const items = sale.items.map((i) => [i.sku, i.stock, i.unitPrice, i.currency, ...untold]);
    const input = [sale.saleId, termsOf(sale), sale.startNow ? 1 : 0, items];
    const [created] = bodyOf(await caller.call(partition, scripts.saleCreate, input)) as [number];
    return { created: created === 1 };
  }

  async function snapshotOf(partition: number, saleIds: readonly string[]): Promise<(SaleSnapshot | undefined)[]> {
    const reply = await caller.call(partition, scripts.snapshot, [saleIds]);
    return (bodyOf(reply) as (WireSnapshot | false)[]).map((row) =>
      row
        ? { saleId: row[0], status: row[1], version: row[2], seq: reply.seq, items: row[3].map(toCounters) }
        : undefined,
    );
  }

  return {
    ...createBlockVerbs(caller),
    ...createBucketVerbs(caller),
    createSale,
    async setSaleState(saleId, verb) {
      const partition = partitionOf(saleId);
      if (partition === undefined) return { outcome: 'SALE_NOT_FOUND' };
      const body = bodyOf(await caller.call(partition, scripts.saleState, [saleId, verb]));
      const [outcome, status] = body as ['OK' | 'REPLAY' | 'ILLEGAL' | 'SALE_NOT_FOUND', SaleStatus | ''];
      return status === '' ? { outcome } : { outcome, status };
    },
    async restock({ saleId, sku, by, operationId, reason }) {
      const partition = partitionOf(saleId);
      if (partition === undefined) return { outcome: 'SALE_NOT_FOUND' };
      const input = [saleId, sku, by, operationId, reason, RETENTION_AFTER_CLOSE_MS];
      const body = bodyOf(await caller.call(partition, scripts.restock, input));
      const [outcome, counters] = body as [Awaited<ReturnType<SaleVerbs['restock']>>['outcome'], WireCounters | false];
      return counters ? { outcome, counters: toCounters(counters) } : { outcome };
    },
    async snapshot(saleIds) {
      const found = new Map<string, SaleSnapshot>();
      const byPartition = Map.groupBy(saleIds, partitionOf);
      for (const [partition, ids] of byPartition) {
        if (partition === undefined) continue;
        for (let from = 0; from < ids.length; from += SLICE_MAX) {
          const rows = await snapshotOf(partition, ids.slice(from, from + SLICE_MAX));
          for (const row of rows) if (row) found.set(row.saleId, row);
        }
      }
      return saleIds.map((id) => found.get(id));
    },
    async census(saleId, sku, from) {
      const partition = partitionOf(saleId);
      if (partition === undefined) return undefined;
      const reply = await caller.call(partition, scripts.census, [saleId, sku, from]);
      const body = bodyOf(reply) as
        | readonly [WireCounters, (readonly [string, WirePurchase | false])[], number]
        | false;
      if (!body) return undefined;
      const [counters, rows, next] = body;
      const purchases = rows.flatMap(([id, wire]) => (wire ? [toPurchase(id, wire)] : []));
      const missing = rows.flatMap(([id, wire]) => (wire ? [] : [id]));
      return { seq: reply.seq, counters: toCounters(counters), purchases, missing, next };
    },
    async tick(partition) {
      const body = bodyOf(await caller.call(partition, scripts.saleTick, [])) as [number, number];
      return { moved: body[0], hasMore: body[1] === 1 };
    },
  };
}
