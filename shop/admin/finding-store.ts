// The SQL of the violations that the continuous audit found. One is open until a later check no longer has it, or an operator
// says that it is done; its row is kept, and the same violation afterwards is a row of its own.
import { bucketIds } from '../../actors/buckets.ts';
import { AUDIT_HISTORY_MAX } from '../../core/constants.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';
import type { Difference } from './differences.ts';

/** Answers those that were not open before. A finding of a whole sale has an empty SKU. */
export async function saveFindings(db: Queryable, findings: readonly Difference[]): Promise<Difference[]> {
  if (findings.length === 0) return [];
  const { rows } = await db.query<{ place: number; isNew: boolean }>(
    `WITH found AS (
       SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
         WITH ORDINALITY AS f (sale_id, sku, code, purchase_id, message, count, place)
     ), one AS (
       SELECT DISTINCT ON (sale_id, sku, code, purchase_id) * FROM found ORDER BY sale_id, sku, code, purchase_id, place
     ), saved AS (
       INSERT INTO audit_findings (sale_id, sku, code, purchase_id, message, count)
       SELECT sale_id, sku, code, purchase_id, message, count FROM one
       ON CONFLICT (sale_id, sku, code, purchase_id) WHERE resolved_at IS NULL
       DO UPDATE SET last_seen_at = now(), message = excluded.message, count = excluded.count
       RETURNING sale_id, sku, code, purchase_id, xmax = 0 AS is_new
     )
     SELECT place::int, is_new AS "isNew" FROM saved JOIN one USING (sale_id, sku, code, purchase_id)`,
    [
      findings.map((f) => f.saleId),
      findings.map((f) => f.sku ?? ''),
      findings.map((f) => f.code),
      findings.map((f) => f.purchaseId ?? ''),
      findings.map((f) => f.message),
      findings.map((f) => f.count ?? 1),
    ],
  );
  return rows.flatMap(({ place, isNew }) => {
    const finding = findings[place - 1];
    return isNew && finding !== undefined ? [finding] : [];
  });
}

/** Open findings of the SKUs that a check did not have any more; `except` are those it still has. */
export async function resolveFindings(
  db: Queryable,
  of: { saleId: string; skus: readonly string[] },
  except: readonly Difference[],
  resolution: string,
): Promise<number> {
  const { rowCount } = await db.query(
    `UPDATE audit_findings f SET resolved_at = now(), resolution = $3
      WHERE f.sale_id = $1 AND f.sku = ANY($2::text[]) AND f.resolved_at IS NULL
        AND NOT EXISTS (SELECT FROM unnest($4::text[], $5::text[], $6::text[]) AS e (sku, code, purchase_id)
                         WHERE e.sku = f.sku AND e.code = f.code AND e.purchase_id = f.purchase_id)`,
    [
      of.saleId,
      of.skus,
      resolution,
      except.map((f) => f.sku ?? ''),
      except.map((f) => f.code),
      except.map((f) => f.purchaseId ?? ''),
    ],
  );
  return rowCount;
}

export interface FindingEntry {
  readonly saleId: string;
  readonly sku: string;
  readonly code: string;
  readonly purchaseId: string;
  readonly message: string;
  readonly count: number;
  readonly firstSeenAt: Date;
  readonly lastSeenAt: Date;
  readonly resolvedAt: Date | null;
  readonly resolution: string;
}

/** Newest first: all that are open, and of one sale those of the past too. */
export async function listFindings(db: Queryable, saleId: string | undefined): Promise<FindingEntry[]> {
  const { rows } = await db.query<FindingEntry>(
    `SELECT sale_id AS "saleId", sku, code, purchase_id AS "purchaseId", message, count, first_seen_at AS "firstSeenAt",
            last_seen_at AS "lastSeenAt", resolved_at AS "resolvedAt", resolution
       FROM audit_findings WHERE ($1::text[] IS NULL AND resolved_at IS NULL) OR sale_id = ANY($1)
      ORDER BY resolved_at IS NOT NULL, finding_id DESC LIMIT $2`,
    [saleId === undefined ? null : bucketIds(saleId), AUDIT_HISTORY_MAX],
  );
  return rows;
}
