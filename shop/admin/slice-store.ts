// The SQL of the continuous audit that compares: a slice of purchases by their keys, so that its cost is the slice's and not
// the sale's; and sums over a sale at one outbox position each. Reads only.
import type { SlicePurchase } from '../../actors/block-verbs.ts';
import { decodeOutbox } from '../../actors/outbox.ts';
import type { OutboxRecord } from '../../actors/records.ts';
import { AUDIT_FINDINGS_MAX } from '../../core/constants.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';

/** Orders that are paid: what is sold must be among them, and nothing else. */
const PAID = `('CONFIRMED', 'PACKED', 'SHIPPED', 'DELIVERED')`;

export type SliceFault = 'missing' | 'behind' | 'differs' | 'order_missing' | 'order_status' | 'ledger';

export interface SliceRow {
  readonly purchaseId: string;
  readonly fault: SliceFault;
  readonly version: number;
  readonly status: string;
  readonly quantity: number;
  readonly rowVersion: number | null;
  readonly rowStatus: string | null;
  readonly orderStatus: string | null;
  readonly held: number;
  readonly sold: number;
}

/**
 * Purchases of Redis that their row, their order or their movements contradict. The outbox must be applied up to where they
 * were read; what is newer in Postgres is compared with what Postgres has beside it, and movements up to the version read.
 */
export async function findUnequalSlice(
  db: Queryable,
  sku: string,
  purchases: readonly SlicePurchase[],
): Promise<SliceRow[]> {
  const { rows } = await db.query<SliceRow>(
    `WITH c AS (
       SELECT * FROM unnest($2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[]) AS c (purchase_id, version, status, quantity, ticket)
     ), joined AS (
       SELECT c.*, p.version AS row_version, p.status AS row_status, p.order_status,
              coalesce(l.held, 0)::bigint + h.units AS l_held, coalesce(l.sold, 0)::bigint AS l_sold, coalesce(l.available, 0) - h.units AS l_available,
              CASE WHEN c.status IN ('RESERVED', 'PAYMENT_PENDING', 'PAYMENT_FAILED') THEN c.quantity ELSE 0 END AS own_held,
              CASE WHEN c.status = 'CONFIRMED' THEN c.quantity ELSE 0 END AS own_sold,
              p.version = c.version AND (p.status, p.quantity, p.ticket, p.sku) IS DISTINCT FROM (c.status, c.quantity, c.ticket, $1) AS is_other,
              p.had_hold AND p.order_ref = '' AS has_order
         -- Row by row (LIMIT keeps it so): for some thousand keys the planner would read a table of a sale's size from end to end.
         FROM c LEFT JOIN LATERAL (SELECT * FROM purchases p WHERE p.purchase_id = c.purchase_id LIMIT 1) p ON true
        -- The ledger, part by part: the view would look every row up twice.
        CROSS JOIN LATERAL (SELECT CASE WHEN p.hold_version <= c.version THEN p.quantity ELSE 0 END
                                  - CASE WHEN p.end_version <= c.version THEN p.quantity ELSE 0 END AS units) h
         LEFT JOIN LATERAL (
           SELECT sum(d_held) AS held, sum(d_sold) AS sold, sum(d_available) AS available
             FROM movements m
            WHERE m.purchase_id = c.purchase_id AND m.version <= c.version AND p.hold_version IS DISTINCT FROM c.version) l ON true
     ), judged AS (
       SELECT *, CASE
           WHEN row_version IS NULL THEN 'missing'
           WHEN row_version < version THEN 'behind'
           WHEN is_other THEN 'differs'
           WHEN has_order AND order_status IS NULL THEN 'order_missing'
           -- CANCELLED beside CONFIRMED is an order that is being taken back: its units follow. REFUNDED is one whose money
           -- went back without its units, which were shipped.
           WHEN has_order AND ((row_status = 'CONFIRMED' AND order_status NOT IN ${PAID} AND order_status NOT IN ('CANCELLED', 'REFUNDED'))
                               OR (row_status <> 'CONFIRMED' AND order_status IN ${PAID})) THEN 'order_status'
           WHEN (l_held, l_sold, l_available) IS DISTINCT FROM (own_held, own_sold, -own_held - own_sold) THEN 'ledger'
         END AS fault
         FROM joined)
     SELECT purchase_id AS "purchaseId", fault, version, status, quantity, row_version AS "rowVersion", row_status AS "rowStatus",
            order_status AS "orderStatus", l_held AS held, l_sold AS sold
       FROM judged WHERE fault IS NOT NULL ORDER BY purchase_id`,
    [
      sku,
      purchases.map((p) => p.purchaseId),
      purchases.map((p) => p.version),
      purchases.map((p) => p.status),
      purchases.map((p) => p.quantity),
      purchases.map((p) => p.ticket),
    ],
  );
  return rows;
}

/**
 * Rows with a ticket from a range that Redis gave to none of the purchases named. Holds of orders all have ticket 0: of
 * those only the ones whose stock had moved by the position at which Redis was read.
 */
export async function findForeignRows(
  db: Queryable,
  where: { saleId: string; sku: string; from: number; to: number; seq: number },
  known: readonly string[],
): Promise<{ purchaseId: string; status: string; ticket: number }[]> {
  const { rows } = await db.query<{ purchaseId: string; status: string; ticket: number }>(
    `SELECT purchase_id AS "purchaseId", status, ticket FROM purchases p
      WHERE sale_id = $1 AND sku = $2 AND ticket BETWEEN $3 AND $4 AND purchase_id <> ALL($6::text[])
        AND (ticket > 0 OR EXISTS (SELECT FROM ledger l WHERE l.purchase_id = p.purchase_id AND l.seq <= $5))
      ORDER BY ticket LIMIT $7`,
    [where.saleId, where.sku, where.from, where.to, where.seq, known, AUDIT_FINDINGS_MAX],
  );
  return rows;
}

/** Units sold by paid orders as they were at a position: as they are now, less what was sold and given back since. */
export async function sumPaidOrdersAt(
  db: Queryable,
  saleId: string,
  positions: readonly { sku: string; seq: number }[],
): Promise<Map<string, number>> {
  const { rows } = await db.query<{ sku: string; sold: number }>(
    `WITH paid AS (
       SELECT sku, sum(quantity) AS units FROM purchases
        WHERE sale_id = $1 AND (order_status IN ${PAID} OR (order_status IN ('CANCELLED', 'REFUNDED') AND status = 'CONFIRMED')) GROUP BY sku
     ), carts AS (
       SELECT sku, sum(quantity) AS units FROM purchases
        WHERE sale_id = $1 AND order_ref <> '' AND status = 'CONFIRMED' GROUP BY sku)
     SELECT c.sku, (coalesce(paid.units, 0) + coalesce(carts.units, 0) - coalesce(tail.units, 0))::bigint AS sold
       FROM unnest($2::text[], $3::bigint[]) AS c (sku, seq)
       LEFT JOIN paid ON paid.sku = c.sku
       LEFT JOIN carts ON carts.sku = c.sku
       LEFT JOIN LATERAL (
         SELECT sum(d_sold) AS units FROM movements l WHERE l.sale_id = $1 AND l.sku = c.sku AND l.seq > c.seq) tail ON true`,
    [saleId, positions.map((p) => p.sku), positions.map((p) => p.seq)],
  );
  return new Map(rows.map(({ sku, sold }) => [sku, sold]));
}

/** SKUs of a sale of which Postgres has purchases. */
export async function findBoughtSkus(db: Queryable, saleId: string, skus: readonly string[]): Promise<Set<string>> {
  const { rows } = await db.query<{ sku: string }>(
    `SELECT c.sku FROM unnest($2::text[]) AS c (sku)
      WHERE EXISTS (SELECT FROM purchases p WHERE p.sale_id = $1 AND p.sku = c.sku)`,
    [saleId, skus],
  );
  return new Set(rows.map((row) => row.sku));
}

/** Records of a partition that Postgres refused as data and nobody has replayed: differences that are known. */
export async function findDeadRecords(db: Queryable, partition: number): Promise<OutboxRecord[]> {
  const { rows } = await db.query<{ bytes: Buffer }>(
    `SELECT bytes FROM dead_records WHERE partition = $1 AND kind IN ('purchase', 'stock') AND (replayed_at IS NULL OR outcome LIKE '%DROPPED')`,
    [partition],
  );
  return rows.flatMap((row) => decodeOutbox(row.bytes));
}
