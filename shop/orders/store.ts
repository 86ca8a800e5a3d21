// The SQL that reads orders. They are written by the outbox (apply-store.ts).
import type { Queryable } from '../../core/postgres/postgres.ts';
import type { OrderStatus } from './order-states.ts';

export interface OrderItem {
  readonly sku: string;
  readonly quantity: number;
  /** Minor units. */
  readonly unitPrice: number;
}

export interface Order {
  readonly orderId: string;
  /** Null for a cart's order. */
  readonly purchaseId: string | null;
  readonly userId: string;
  readonly saleId: string | null;
  readonly status: OrderStatus;
  readonly version: number;
  readonly totalAmount: number;
  readonly currency: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly items: readonly OrderItem[];
}

interface OrderSql {
  order_id: string;
  purchase_id: string | null;
  user_id: string;
  sale_id: string | null;
  status: OrderStatus;
  version: number;
  total_amount: number;
  currency: string;
  created_at: Date;
  updated_at: Date;
  items: OrderItem[];
}

const SELECT_ORDER = `
  SELECT o.*, i.items FROM orders o CROSS JOIN LATERAL (
    SELECT coalesce(json_agg(json_build_object('sku', sku, 'quantity', quantity, 'unitPrice', unit_price) ORDER BY line_no), '[]') AS items
      FROM order_items WHERE payment_key = o.payment_key) i`;

/** What is found by an order's id: the purchase that it names, or the cart's order of that id. */
const KEYS = `('pur_' || substr($1, 5), $1)`;

export async function findOrder(db: Queryable, orderId: string): Promise<Order | undefined> {
  const { rows } = await db.query<OrderSql>(`${SELECT_ORDER} WHERE o.payment_key IN ${KEYS} AND o.order_id = $1`, [
    orderId,
  ]);
  return rows[0] === undefined ? undefined : toOrder(rows[0]);
}

/** A user's orders, newest first. `after` is the last orderId of the page before. */
export async function listOrders(
  db: Queryable,
  page: { userId: string; after?: string | undefined; limit: number },
): Promise<Order[]> {
  const { rows } = await db.query<OrderSql>(
    `${SELECT_ORDER}
     WHERE o.user_id = $1
       AND ($2::text IS NULL OR (o.created_at, o.order_id) < (
              SELECT created_at, order_id FROM orders WHERE payment_key IN ('pur_' || substr($2, 5), $2) AND order_id = $2))
     ORDER BY o.created_at DESC, o.order_id DESC LIMIT $3`,
    [page.userId, page.after ?? null, page.limit],
  );
  return rows.map(toOrder);
}

/**
 * Moves an order by hand (packing, shipping, cancelling), if it still is where the caller saw it. The version is the
 * purchase's and stays: the outbox must win over it with the very next change.
 */
export async function moveOrder(db: Queryable, orderId: string, from: OrderStatus, to: OrderStatus): Promise<boolean> {
  const { rows } = await db.query(
    `WITH own AS (
       UPDATE purchases SET order_status = $3, order_moved_at = now()
        WHERE purchase_id = 'pur_' || substr($1, 5) AND $1 LIKE 'ord\\_%' AND order_status = $2 RETURNING 1
     ), cart AS (
       UPDATE cart_orders SET status = $3, updated_at = now() WHERE order_id = $1 AND status = $2 RETURNING 1)
     SELECT FROM own UNION ALL SELECT FROM cart`,
    [orderId, from, to],
  );
  return rows.length === 1;
}

/** Whether the workers start the payments of a sale, for the sales that exist. */
export async function readPaymentStarts(db: Queryable, saleIds: readonly string[]): Promise<Map<string, boolean>> {
  const { rows } = await db.query<{ sale_id: string; is_eager: boolean }>(
    "SELECT sale_id, payment_start = 'eager' AS is_eager FROM sales WHERE sale_id = ANY($1::text[])",
    [saleIds],
  );
  return new Map(rows.map((row) => [row.sale_id, row.is_eager]));
}

function toOrder(row: OrderSql): Order {
  return {
    orderId: row.order_id,
    purchaseId: row.purchase_id,
    userId: row.user_id,
    saleId: row.sale_id,
    status: row.status,
    version: row.version,
    totalAmount: row.total_amount,
    currency: row.currency,
    createdAt: row.created_at.getTime(),
    updatedAt: row.updated_at.getTime(),
    items: row.items,
  };
}
