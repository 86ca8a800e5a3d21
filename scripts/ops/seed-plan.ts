// What a stock file comes to, given what is on sale already: which sales are to be made, to which SKUs stock is added, and
// what is left alone. Pure, and the same for the same file, so that a second run finds what a first one did.
import type { LiveSku } from '../../shop/admin/admin.ts';
import type { SeedRow } from './seed-rows.worker.ts';

export interface PlannedSale {
  readonly name: string;
  readonly rows: readonly SeedRow[];
}

export interface SeedPlan {
  readonly sales: readonly PlannedSale[];
  readonly additions: readonly SeedRow[];
  /** In a live sale that this file made. */
  readonly seededBefore: readonly SeedRow[];
  /** Stock was added to them from this file. */
  readonly addedBefore: readonly SeedRow[];
  /** In a live sale that something else made, without --add. */
  readonly inAnotherSale: readonly SeedRow[];
}

export interface Surroundings {
  readonly live: ReadonlyMap<string, LiveSku>;
  readonly loadedBefore: ReadonlySet<string>;
  /** Under whose name this file makes sales. */
  readonly seeder: string;
}

export function planSeed(
  rows: readonly SeedRow[],
  { live, loadedBefore, seeder }: Surroundings,
  options: { saleName: string; itemsPerSale: number; isAdding: boolean },
): SeedPlan {
  const isLive = (row: SeedRow): boolean => live.has(row.sku);
  const others = rows.filter((row) => isLive(row) && live.get(row.sku)?.createdBy !== seeder);
  const unloaded = others.filter((row) => !loadedBefore.has(row.sku));
  return {
    sales: planSales(rows, isLive, options),
    // An addition of nothing is none.
    additions: options.isAdding ? unloaded.filter((row) => row.stock > 0) : [],
    seededBefore: rows.filter((row) => live.get(row.sku)?.createdBy === seeder),
    addedBefore: others.filter((row) => loadedBefore.has(row.sku)),
    inAnotherSale: options.isAdding ? [] : unloaded,
  };
}

/** The file's rows are cut into sales first and what is live is left out afterwards: names stay, whatever was done before. */
function planSales(
  rows: readonly SeedRow[],
  isLive: (row: SeedRow) => boolean,
  { saleName, itemsPerSale }: { saleName: string; itemsPerSale: number },
): PlannedSale[] {
  const byName = Map.groupBy(rows, (row) => row.sale || saleName);
  return [...byName].flatMap(([name, own]) => {
    const count = Math.ceil(own.length / itemsPerSale);
    const slices = Array.from({ length: count }, (_, i) => own.slice(i * itemsPerSale, (i + 1) * itemsPerSale));
    return slices
      .map((slice, i) => ({
        name: count === 1 ? name : `${name} (${i + 1}/${count})`,
        rows: slice.filter((row) => !isLive(row)),
      }))
      .filter((sale) => sale.rows.length > 0);
  });
}
