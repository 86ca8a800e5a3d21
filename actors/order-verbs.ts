// Holds for a checkout: several SKUs, all or nothing. One partition is decided in one script; over several partitions it
// is a saga: what was reserved is given back as soon as one partition refuses. Part of the stock store.
import { unownedPurchaseId } from './purchase-ids.ts';
import { OUTBOX_BACKLOG_MAX_RECORDS, PARTITIONS } from '../core/constants.ts';
import { fingerprint, partitionOf } from '../core/ids.ts';
import { type Purchase, type PurchaseStatus, toPurchase } from './records.ts';
import { bodyOf, type ScriptCaller } from './script-call.ts';
import { scripts } from './scripts.ts';

export type ReserveOrderCode =
  | 'RESERVED'
  | 'REPLAY'
  | 'KEY_REUSED'
  | 'INSUFFICIENT_STOCK'
  | 'SALE_NOT_FOUND'
  | 'SKU_NOT_FOUND'
  | 'SALE_PAUSED'
  | 'SALE_CLOSED'
  | 'BACKLOG_FULL'
  | 'LOW_MEMORY'
  | 'BAD_REQUEST';

export interface OrderLine {
  readonly saleId: string;
  readonly sku: string;
  readonly quantity: number;
}

export interface ReserveOrderOutcome {
  readonly outcome: ReserveOrderCode;
  /** The line that was refused. */
  readonly sku?: string;
  readonly purchases: readonly Purchase[];
}

export interface OrderVerbs {
  /** Once per order id; lines of one SKU are summed. */
  reserveOrder(order: { orderId: string; items: readonly OrderLine[] }): Promise<ReserveOrderOutcome>;
  releaseOrder(
    orderId: string,
  ): Promise<{ outcome: 'RELEASED' | 'REPLAY' | 'NOT_FOUND'; purchases: readonly Purchase[] }>;
}

type WirePurchase = Parameters<typeof toPurchase>[1];
type WireRows = (readonly [string, WirePurchase | false])[];

/** One line a SKU, sorted, so that two carts never meet in opposite order. */
function mergeLines(items: readonly OrderLine[]): OrderLine[] {
  const merged = new Map<string, OrderLine>();
  for (const item of items) {
    const key = `${item.saleId} ${item.sku}`;
    merged.set(key, { ...item, quantity: item.quantity + (merged.get(key)?.quantity ?? 0) });
  }
  return [...merged.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, line]) => line);
}

/** Where an order id is bound to its body, whatever the body is. */
const homeOf = (orderId: string): number => Number.parseInt(fingerprint([orderId]).slice(0, 4), 36) % PARTITIONS;

/** Held, or paid. */
const ALIVE: ReadonlySet<PurchaseStatus> = new Set(['RESERVED', 'PAYMENT_PENDING', 'PAYMENT_FAILED', 'CONFIRMED']);

const toPurchases = (rows: WireRows): Purchase[] => rows.flatMap(([id, wire]) => (wire ? [toPurchase(id, wire)] : []));

export function createOrderVerbs(caller: ScriptCaller): OrderVerbs {
  async function reserveIn(partition: number, orderId: string, print: string, lines: readonly OrderLine[]) {
    const rows = lines.map((l) => [unownedPurchaseId(partition), l.saleId, l.sku, l.quantity]);
    const input = [orderId, print, rows, OUTBOX_BACKLOG_MAX_RECORDS];
    const body = bodyOf(await caller.call(partition, scripts.reserveOrder, input));
    const [outcome, sku, purchases] = body as [ReserveOrderCode, string, WireRows];
    return { outcome, sku, purchases: toPurchases(purchases) };
  }

  async function releaseIn(partition: number, orderId: string, forget = false) {
    const body = bodyOf(await caller.call(partition, scripts.releaseOrder, [orderId, forget ? 1 : 0]));
    const [outcome, rows] = body as ['RELEASED' | 'REPLAY' | 'NOT_FOUND', WireRows];
    return { outcome, purchases: toPurchases(rows) };
  }

  async function releaseEverywhere(orderId: string) {
    const purchases: Purchase[] = [];
    let outcome: 'RELEASED' | 'REPLAY' | 'NOT_FOUND' = 'NOT_FOUND';
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const result = await releaseIn(partition, orderId);
      purchases.push(...result.purchases);
      if (result.outcome === 'RELEASED' || (result.outcome === 'REPLAY' && outcome === 'NOT_FOUND')) {
        outcome = result.outcome;
      }
    }
    return { outcome, purchases };
  }

  async function areAlive(purchases: readonly Purchase[]): Promise<boolean> {
    const byPartition = Map.groupBy(purchases, (purchase) => partitionOf(purchase.purchaseId) ?? -1);
    for (const [partition, own] of byPartition) {
      const reply = await caller.call(partition, scripts.look, [own.map((purchase) => purchase.purchaseId)]);
      const rows = bodyOf(reply) as (readonly [WirePurchase, unknown] | false)[];
      if (!rows.every((row) => row && ALIVE.has(toPurchase('', row[0]).status))) return false;
    }
    return true;
  }

  return {
    async reserveOrder({ orderId, items }) {
      const lines = mergeLines(items);
      // The whole order, so that a repeat with another body is refused in every partition.
      const print = fingerprint(lines.flatMap((l) => [l.saleId, l.sku, l.quantity]));
      const byPartition = Map.groupBy(lines, (l) => partitionOf(l.saleId) ?? -1);
      if (lines.length === 0) return { outcome: 'BAD_REQUEST', purchases: [] };
      if (byPartition.has(-1)) return { outcome: 'SALE_NOT_FOUND', purchases: [] };
      const groups = [...byPartition].sort(([a], [b]) => a - b);
      // Last, and without lines: two bodies under one order id meet there even if their sales share no partition.
      const home = homeOf(orderId);
      if (!byPartition.has(home)) groups.push([home, []]);
      const purchases: Purchase[] = [];
      const answered: number[] = [];
      let isReplay = true;
      for (const [partition, group] of groups) {
        const result = await reserveIn(partition, orderId, print, group);
        if (result.outcome !== 'RESERVED' && result.outcome !== 'REPLAY') {
          // Also what an earlier, interrupted attempt had reserved: all or nothing.
          for (const done of answered) await releaseIn(done, orderId, true);
          return { outcome: result.outcome, ...(result.sku ? { sku: result.sku } : {}), purchases: [] };
        }
        answered.push(partition);
        isReplay &&= result.outcome === 'REPLAY' || group.length === 0;
        purchases.push(...result.purchases);
      }
      // Whoever gave the order back meanwhile may have passed a partition before we held anything there.
      if (byPartition.size > 1 && !(await areAlive(purchases))) {
        for (const done of answered) await releaseIn(done, orderId, true);
        return { outcome: 'INSUFFICIENT_STOCK', purchases: [] };
      }
      return { outcome: isReplay ? 'REPLAY' : 'RESERVED', purchases };
    },
    async releaseOrder(orderId) {
      const first = await releaseEverywhere(orderId);
      // A reservation under way may have held in one partition after it was looked at: until there is nothing to give back.
      let last = first;
      while (last.outcome === 'RELEASED') last = await releaseEverywhere(orderId);
      return { outcome: first.outcome, purchases: last.purchases };
    },
  };
}
