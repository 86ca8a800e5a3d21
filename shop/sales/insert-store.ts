// The SQL that creates a sale with its SKUs, and where it is split its buckets, all or nothing. A SKU that is on sale already is an answer, not an exception.
import { bucketIds } from '../../actors/buckets.ts';
import type { Postgres, Queryable } from '../../core/postgres/postgres.ts';
import type { NewSale } from './store.ts';
import { salesOfSkus } from './store.ts';

export type InsertSaleOutcome =
  | { kind: 'inserted' }
  | { kind: 'exists' }
  | { kind: 'sku_taken'; sku: string; saleId: string };

/** Leaves the transaction of `insertSale` without its rows; never seen outside. */
class SkuTaken extends Error {}

/** All of the sale or nothing. A second sale of a live SKU is a value; two racing for one are told apart by the unique index. */
export async function insertSale(postgres: Postgres, sale: NewSale): Promise<InsertSaleOutcome> {
  // Sorted, so that two sales with the same SKUs wait for each other in one order.
  const items = sale.items.map((item, index) => ({ ...item, lineNo: index + 1 }));
  items.sort((a, b) => (a.sku < b.sku ? -1 : 1));
  const ids = bucketIds(sale.saleId);
  let taken: string | undefined;
  try {
    const isNew = await postgres.transaction(async (tx) => {
      await tx.query('INSERT INTO skus (sku) SELECT unnest($1::text[]) ON CONFLICT (sku) DO NOTHING', [
        items.map((item) => item.sku),
      ]);
      for (const [bucket, saleId] of ids.entries()) {
        const place = { bucket, buckets: ids.length };
        if (!(await insertSaleRow(tx, { ...sale, saleId }, place))) return false;
        taken = await insertItems(tx, saleId, items, place);
        if (taken !== undefined) throw new SkuTaken();
      }
      return true;
    });
    return { kind: isNew ? 'inserted' : 'exists' };
  } catch (error) {
    if (!(error instanceof SkuTaken) || taken === undefined) throw error;
    const owner = (await salesOfSkus(postgres, [taken])).get(taken);
    return { kind: 'sku_taken', sku: taken, saleId: owner?.saleId ?? '' };
  }
}

interface Place {
  readonly bucket: number;
  readonly buckets: number;
}

/** What one bucket has of a stock: they differ by one unit at most. */
function shareOf(stock: number, { bucket, buckets }: Place): number {
  return Math.floor(stock / buckets) + (bucket < stock % buckets ? 1 : 0);
}

async function insertSaleRow(tx: Queryable, sale: NewSale, { bucket, buckets }: Place): Promise<boolean> {
  const { rowCount } = await tx.query(
    `INSERT INTO sales (sale_id, name, opens_at, closes_at, hold_seconds, per_buyer_limit, line_limit,
                        admission_per_second, payment_start, created_by, bucket, buckets)
     VALUES ($1, $2, to_timestamp($3::float8 / 1000), to_timestamp($4::float8 / 1000), $5, $6, $7, $8, $9, $10, $11, $12)
     ON CONFLICT (sale_id) DO NOTHING`,
    [
      sale.saleId,
      sale.name,
      sale.opensAt,
      sale.closesAt,
      sale.holdSeconds,
      sale.perBuyerLimit,
      sale.lineLimit,
      sale.admissionPerSecond,
      sale.paymentStart,
      sale.createdBy,
      bucket,
      buckets,
    ],
  );
  return rowCount === 1;
}

/** Returns the first SKU that another live sale has. */
async function insertItems(
  tx: Queryable,
  saleId: string,
  items: readonly { sku: string; stock: number; unitPrice: number; currency: string; lineNo: number }[],
  place: Place,
): Promise<string | undefined> {
  const skus = items.map((item) => item.sku);
  const { rows } = await tx.query<{ sku: string }>(
    `INSERT INTO sale_items (sale_id, bucket, sku, line_no, stock, total_stock, unit_price, currency)
     SELECT $1, $8, * FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[])
     ON CONFLICT (sku, bucket) WHERE is_live DO NOTHING
     RETURNING sku`,
    [
      saleId,
      skus,
      items.map((item) => item.lineNo),
      items.map((item) => shareOf(item.stock, place)),
      items.map((item) => (place.buckets === 1 ? null : item.stock)),
      items.map((item) => item.unitPrice),
      items.map((item) => item.currency),
      place.bucket,
    ],
  );
  const inserted = new Set(rows.map((row) => row.sku));
  return skus.find((sku) => !inserted.has(sku));
}
