// The SQL that reads sales and SKUs: plain functions over a connection or a transaction (insert-store.ts creates them).
// Live counts are not here, they are Redis' (actors/stock-store.ts); this is what a sale was defined as, and what the
// outbox has told about it since.
import type { SaleStatus } from '../../actors/records.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';

export type PaymentStart = 'eager' | 'on_demand';

export interface NewSale {
  readonly saleId: string;
  readonly name: string;
  /** Milliseconds; null waits for `open`. */
  readonly opensAt: number | null;
  readonly closesAt: number | null;
  readonly holdSeconds: number;
  readonly perBuyerLimit: number;
  readonly lineLimit: number | null;
  readonly admissionPerSecond: number | null;
  readonly paymentStart: PaymentStart;
  readonly createdBy: string;
  /** Into how many buckets its stock is split; 1 unless told. */
  readonly buckets?: number;
  readonly items: readonly { sku: string; stock: number; unitPrice: number; currency: string }[];
}

export interface SaleItemRow {
  readonly sku: string;
  readonly stock: number;
  /** Of all buckets; `stock` where there is one. */
  readonly totalStock: number;
  readonly loaded: number;
  readonly unitPrice: number;
  readonly currency: string;
  /** False once the sale is CLOSED: the SKU is free for another sale. */
  readonly isLive: boolean;
}

export interface SaleRow extends Omit<NewSale, 'items' | 'buckets'> {
  readonly buckets: number;
  readonly status: SaleStatus;
  readonly version: number;
  readonly isInstalled: boolean;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly items: readonly SaleItemRow[];
}

interface SaleSql {
  sale_id: string;
  name: string;
  status: SaleStatus;
  version: number;
  opens_at: Date | null;
  closes_at: Date | null;
  hold_seconds: number;
  per_buyer_limit: number;
  line_limit: number | null;
  admission_per_second: number | null;
  payment_start: PaymentStart;
  installed: boolean;
  created_by: string;
  buckets: number;
  created_at: Date;
  updated_at: Date;
  items: SaleItemRow[];
}

// json_build_object of bigints gives JSON numbers; the limits of the wire keep them within a double's integers.
const SELECT_SALE = `
  SELECT s.*, i.items FROM sales s CROSS JOIN LATERAL (
    SELECT coalesce(json_agg(json_build_object('sku', sku, 'stock', stock,
             'totalStock', coalesce(total_stock, stock), 'loaded', loaded, 'unitPrice', unit_price,
             'currency', currency, 'isLive', is_live) ORDER BY line_no), '[]') AS items
      FROM sale_items WHERE sale_id = s.sale_id) i`;

function toSale(row: SaleSql): SaleRow {
  return {
    saleId: row.sale_id,
    name: row.name,
    status: row.status,
    version: row.version,
    opensAt: row.opens_at?.getTime() ?? null,
    closesAt: row.closes_at?.getTime() ?? null,
    holdSeconds: row.hold_seconds,
    perBuyerLimit: row.per_buyer_limit,
    lineLimit: row.line_limit,
    admissionPerSecond: row.admission_per_second,
    paymentStart: row.payment_start,
    isInstalled: row.installed,
    createdBy: row.created_by,
    buckets: row.buckets,
    createdAt: row.created_at.getTime(),
    updatedAt: row.updated_at.getTime(),
    items: row.items,
  };
}

export async function findSale(db: Queryable, saleId: string): Promise<SaleRow | undefined> {
  return (await findSales(db, [saleId]))[0];
}

/** The sales among `saleIds` that exist, in no particular order. */
export async function findSales(db: Queryable, saleIds: readonly string[]): Promise<SaleRow[]> {
  const { rows } = await db.query<SaleSql>(`${SELECT_SALE} WHERE s.sale_id = ANY($1::text[])`, [saleIds]);
  return rows.map(toSale);
}

/** Newest first, each once, under the id that the public knows. `after` is the last saleId of the page before; an unknown one gives an empty page. */
export async function listSales(
  db: Queryable,
  page: { after?: string | undefined; limit: number; status?: SaleStatus | undefined },
): Promise<SaleRow[]> {
  const { rows } = await db.query<SaleSql>(
    `${SELECT_SALE}
     WHERE ($1::text IS NULL OR (s.created_at, s.sale_id) < (SELECT created_at, sale_id FROM sales WHERE sale_id = $1))
       AND ($2::text IS NULL OR s.status = $2) AND s.bucket = 0
     ORDER BY s.created_at DESC, s.sale_id DESC LIMIT $3`,
    [page.after ?? null, page.status ?? null, page.limit],
  );
  return rows.map(toSale);
}

export interface SkuSale {
  readonly saleId: string;
  readonly isLive: boolean;
}

/** The sale that a SKU is in: the live one, else the latest. */
export async function saleOfSku(db: Queryable, sku: string): Promise<SkuSale | undefined> {
  return (await salesOfSkus(db, [sku])).get(sku);
}

/** The same for several SKUs; a SKU that was never on sale is absent. */
export async function salesOfSkus(db: Queryable, skus: readonly string[]): Promise<Map<string, SkuSale>> {
  const { rows } = await db.query<{ sku: string; sale_id: string; is_live: boolean }>(
    `SELECT DISTINCT ON (i.sku) i.sku, i.sale_id, i.is_live
       FROM sale_items i JOIN sales s USING (sale_id) WHERE i.sku = ANY($1::text[]) AND i.bucket = 0
      ORDER BY i.sku, i.is_live DESC, s.created_at DESC, s.sale_id DESC`,
    [skus],
  );
  return new Map(rows.map((row) => [row.sku, { saleId: row.sale_id, isLive: row.is_live }]));
}

/** The sales that are split and not closed in every bucket, by the ids that the public knows. */
export async function listSplitSales(db: Queryable): Promise<string[]> {
  const { rows } = await db.query<{ sale_id: string }>(
    `SELECT sale_id FROM sales WHERE buckets > 1 AND bucket = 0 AND status <> 'CLOSED' AND installed ORDER BY created_at`,
  );
  return rows.map((row) => row.sale_id);
}

/** Says that Redis knows the sale. */
export async function markInstalled(db: Queryable, saleId: string): Promise<void> {
  await db.query('UPDATE sales SET installed = true, updated_at = now() WHERE sale_id = $1 AND NOT installed', [
    saleId,
  ]);
}

/** Sales that were written but never reached Redis (the process died in between), oldest first; none younger than `ageMs`. */
export async function notInstalled(db: Queryable, limit: number, ageMs = 0): Promise<SaleRow[]> {
  const { rows } = await db.query<SaleSql>(
    `${SELECT_SALE} WHERE NOT s.installed AND s.created_at <= now() - $2 * interval '1 millisecond'
     ORDER BY s.created_at, s.sale_id LIMIT $1`,
    [limit, ageMs],
  );
  return rows.map(toSale);
}
