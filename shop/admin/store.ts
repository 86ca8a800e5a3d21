// The SQL of the audit that concerns sales and their SKUs as a whole: what there is to audit, the ledger's sums at an
// outbox position, the rows' sums, tickets, the order of admission, the limit per buyer. Reads only.
import { bucketIds } from '../../actors/buckets.ts';
import type { SaleStatus } from '../../actors/records.ts';
import { AUDIT_FINDINGS_MAX, QUERY_TIMEOUT_MS } from '../../core/constants.ts';
import type { Postgres, Queryable } from '../../core/postgres/postgres.ts';
import type { FindingRow } from './differences.ts';

export interface AuditedSale {
  readonly saleId: string;
  readonly name: string;
  readonly status: SaleStatus;
  readonly version: number;
  readonly isInstalled: boolean;
  readonly perBuyerLimit: number;
  readonly updatedAt: Date;
  readonly skus: readonly string[];
}

/** A buyer's request may not wait as long for Postgres as an audit of a million purchases. */
export async function withPatience<T>(postgres: Postgres, work: (tx: Queryable) => Promise<T>): Promise<T> {
  return postgres.transaction(async (tx) => {
    await tx.query(`SET LOCAL statement_timeout = ${QUERY_TIMEOUT_MS}`);
    return work(tx);
  });
}

/** All sales, or the one; of one that is split, every bucket. Oldest first. */
export async function findAuditedSales(db: Queryable, saleId?: string): Promise<AuditedSale[]> {
  const { rows } = await db.query<AuditedSale>(
    // Grouped once: as a subquery a sale it reads the whole table each time, until Postgres has statistics of it.
    `SELECT s.sale_id AS "saleId", s.name, s.status, s.version, s.installed AS "isInstalled",
            s.per_buyer_limit AS "perBuyerLimit", s.updated_at AS "updatedAt", coalesce(i.skus, '{}') AS skus
       FROM sales s LEFT JOIN (
         SELECT sale_id, array_agg(sku ORDER BY line_no) AS skus FROM sale_items
          WHERE $1::text[] IS NULL OR sale_id = ANY($1) GROUP BY sale_id) i USING (sale_id)
      WHERE $1::text[] IS NULL OR s.sale_id = ANY($1) ORDER BY s.created_at, s.sale_id`,
    [saleId === undefined ? null : bucketIds(saleId)],
  );
  return rows;
}

export async function findSaleStatus(
  db: Queryable,
  saleId: string,
): Promise<{ status: SaleStatus; version: number } | undefined> {
  const { rows } = await db.query<{ status: SaleStatus; version: number }>(
    'SELECT status, version FROM sales WHERE sale_id = $1',
    [saleId],
  );
  return rows[0];
}

export interface LedgerSums {
  readonly loaded: number;
  readonly available: number;
  readonly held: number;
  readonly sold: number;
}

/** What the ledger says of each SKU up to and with the given position of its partition; null is "all of it". */
export async function sumLedgerAt(
  db: Queryable,
  saleId: string,
  positions: readonly { sku: string; seq: number | null }[],
): Promise<Map<string, LedgerSums>> {
  const { rows } = await db.query<LedgerSums & { sku: string }>(
    `SELECT c.sku, coalesce(sum(d_loaded), 0)::bigint AS loaded, coalesce(sum(d_available), 0)::bigint AS available,
            coalesce(sum(d_held), 0)::bigint AS held, coalesce(sum(d_sold), 0)::bigint AS sold
       FROM unnest($2::text[], $3::bigint[]) AS c (sku, seq)
       LEFT JOIN ledger l ON l.sale_id = $1 AND l.sku = c.sku AND (c.seq IS NULL OR l.seq <= c.seq)
      GROUP BY c.sku`,
    [saleId, positions.map((p) => p.sku), positions.map((p) => p.seq)],
  );
  return new Map(rows.map(({ sku, ...sums }) => [sku, sums]));
}

export interface RowSums {
  readonly waiting: number;
  readonly confirmed: number;
  readonly tickets: number;
  readonly lastTicket: number;
}

/** The same from the purchases' rows, as they are now. */
export async function sumRows(db: Queryable, saleId: string): Promise<Map<string, RowSums>> {
  const { rows } = await db.query<RowSums & { sku: string }>(
    `SELECT sku, coalesce(sum(quantity) FILTER (WHERE status = 'WAITING'), 0)::bigint AS waiting,
            coalesce(sum(quantity) FILTER (WHERE status = 'CONFIRMED'), 0)::bigint AS confirmed,
            count(DISTINCT ticket) FILTER (WHERE ticket > 0) AS tickets, coalesce(max(ticket), 0)::bigint AS "lastTicket"
       FROM purchases WHERE sale_id = $1 GROUP BY sku`,
    [saleId],
  );
  return new Map(rows.map(({ sku, ...sums }) => [sku, sums]));
}

export interface OvertakingRow extends FindingRow {
  readonly ticket: number;
  readonly overtakenBy: number;
}

/** Holds that were granted after the hold of somebody with a later ticket. */
export async function findOvertaken(db: Queryable, saleId: string): Promise<OvertakingRow[]> {
  const { rows } = await db.query<OvertakingRow>(
    `WITH grants AS (
       SELECT l.sku, l.purchase_id, p.ticket, max(p.ticket) OVER (
                PARTITION BY l.sku ORDER BY l.seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS highest
         FROM ledger l JOIN purchases p USING (purchase_id)
        WHERE l.sale_id = $1 AND l.d_held > 0 AND p.ticket > 0)
     SELECT purchase_id AS "purchaseId", sku, ticket, highest AS "overtakenBy", count(*) OVER () AS total
       FROM grants WHERE ticket < highest ORDER BY sku, ticket LIMIT $2`,
    [saleId, AUDIT_FINDINGS_MAX],
  );
  return rows;
}

export interface OverLimitRow {
  readonly buyer: string;
  readonly units: number;
  readonly purchaseIds: readonly string[];
}

/** Buyers whose rows count for more units than the sale allows. Rows of different moments: to be looked at again. */
export async function findOverLimit(db: Queryable, saleId: string, perBuyerLimit: number): Promise<OverLimitRow[]> {
  const { rows } = await db.query<OverLimitRow>(
    `SELECT buyer_id AS buyer, sum(quantity)::bigint AS units, array_agg(purchase_id ORDER BY ticket) AS "purchaseIds"
       FROM purchases
      WHERE sale_id = $1 AND order_ref = ''
        AND status IN ('WAITING', 'RESERVED', 'PAYMENT_PENDING', 'PAYMENT_FAILED', 'CONFIRMED')
      GROUP BY buyer_id HAVING sum(quantity) > $2 ORDER BY buyer_id LIMIT $3`,
    [saleId, perBuyerLimit, AUDIT_FINDINGS_MAX],
  );
  return rows;
}
