// Builds the sales of a partition from what Postgres knows, into a Redis that answers nobody else: first what never came is
// closed in the books, then the sale, its purchases in the order of their tickets, and at last those holds are confirmed that
// are paid, before anybody can end them.
import type { Purchase, SkuCounters } from '../../actors/records.ts';
import type { StockStore } from '../../actors/stock-store.ts';
import type { Clock } from '../../core/clock.ts';
import {
  REBUILD_LOSS_MAX_MS,
  REBUILD_VERSION_MARGIN,
  RETENTION_AFTER_CLOSE_MS,
  SKU_VERSIONS_PER_EPOCH,
  SLICE_MAX,
} from '../../core/constants.ts';
import { hashedId } from '../../core/ids.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';
import { findSales, listPurchases, type SaleRow, toDefinition } from '../sales/sales.ts';
import { listStopped } from './block-store.ts';
import type { RebuildProgress } from './rebuild.ts';
import {
  endLateRefunds,
  findLostTickets,
  insertLostLoads,
  insertLostMovements,
  insertLostPlaces,
  raiseVersions,
} from './rebuild-books-store.ts';
import {
  type Built,
  countPurchases,
  listOperations,
  listOrderHolds,
  listPaidHolds,
  listTakenBack,
  sumLoads,
} from './rebuild-store.ts';

export interface SalesToBuild {
  readonly tx: Queryable;
  readonly stock: StockStore;
  readonly clock: Clock;
  readonly partition: number;
  readonly epoch: number;
  readonly seq: number;
  /** Redis lost something, else it is only to be repaired. */
  readonly hasLost: boolean;
  readonly saleIds: readonly string[];
  readonly tell: (step: RebuildProgress['step'], done: number, of: number) => void;
}

export type BuiltSales = Omit<Built, 'drained'> & { readonly unsound: readonly SkuCounters[] };

export async function buildSales(build: SalesToBuild): Promise<BuiltSales> {
  const { tx, stock, partition, saleIds } = build;
  const rows = (await findSales(tx, saleIds)).filter((sale) => sale.isInstalled);
  const books = { corrected: 0, lostTickets: 0 };
  for (const { saleId } of rows) {
    const closed = await closeBooks(build, saleId);
    books.corrected += closed.corrected;
    books.lostTickets += closed.lostTickets;
  }
  const total = await countPurchases(tx, saleIds);
  const counts = new Map<string, SkuCounters>();
  let purchases = 0;
  for (const sale of rows) {
    await buildSale(build, sale);
    for (const { sku } of sale.items) {
      for await (const page of pagesOf(tx, sale.saleId, sku)) {
        counts.set(`${sale.saleId} ${sku}`, await stock.buildPurchases(sale.saleId, sku, page));
        purchases += page.length;
        build.tell('building', purchases, total);
      }
    }
    for (const { sku, note } of await listStopped(tx, sale.saleId)) {
      await stock.blockSku(sale.saleId, sku, 'OPERATOR', note);
    }
  }
  const orders = await listOrderHolds(tx, saleIds, partition);
  for (let from = 0; from < orders.length; from += SLICE_MAX) {
    await stock.buildOrders(partition, orders.slice(from, from + SLICE_MAX));
  }
  const paid = await listPaidHolds(tx, saleIds);
  const answers = await stock.confirm(paid);
  // Their units and their money go back, as whoever cancelled them was told.
  const takenBack = await listTakenBack(tx, saleIds);
  await stock.release(takenBack.map((purchaseId) => ({ purchaseId, reason: 'REFUND' })));
  return {
    sales: rows.length,
    purchases,
    confirmed: answers.filter(({ decision }) => decision === 'CONFIRMED').length,
    ...books,
    unsound: [...counts.values()].filter((c) => c.available < 0),
  };
}

/** What never came is made visible, so that the books add up: in the ledger, and in the line. */
async function closeBooks(
  { tx, partition, seq, hasLost }: SalesToBuild,
  saleId: string,
): Promise<{ corrected: number; lostTickets: number }> {
  const late = await endLateRefunds(tx, saleId);
  if (hasLost) await raiseVersions(tx, saleId, REBUILD_VERSION_MARGIN, REBUILD_LOSS_MAX_MS);
  const loads = await insertLostLoads(tx, saleId, partition, seq);
  const movements = await insertLostMovements(tx, saleId, partition, seq);
  const lost = await findLostTickets(tx, saleId);
  const places = lost.map((place) => ({
    ...place,
    purchaseId: hashedId('pur', partition, ['lost', saleId, place.sku, String(place.ticket)]),
  }));
  if (places.length > 0) await insertLostPlaces(tx, saleId, places);
  return { corrected: late + loads + movements, lostTickets: lost.length };
}

async function buildSale({ tx, stock, epoch }: SalesToBuild, sale: SaleRow): Promise<void> {
  const loads = await sumLoads(tx, sale.saleId);
  await stock.buildSale({
    definition: toDefinition(sale),
    status: sale.status,
    version: sale.version,
    purgeAt: sale.status === 'CLOSED' ? sale.updatedAt + RETENTION_AFTER_CLOSE_MS : 0,
    items: sale.items.map(({ sku, unitPrice, currency }) => ({
      sku,
      unitPrice,
      currency,
      loaded: loads.get(sku) ?? 0,
    })),
    skuVersion: epoch * SKU_VERSIONS_PER_EPOCH,
    operations: await listOperations(tx, sale.saleId, RETENTION_AFTER_CLOSE_MS),
  });
}

/** In the order in which they are to be built: the holds of orders, then by ticket. */
async function* pagesOf(tx: Queryable, saleId: string, sku: string): AsyncGenerator<Purchase[]> {
  let after: Purchase | undefined;
  for (;;) {
    const page = await listPurchases(tx, saleId, sku, { after, limit: SLICE_MAX });
    if (page.length > 0) yield page;
    if (page.length < SLICE_MAX) return;
    after = page.at(-1);
  }
}
