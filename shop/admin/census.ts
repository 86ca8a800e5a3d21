// The purchases of a sale as Redis holds them, read page by page. A sale that is busy moves between two pages: each SKU
// says whether its counts stood still, and only then may its purchases be summed up and compared with them.
import type { Purchase, SkuCounters } from '../../actors/records.ts';
import type { SaleSnapshot } from '../../actors/sale-verbs.ts';
import type { StockStore } from '../../actors/stock-store.ts';
import { AUDIT_CENSUS_PASSES, AUDIT_PARALLEL_SKUS } from '../../core/constants.ts';

export interface SkuCensus {
  readonly sku: string;
  /** As of the last page. */
  readonly counters: SkuCounters;
  /** Outbox position of the last page. */
  readonly seq: number;
  /** No change between the first page and the last. */
  readonly isStill: boolean;
  /** Tickets given out before the first page: all of these must be among the purchases. */
  readonly ticketsAtStart: number;
  readonly purchases: readonly Purchase[];
  /** Ids that have a ticket and no readable record. */
  readonly missing: readonly string[];
}

async function readOnce(stock: StockStore, saleId: string, sku: string): Promise<SkuCensus | undefined> {
  const first = await stock.census(saleId, sku, 1);
  if (first === undefined) return undefined;
  // By id, since a ticket given out meanwhile moves the pages of what follows.
  const purchases = new Map(first.purchases.map((purchase) => [purchase.purchaseId, purchase]));
  const missing = new Set(first.missing);
  let page = first;
  let isStill = true;
  while (page.next > 0) {
    const next = await stock.census(saleId, sku, page.next);
    if (next === undefined) return undefined;
    page = next;
    isStill &&= page.counters.version === first.counters.version;
    for (const purchase of page.purchases) purchases.set(purchase.purchaseId, purchase);
    for (const id of page.missing) missing.add(id);
  }
  return {
    sku,
    counters: page.counters,
    seq: page.seq,
    isStill,
    ticketsAtStart: first.counters.lastTicket,
    purchases: [...purchases.values()],
    missing: [...missing],
  };
}

/** Tries again while the SKU moves, but not for ever: a sale in full swing never stands still. */
async function readSku(stock: StockStore, saleId: string, sku: string): Promise<SkuCensus | undefined> {
  let census: SkuCensus | undefined;
  for (let pass = 0; pass < AUDIT_CENSUS_PASSES; pass++) {
    census = await readOnce(stock, saleId, sku);
    if (census === undefined || census.isStill) break;
  }
  return census;
}

const isUntouched = (c: SkuCounters): boolean => c.lastTicket === 0 && c.held === 0 && c.sold === 0 && c.waiting === 0;

/** What a snapshot says of a SKU that nobody has bought: there is nothing to read. */
function ofUntouched({ seq }: SaleSnapshot, counters: SkuCounters): SkuCensus {
  return { sku: counters.sku, counters, seq, isStill: true, ticketsAtStart: 0, purchases: [], missing: [] };
}

/**
 * In the order of the snapshot. A SKU that was never bought is not read again, unless `hasRows` says that Postgres has
 * purchases of it: most SKUs of a large assortment are such.
 */
export async function readCensus(
  stock: StockStore,
  snapshot: SaleSnapshot,
  hasRows: (sku: string) => boolean,
  onSku: () => void,
): Promise<SkuCensus[]> {
  const { items, saleId } = snapshot;
  const found: (SkuCensus | undefined)[] = items.map(() => undefined);
  let next = 0;
  async function take(): Promise<void> {
    for (let index = next++; index < items.length; index = next++) {
      const counters = items[index];
      if (counters === undefined) return;
      const { sku } = counters;
      const mayRest = isUntouched(counters) && !hasRows(sku);
      found[index] = mayRest ? ofUntouched(snapshot, counters) : await readSku(stock, saleId, sku);
      onSku();
    }
  }
  await Promise.all(Array.from({ length: Math.min(AUDIT_PARALLEL_SKUS, items.length) }, take));
  return found.filter((census) => census !== undefined);
}
