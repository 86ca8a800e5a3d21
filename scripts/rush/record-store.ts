// The SQL that reads the servers' records of one sale: its purchases, the order of their admission, its paid orders, and
// what the ledger says is sold. Reads only, and independently of the audit's SQL.
import type { Queryable } from '../../core/postgres/postgres.ts';

export interface Records {
  purchases: readonly PurchaseRow[];
  /** Of those that got a hold, in the order of the outbox. */
  admittedTickets: readonly number[];
  paidOrders: ReadonlySet<string>;
  /** Units, from the ledger. */
  sold: number;
}

interface PurchaseRow {
  purchaseId: string;
  status: string;
  ticket: number;
  hadHold: boolean;
}

const PURCHASES = `SELECT purchase_id AS "purchaseId", status, ticket, had_hold AS "hadHold"
  FROM purchases WHERE sale_id = $1 AND order_ref = '' ORDER BY ticket`;
const ADMISSIONS = `SELECT p.ticket FROM purchases p
  JOIN (SELECT purchase_id, min(seq) AS seq FROM ledger WHERE sale_id = $1 AND d_held > 0 GROUP BY purchase_id) l
    USING (purchase_id) ORDER BY l.seq`;
const PAID_ORDERS = `SELECT purchase_id AS "purchaseId" FROM orders
  WHERE sale_id = $1 AND status IN ('CONFIRMED', 'PACKED', 'SHIPPED', 'DELIVERED')`;
const SOLD = `SELECT coalesce(sum(d_sold), 0)::bigint AS sold FROM ledger WHERE sale_id = $1`;

export async function readRecords(postgres: Queryable, saleId: string): Promise<Records> {
  const purchases = await postgres.query<PurchaseRow>(PURCHASES, [saleId]);
  const admissions = await postgres.query<{ ticket: number }>(ADMISSIONS, [saleId]);
  const orders = await postgres.query<{ purchaseId: string }>(PAID_ORDERS, [saleId]);
  const ledger = await postgres.query<{ sold: number }>(SOLD, [saleId]);
  return {
    purchases: purchases.rows,
    admittedTickets: admissions.rows.map(({ ticket }) => ticket),
    paidOrders: new Set(orders.rows.map(({ purchaseId }) => purchaseId)),
    sold: ledger.rows[0]?.sold ?? 0,
  };
}
