// The SQL that holds the purchases of Redis against those of Postgres: the census goes into a temporary table, and three
// joins tell what is missing, behind or different. Rows that are newer than the census are none of these.
import type { Purchase } from '../../actors/records.ts';
import { AUDIT_FINDINGS_MAX, AUDIT_LOAD_ROWS } from '../../core/constants.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';
import type { FindingRow } from './differences.ts';

/** For the length of the transaction. */
export async function loadCensus(tx: Queryable, purchases: readonly Purchase[]): Promise<void> {
  await tx.query(
    `CREATE TEMPORARY TABLE audit_census (
       purchase_id text PRIMARY KEY, version bigint, status text, buyer_id text, sku text, quantity bigint, ticket bigint,
       unit_price bigint, currency text, order_ref text) ON COMMIT DROP`,
  );
  for (let from = 0; from < purchases.length; from += AUDIT_LOAD_ROWS) {
    const rows = purchases.slice(from, from + AUDIT_LOAD_ROWS);
    await tx.query(
      `INSERT INTO audit_census SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[],
         $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::text[])`,
      [
        rows.map((p) => p.purchaseId),
        rows.map((p) => p.version),
        rows.map((p) => p.status),
        rows.map((p) => p.buyer),
        rows.map((p) => p.sku),
        rows.map((p) => p.quantity),
        rows.map((p) => p.ticket),
        rows.map((p) => p.unitPrice),
        rows.map((p) => p.currency),
        rows.map((p) => p.orderRef),
      ],
    );
  }
  await tx.query('ANALYZE audit_census');
}

export interface CensusRow extends FindingRow {
  readonly kind: 'missing' | 'behind' | 'differs';
  readonly redisVersion: number;
  readonly redisStatus: string;
  readonly rowVersion: number | null;
  readonly rowStatus: string | null;
  /** Names of the columns that differ at the same version. */
  readonly columns: string;
}

/** Purchases that Redis has and Postgres lacks, has older, or has otherwise. */
export async function findUnequalRows(tx: Queryable): Promise<CensusRow[]> {
  const { rows } = await tx.query<CensusRow>(
    `SELECT * FROM (
       SELECT c.purchase_id AS "purchaseId", c.sku, c.version AS "redisVersion", c.status AS "redisStatus",
              p.version AS "rowVersion", p.status AS "rowStatus",
              CASE WHEN p.purchase_id IS NULL THEN 'missing' WHEN p.version < c.version THEN 'behind' ELSE 'differs' END AS kind,
              concat_ws(', ', CASE WHEN p.status <> c.status THEN 'status' END, CASE WHEN p.sku <> c.sku THEN 'SKU' END,
                        CASE WHEN p.quantity <> c.quantity THEN 'quantity' END, CASE WHEN p.ticket <> c.ticket THEN 'ticket' END,
                        CASE WHEN p.buyer_id <> c.buyer_id THEN 'buyer' END,
                        CASE WHEN (p.unit_price, p.currency) <> (c.unit_price, c.currency) THEN 'price' END,
                        CASE WHEN p.order_ref <> c.order_ref THEN 'order' END) AS columns,
              count(*) OVER (PARTITION BY CASE WHEN p.purchase_id IS NULL THEN 1 WHEN p.version < c.version THEN 2 ELSE 3 END) AS total,
              row_number() OVER (PARTITION BY CASE WHEN p.purchase_id IS NULL THEN 1 WHEN p.version < c.version THEN 2 ELSE 3 END
                                 ORDER BY c.purchase_id) AS place
         FROM audit_census c LEFT JOIN purchases p USING (purchase_id)
        WHERE p.purchase_id IS NULL OR p.version < c.version
           OR (p.version = c.version AND (p.status, p.sku, p.quantity, p.ticket, p.buyer_id, p.unit_price, p.currency, p.order_ref)
                 IS DISTINCT FROM (c.status, c.sku, c.quantity, c.ticket, c.buyer_id, c.unit_price, c.currency, c.order_ref))
     ) found WHERE place <= $1 ORDER BY "purchaseId"`,
    [AUDIT_FINDINGS_MAX],
  );
  return rows;
}

export interface UnknownRow extends FindingRow {
  readonly status: string;
  readonly ticket: number;
}

/** Rows of purchases that Redis should have counted: of a ticket given out before the census began, or a hold of an order. */
export async function findUnknownToRedis(
  tx: Queryable,
  saleId: string,
  skus: readonly { sku: string; ticketsAtStart: number }[],
  unreadable: readonly string[],
): Promise<UnknownRow[]> {
  const { rows } = await tx.query<UnknownRow>(
    `SELECT p.purchase_id AS "purchaseId", p.sku, p.status, p.ticket, count(*) OVER () AS total
       FROM purchases p JOIN unnest($2::text[], $3::bigint[]) AS c (sku, last) ON c.sku = p.sku AND p.ticket <= c.last
      WHERE p.sale_id = $1 AND p.purchase_id <> ALL($4::text[])
        AND NOT EXISTS (SELECT FROM audit_census a WHERE a.purchase_id = p.purchase_id)
      ORDER BY p.purchase_id LIMIT $5`,
    [saleId, skus.map((s) => s.sku), skus.map((s) => s.ticketsAtStart), unreadable, AUDIT_FINDINGS_MAX],
  );
  return rows;
}
