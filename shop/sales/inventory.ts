// Inventory as the seed's other services see it: stock by SKU, adjusted by operators, held for orders by the checkout.
// A SKU is on at most one sale that is not closed; which one is kept in memory for a second, the counts never are.
import { bucketIds, bucketsOf } from '../../actors/buckets.ts';
import type { Purchase, SkuCounters } from '../../actors/records.ts';
import type { OrderLine, ReserveOrderOutcome } from '../../actors/order-verbs.ts';
import type { StockStore } from '../../actors/stock-store.ts';
import type { Clock } from '../../core/clock.ts';
import { SKU_LOOKUP_MEMORY_MS, SKU_LOOKUPS_MAX } from '../../core/constants.ts';
import { type ErrorCode, fault } from '../../core/errors.ts';
import { fingerprint, hashedId, randomId } from '../../core/ids.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import { snapshotBuckets, sumCounts } from './live-sales.ts';
import { findMovement, findOrderHolds, sumLedger } from './purchase-store.ts';
import { isHolding } from './purchase-states.ts';
import { findSale, type SkuSale, salesOfSkus } from './store.ts';
import { SKU_PATTERN } from './wire.ts';
import type { AdjustRequest, ReserveRequest } from './wire-inventory.ts';

export type InventoryCounts = Omit<SkuCounters, 'version' | 'head' | 'lastTicket' | 'everywhere'>;

export interface OrderHold {
  purchases: readonly Purchase[];
  isReplay: boolean;
}

export interface Inventory {
  get(sku: string): Promise<InventoryCounts>;
  adjust(change: AdjustRequest, by: { userId: string; key: string | undefined }): Promise<InventoryCounts>;
  /** All or nothing; the same order again gets its first answer. */
  reserve(order: ReserveRequest): Promise<OrderHold>;
  release(orderId: string): Promise<OrderHold>;
}

const unknownSku = (sku: string) => fault('SKU_NOT_FOUND', `the SKU ${sku} was never on sale`, { members: { sku } });

interface Adjustment {
  readonly saleId: string;
  readonly by: number;
  readonly operationId: string;
}

/** The change of each bucket, the same whenever it is asked for. What is taken away would have to be looked for: not split. */
function splitAdjustment(saleId: string, by: number, operationId: string): Adjustment[] | undefined {
  const ids = bucketIds(saleId);
  if (ids.length === 1) return [{ saleId, by, operationId }];
  if (by < 0) return undefined;
  return ids.flatMap((id, bucket) => {
    const share = Math.floor(by / ids.length) + (bucket < by % ids.length ? 1 : 0);
    return share === 0 ? [] : [{ saleId: id, by: share, operationId: `${operationId}-${bucket}` }];
  });
}

export function createInventory(dependencies: { postgres: Postgres; stock: StockStore; clock: Clock }): Inventory {
  const { postgres, stock, clock } = dependencies;
  const memory = new Map<string, { sale: SkuSale; until: number }>();

  /** The live sale of each SKU, else its latest. Throws for a SKU that has neither. */
  async function salesOf(skus: readonly string[]): Promise<Map<string, SkuSale>> {
    const now = clock.now();
    const found = new Map<string, SkuSale>();
    for (const sku of skus) {
      const known = memory.get(sku);
      if (known !== undefined && known.until > now) found.set(sku, known.sale);
    }
    const unknown = skus.filter((sku) => !found.has(sku));
    if (unknown.length > 0) {
      const rows = await salesOfSkus(postgres, unknown);
      if (memory.size + rows.size > SKU_LOOKUPS_MAX) memory.clear();
      for (const [sku, sale] of rows) {
        found.set(sku, sale);
        // A closed sale may have a successor any moment; only a live one is worth remembering.
        if (sale.isLive) memory.set(sku, { sale, until: now + SKU_LOOKUP_MEMORY_MS });
      }
    }
    for (const sku of skus) if (!found.has(sku)) throw unknownSku(sku);
    return found;
  }

  async function saleOf(sku: string): Promise<SkuSale> {
    const sale = SKU_PATTERN.test(sku) ? (await salesOf([sku])).get(sku) : undefined;
    if (sale === undefined) throw unknownSku(sku);
    return sale;
  }

  /** For a sale that Redis does not have: forgotten after its close, or not installed yet. */
  async function countsOfLedger(saleId: string, sku: string): Promise<InventoryCounts> {
    const [sale, rows] = [await findSale(postgres, saleId), await sumLedger(postgres, bucketIds(saleId))];
    const counts = sumCounts(rows).get(sku);
    if (sale === undefined || counts === undefined) throw unknownSku(sku);
    return { ...counts, saleId, sku, saleStatus: sale.status };
  }

  async function counts(saleId: string, sku: string): Promise<InventoryCounts> {
    const [buckets] = await snapshotBuckets(stock, [saleId]);
    const items = buckets?.flatMap((bucket) => bucket.items.filter((item) => item.sku === sku)) ?? [];
    const [first] = items;
    if (buckets?.[0]?.status === 'CLOSED') memory.delete(sku);
    const counts = sumCounts(items).get(sku);
    if (first === undefined || counts === undefined) return countsOfLedger(saleId, sku);
    return { ...counts, saleId, sku, saleStatus: first.saleStatus };
  }

  /** Redis remembers an operation for a day, the ledger for ever. */
  async function isDone({ operationId, by }: Adjustment, sku: string, saleId: string): Promise<boolean> {
    const earlier = await findMovement(postgres, operationId);
    if (earlier !== undefined && earlier.loaded !== by)
      throw fault('KEY_REUSED', undefined, { members: { sku, saleId } });
    return earlier !== undefined;
  }

  async function restock(change: Adjustment & { sku: string; reason: string }): Promise<SkuCounters | undefined> {
    const { sku, saleId } = change;
    const { outcome, counters } = await stock.restock(change);
    if (outcome === 'OK' || outcome === 'REPLAY') return counters;
    memory.delete(sku);
    if (outcome === 'BELOW') {
      throw fault('ADJUST_BELOW_COMMITTED', 'less would remain than is held and sold', { members: { sku } });
    }
    throw fault(outcome, undefined, { members: { sku, saleId } });
  }

  /**
   * From the buckets that the order's id names first, then from the next ones: each line from one bucket. A try that is refused
   * leaves nothing behind; an order that holds in other buckets already is KEY_REUSED until those are tried, and then a replay.
   */
  async function reserveSomewhere(orderId: string, lines: readonly OrderLine[]): Promise<ReserveOrderOutcome> {
    const tries = Math.max(...lines.map((line) => bucketsOf(line.saleId)));
    const first = Number.parseInt(fingerprint([orderId]).slice(0, 4), 36);
    let refusal: ReserveOrderOutcome | undefined;
    for (let turn = 0; turn < tries; turn += 1) {
      const items = lines.map((line) => {
        const ids = bucketIds(line.saleId);
        return { ...line, saleId: ids[(first + turn) % ids.length] ?? line.saleId };
      });
      const outcome = await stock.reserveOrder({ orderId, items });
      const isNext = outcome.outcome === 'INSUFFICIENT_STOCK' || outcome.outcome === 'KEY_REUSED';
      if (!isNext) return outcome;
      if (refusal?.outcome !== 'KEY_REUSED') refusal = outcome;
    }
    return refusal ?? { outcome: 'BAD_REQUEST', purchases: [] };
  }

  return {
    async get(sku) {
      const sale = await saleOf(sku);
      return counts(sale.saleId, sku);
    },

    async adjust({ sku, quantity, reason }, { userId, key }) {
      const { saleId } = await saleOf(sku);
      const operationId = key === undefined ? randomId('adj') : hashedId('adj', undefined, [userId, saleId, sku, key]);
      const parts = splitAdjustment(saleId, quantity, operationId);
      if (parts === undefined) {
        const fields = [{ field: 'quantity', message: 'must be positive: this stock is split into buckets' }];
        throw fault('VALIDATION_FAILED', 'not valid: quantity', { fields });
      }
      let done: SkuCounters | undefined;
      for (const part of parts) {
        const isRepetition = key !== undefined && (await isDone(part, sku, saleId));
        done = isRepetition ? undefined : await restock({ ...part, sku, reason });
      }
      return done !== undefined && parts.length === 1 && bucketsOf(saleId) === 1 ? done : counts(saleId, sku);
    },

    async reserve({ orderId, items }) {
      const quantities = new Map<string, number>();
      for (const { sku, quantity } of items) quantities.set(sku, (quantities.get(sku) ?? 0) + quantity);
      const skus = [...quantities.keys()].sort();
      const sales = await salesOf(skus);
      const lines = skus.flatMap((sku) => {
        const sale = sales.get(sku);
        return sale === undefined ? [] : [{ saleId: sale.saleId, sku, quantity: quantities.get(sku) ?? 0 }];
      });
      const { outcome, sku, purchases } = await reserveSomewhere(orderId, lines);
      if (outcome === 'RESERVED' || outcome === 'REPLAY') return { purchases, isReplay: outcome === 'REPLAY' };
      for (const line of lines) memory.delete(line.sku);
      const code: ErrorCode = outcome;
      throw fault(code, sku === undefined ? undefined : `${sku}: ${code.toLowerCase().replaceAll('_', ' ')}`, {
        members: sku === undefined ? { orderId } : { orderId, sku },
      });
    },

    async release(orderId) {
      for (let tries = 0; ; tries += 1) {
        const { outcome, purchases } = await stock.releaseOrder(orderId);
        // An order id may be known before its first line is held: nothing was given back then, and nothing is said to be.
        if (purchases.length > 0) return { purchases, isReplay: outcome !== 'RELEASED' };
        const past = await findOrderHolds(postgres, orderId);
        if (past.length === 0) throw fault('NOT_FOUND', 'nothing is held for this order', { members: { orderId } });
        // Held and written since Redis was asked: by now it is there to be given back.
        const isFresh = tries === 0 && past.some(({ status }) => isHolding(status));
        if (!isFresh) return { purchases: past, isReplay: true };
      }
    },
  };
}
