// The verbs of a rebuild: a partition is taken over, filled again from what Postgres knows, and given back. Meanwhile it
// answers nobody but the store that took it over. Part of the stock store.
import { partitionOf } from '../core/ids.ts';
import { untoldOf } from './buckets.ts';
import { type Purchase, type SaleStatus, type SkuCounters, toCounters, toWirePurchase } from './records.ts';
import type { WireCounters } from './records.ts';
import type { SaleDefinition } from './sale-verbs.ts';
import { termsOf } from './sale-verbs.ts';
import { printOfBuyer } from './purchase-ids.ts';
import { bodyOf, type ScriptCaller } from './script-call.ts';
import { scripts } from './scripts.ts';

/** A sale as Postgres knows it. */
export interface SaleToBuild {
  readonly definition: SaleDefinition;
  readonly status: SaleStatus;
  readonly version: number;
  /** When its time in Redis is over, in ms; 0 while it is not CLOSED. */
  readonly purgeAt: number;
  readonly items: readonly { sku: string; loaded: number; unitPrice: number; currency: string }[];
  /** Above every version that was ever told of a SKU's counts. */
  readonly skuVersion: number;
  /** Restocks that are remembered, so that a repetition of one is found. */
  readonly operations: readonly { operationId: string; sku: string; by: number; keepMs: number }[];
}

export interface RebuildVerbs {
  /** Answers the seq from which the partition goes on. Throws FENCED where Redis has this epoch or a later one. */
  beginRebuild(partition: number, epoch: number, seq: number): Promise<number>;
  /** In the place of whatever was there. */
  buildSale(sale: SaleToBuild): Promise<void>;
  /** A slice, in the order of tickets; the holds of orders have none. Answers the SKU's counts so far. */
  buildPurchases(saleId: string, sku: string, purchases: readonly Purchase[]): Promise<SkuCounters>;
  buildOrders(
    partition: number,
    orders: readonly { orderId: string; fingerprint: string; purchaseIds: readonly string[] }[],
  ): Promise<void>;
  endRebuild(partition: number): Promise<void>;
}

function homeOf(saleId: string): number {
  const partition = partitionOf(saleId);
  if (partition === undefined) throw new RangeError(`sale id ${saleId} names no partition`);
  return partition;
}

export function createRebuildVerbs(caller: ScriptCaller): RebuildVerbs {
  return {
    beginRebuild: (partition, epoch, seq) => caller.beginRebuild(partition, epoch, seq),
    async buildSale({ definition, status, version, purgeAt, items, skuVersion, operations }) {
      const { saleId } = definition;
      const untold = untoldOf(saleId);
      const rows = items.map((i) => [i.sku, i.loaded, i.unitPrice, i.currency, skuVersion, ...untold]);
      const known = operations.map((o) => [o.operationId, o.sku, o.by, o.keepMs]);
      const input = [saleId, termsOf(definition), [status, version, purgeAt], rows, known];
      bodyOf(await caller.call(homeOf(saleId), scripts.rebuildSale, input));
    },
    async buildPurchases(saleId, sku, purchases) {
      const rows = purchases.map((p) => [p.purchaseId, toWirePurchase(p), printOfBuyer(saleId, p.buyer)]);
      const reply = await caller.call(homeOf(saleId), scripts.rebuildPurchases, [saleId, sku, rows]);
      return toCounters(bodyOf(reply) as WireCounters);
    },
    async buildOrders(partition, orders) {
      const rows = orders.map((o) => [o.orderId, o.fingerprint, o.purchaseIds]);
      bodyOf(await caller.call(partition, scripts.rebuildOrders, [rows]));
    },
    async endRebuild(partition) {
      bodyOf(await caller.call(partition, scripts.rebuildEnd, []));
    },
  };
}
