// Sales as they are now: the definition from Postgres, the counts from Redis while it knows the sale, else from the ledger.
// Of a sale that is split, the sums over its buckets; units on their way between two of them are missing in these for a moment.
import type { SkuBlock } from '../../actors/block-verbs.ts';
import { bucketIds } from '../../actors/buckets.ts';
import type { SaleStatus, SkuCounters } from '../../actors/records.ts';
import type { SaleSnapshot } from '../../actors/sale-verbs.ts';
import type { StockStore } from '../../actors/stock-store.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import { sumLedger } from './purchase-store.ts';
import type { SaleRow } from './store.ts';

export type SkuCounts = Pick<SkuCounters, 'loaded' | 'available' | 'held' | 'sold' | 'waiting'>;

/** A sale as it is now. */
export interface LiveSale {
  row: SaleRow;
  status: SaleStatus;
  counts: ReadonlyMap<string, SkuCounts>;
  /** SKUs that are stopped though their sale may go on. */
  blocks: ReadonlyMap<string, SkuBlock>;
}

/** The counts of an open sale show by themselves that a SKU of it is stopped; a sale that is not open hides it. */
const mayBeBlocked = ({ status, items }: SaleSnapshot): boolean =>
  status === 'OPEN' ? items.some((item) => item.saleStatus === 'PAUSED') : status !== 'CLOSED';

/** Sums by SKU. */
export function sumCounts(items: readonly (SkuCounts & { readonly sku: string })[]): Map<string, SkuCounts> {
  const sums = new Map<string, SkuCounts>();
  for (const { sku, loaded, available, held, sold, waiting } of items) {
    const sum = sums.get(sku);
    sums.set(sku, {
      loaded: loaded + (sum?.loaded ?? 0),
      available: available + (sum?.available ?? 0),
      held: held + (sum?.held ?? 0),
      sold: sold + (sum?.sold ?? 0),
      waiting: waiting + (sum?.waiting ?? 0),
    });
  }
  return sums;
}

/** Every bucket's snapshot, or undefined where Redis lacks one of them. */
export async function snapshotBuckets(
  stock: Pick<StockStore, 'snapshot'>,
  saleIds: readonly string[],
): Promise<(SaleSnapshot[] | undefined)[]> {
  const groups = saleIds.map(bucketIds);
  const snapshots = await stock.snapshot(groups.flat());
  let at = 0;
  return groups.map((group) => {
    const own = snapshots.slice(at, (at += group.length)).filter((snapshot) => snapshot !== undefined);
    return own.length === group.length ? own : undefined;
  });
}

/** Adds what is known now; one call a partition to Redis and, for what it has forgotten, one to the ledger. */
export async function enliven(
  { postgres, stock }: { postgres: Postgres; stock: Pick<StockStore, 'snapshot' | 'blocksOf'> },
  rows: readonly SaleRow[],
): Promise<LiveSale[]> {
  if (rows.length === 0) return [];
  const found = await snapshotBuckets(
    stock,
    rows.map((row) => row.saleId),
  );
  const forgotten = rows.filter((row, i) => found[i] === undefined && row.isInstalled);
  const ids = forgotten.flatMap((row) => bucketIds(row.saleId));
  const ledger = ids.length === 0 ? [] : await sumLedger(postgres, ids);
  // Of a page of sales, those that are not open would cost a call each, for what hardly ever is.
  const isAsked = (snapshot: SaleSnapshot): boolean =>
    mayBeBlocked(snapshot) && (rows.length === 1 || snapshot.status === 'OPEN');
  const sales = rows.map(async (row, i): Promise<LiveSale> => {
    const buckets = found[i];
    const [first] = buckets ?? [];
    if (buckets !== undefined && first !== undefined) {
      const asked = buckets.filter(isAsked).map(({ saleId }) => stock.blocksOf(saleId));
      const blocks = (await Promise.all(asked)).flat();
      const counts = sumCounts(buckets.flatMap(({ items }) => items));
      return { row, status: first.status, counts, blocks: new Map(blocks.map((block) => [block.sku, block])) };
    }
    const own = new Set(bucketIds(row.saleId));
    const counts = sumCounts(ledger.filter((item) => own.has(item.saleId)));
    return { row, status: row.status, counts, blocks: new Map() };
  });
  return Promise.all(sales);
}
