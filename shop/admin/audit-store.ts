// The SQL of what the continuous audit remembers: who audits, which sales there are, and what the last check of each SKU said.
import { bucketIds } from '../../actors/buckets.ts';
import type { SaleStatus } from '../../actors/records.ts';
import { AUDIT_AFTER_CLOSE_MS, RETENTION_AFTER_CLOSE_MS } from '../../core/constants.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';

export interface WatchedSale {
  readonly saleId: string;
  readonly name: string;
  readonly status: SaleStatus;
  readonly skus: readonly string[];
}

/** A sale with something still open is looked at for as long as Redis has it, so that its repair is noticed. */
const WATCHED = `s.installed AND (s.status <> 'CLOSED' OR s.updated_at > now() - ${AUDIT_AFTER_CLOSE_MS} * interval '1 millisecond'
  OR (s.updated_at > now() - ${RETENTION_AFTER_CLOSE_MS} * interval '1 millisecond'
      AND EXISTS (SELECT FROM audit_findings f WHERE f.sale_id = s.sale_id AND f.resolved_at IS NULL)))`;

/** Sales whose stock is still moved by somebody; those that were checked longest ago first. */
export async function findWatchedSales(db: Queryable): Promise<WatchedSale[]> {
  const { rows } = await db.query<WatchedSale>(
    `SELECT s.sale_id AS "saleId", s.name, s.status, array_agg(i.sku ORDER BY i.line_no) AS skus
       FROM sales s JOIN sale_items i USING (sale_id) LEFT JOIN audit_checks c ON c.sale_id = s.sale_id AND c.sku = i.sku
      WHERE ${WATCHED} GROUP BY s.sale_id
      ORDER BY min(coalesce(c.checked_at, '-infinity')), s.sale_id`,
  );
  return rows;
}

/** True: this holder audits until the lease ends, and nobody else does. Renews what the holder has. */
export async function takeLease(db: Queryable, holder: string, leaseMs: number): Promise<boolean> {
  const { rowCount } = await db.query(
    `INSERT INTO audit_leases (name, holder, until) VALUES ('audit', $1, now() + $2 * interval '1 millisecond')
     ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
      WHERE audit_leases.holder = excluded.holder OR audit_leases.until < now()`,
    [holder, leaseMs],
  );
  return rowCount === 1;
}

/** At the end of a process, so that the next need not wait. */
export async function dropLease(db: Queryable, holder: string): Promise<void> {
  await db.query('DELETE FROM audit_leases WHERE holder = $1', [holder]);
}

export interface CheckedSku {
  readonly sku: string;
  readonly agrees: boolean;
  readonly position: number;
  /** As JSON: the sums of each independent record. */
  readonly sums: object;
}

export async function saveChecks(db: Queryable, saleId: string, checks: readonly CheckedSku[]): Promise<void> {
  await db.query(
    `INSERT INTO audit_checks (sale_id, sku, state, checked_at, position, sums)
     SELECT $1, sku, CASE WHEN agrees THEN 'AGREES' ELSE 'DIFFERS' END, now(), position, sums
       FROM unnest($2::text[], $3::bool[], $4::bigint[], $5::jsonb[]) AS c (sku, agrees, position, sums)
     ON CONFLICT (sale_id, sku) DO UPDATE SET state = excluded.state, checked_at = excluded.checked_at,
       position = excluded.position, sums = excluded.sums, unknown_since = NULL, reason = ''`,
    [
      saleId,
      checks.map((check) => check.sku),
      checks.map((check) => check.agrees),
      checks.map((check) => check.position),
      checks.map((check) => JSON.stringify(check.sums)),
    ],
  );
}

/** The last result is kept beside it; since when nothing can be said is the first time that this was so. */
export async function saveUnknown(
  db: Queryable,
  saleId: string,
  skus: readonly string[],
  reason: string,
): Promise<void> {
  await db.query(
    `INSERT INTO audit_checks (sale_id, sku, state, unknown_since, reason)
     SELECT $1, sku, 'UNKNOWN', now(), $3 FROM unnest($2::text[]) AS c (sku)
     ON CONFLICT (sale_id, sku) DO UPDATE SET state = 'UNKNOWN', reason = excluded.reason,
       unknown_since = coalesce(audit_checks.unknown_since, excluded.unknown_since)`,
    [saleId, skus, reason],
  );
}

export interface CheckEntry {
  readonly saleId: string;
  readonly name: string;
  readonly status: SaleStatus;
  readonly sku: string;
  readonly state: 'AGREES' | 'DIFFERS' | 'UNKNOWN' | null;
  readonly checkedAt: Date | null;
  readonly position: number | null;
  readonly unknownSince: Date | null;
  readonly reason: string | null;
  readonly sums: Record<string, Record<string, number>> | null;
}

/** The watched sales, or the one with all its buckets, with the last check of each SKU; null where it was never checked. */
export async function listChecks(db: Queryable, saleId: string | undefined): Promise<CheckEntry[]> {
  const { rows } = await db.query<CheckEntry>(
    `SELECT s.sale_id AS "saleId", s.name, s.status, i.sku, c.state, c.checked_at AS "checkedAt", c.position,
            c.unknown_since AS "unknownSince", c.reason, c.sums
       FROM sales s JOIN sale_items i USING (sale_id) LEFT JOIN audit_checks c ON c.sale_id = s.sale_id AND c.sku = i.sku
      WHERE ($1::text[] IS NULL AND (${WATCHED})) OR s.sale_id = ANY($1)
      ORDER BY s.created_at DESC, s.sale_id, i.line_no`,
    [saleId === undefined ? null : bucketIds(saleId)],
  );
  return rows;
}

export interface AuditState {
  /** Seconds since the oldest of the newest checks of each live SKU ended, or since a SKU was installed that never was. */
  readonly ageSeconds: number;
  readonly open: readonly { readonly saleId: string; readonly sku: string; readonly count: number }[];
}

export async function readAuditState(db: Queryable): Promise<AuditState> {
  const age = await db.query<{ seconds: number }>(
    `SELECT coalesce(extract(epoch FROM now() - min(coalesce(c.checked_at, s.created_at))), 0)::float8 AS seconds
       FROM sales s JOIN sale_items i USING (sale_id) LEFT JOIN audit_checks c ON c.sale_id = s.sale_id AND c.sku = i.sku
      WHERE ${WATCHED}`,
  );
  const open = await db.query<{ saleId: string; sku: string; count: number }>(
    `SELECT f.sale_id AS "saleId", f.sku, sum(f.count)::bigint AS count FROM audit_findings f JOIN sales s USING (sale_id)
      WHERE f.resolved_at IS NULL AND ${WATCHED} GROUP BY f.sale_id, f.sku ORDER BY f.sale_id, f.sku`,
  );
  return { ageSeconds: age.rows[0]?.seconds ?? 0, open: open.rows };
}
