// The SQL of a rebuild: who may do it, what is to be built, and the row that says what was done. What is missing in it is
// rebuild-books-store.ts.
import type { Postgres, Queryable } from '../../core/postgres/postgres.ts';

export interface PartitionRow {
  readonly partition: number;
  readonly epoch: number;
  /** The highest outbox position that was applied, or that any process was told of. */
  readonly seq: number;
}

export async function readPartitions(db: Queryable): Promise<PartitionRow[]> {
  const { rows } = await db.query<PartitionRow>(
    'SELECT partition, epoch, greatest(seq, seen) AS seq FROM partitions ORDER BY partition',
  );
  return rows;
}

/** One rebuild of a partition at a time, for as long as the transaction lasts, however long it is silent. */
export async function claimPartition(tx: Queryable, partition: number): Promise<boolean> {
  await tx.query('SET LOCAL idle_in_transaction_session_timeout = 0');
  await tx.query('SET LOCAL statement_timeout = 0');
  const { rows } = await tx.query<{ is_mine: boolean }>(
    `SELECT pg_try_advisory_xact_lock(hashtext('doorbuster rebuild'), $1) AS is_mine`,
    [partition],
  );
  return rows[0]?.is_mine ?? false;
}

/** From here on whoever still writes for an older epoch is refused. */
export async function raiseEpoch(db: Queryable, partition: number, epoch: number): Promise<void> {
  await db.query('UPDATE partitions SET epoch = $2 WHERE partition = $1 AND epoch < $2', [partition, epoch]);
}

/** Waits until whoever was writing for an older epoch has committed. Answers the highest position in the ledger. */
export async function flushWriters(postgres: Postgres, partition: number): Promise<number> {
  return postgres.transaction(async (tx) => {
    await holdPartition(tx, partition);
    await tx.query('SET LOCAL statement_timeout = 0');
    const { rows } = await tx.query<{ seq: number }>(
      'SELECT coalesce(max(seq), 0) AS seq FROM ledger WHERE partition = $1',
      [partition],
    );
    return rows[0]?.seq ?? 0;
  });
}

/** Nobody writes purchases of the partition before this transaction has ended. */
export async function holdPartition(tx: Queryable, partition: number): Promise<void> {
  await tx.query('SELECT epoch FROM partitions WHERE partition = $1 FOR UPDATE', [partition]);
}

export async function releasePartition(tx: Queryable, partition: number, seq: number): Promise<void> {
  await tx.query('UPDATE partitions SET seq = $2, seen = $2 WHERE partition = $1', [partition, seq]);
}

/** The sales that belong into Redis: not closed, closed less than `retentionMs` ago, or with a hold that has not ended. */
export async function listSalesToBuild(
  tx: Queryable,
  partition: number,
  retentionMs: number,
): Promise<{ saleId: string; isInstalled: boolean }[]> {
  const { rows } = await tx.query<{ saleId: string; isInstalled: boolean }>(
    `SELECT sale_id AS "saleId", installed AS "isInstalled" FROM sales s
      WHERE substr(sale_id, 6, 2) = $1
        AND (status <> 'CLOSED' OR updated_at > now() - $2 * interval '1 millisecond'
             OR EXISTS (SELECT FROM purchases p WHERE p.sale_id = s.sale_id
                         AND p.status IN ('WAITING', 'RESERVED', 'PAYMENT_PENDING', 'PAYMENT_FAILED')))
      ORDER BY created_at, sale_id`,
    [partition.toString(36).padStart(2, '0'), retentionMs],
  );
  return rows;
}

export async function sumLoads(tx: Queryable, saleId: string): Promise<Map<string, number>> {
  const { rows } = await tx.query<{ sku: string; loaded: number }>(
    'SELECT sku, sum(d_loaded)::bigint AS loaded FROM ledger WHERE sale_id = $1 GROUP BY sku',
    [saleId],
  );
  return new Map(rows.map((row) => [row.sku, row.loaded]));
}

export interface OperationRow {
  readonly operationId: string;
  readonly sku: string;
  readonly by: number;
  readonly keepMs: number;
}

/** Restocks whose id still counts once. */
export async function listOperations(tx: Queryable, saleId: string, keepMs: number): Promise<OperationRow[]> {
  const { rows } = await tx.query<OperationRow>(
    `SELECT purchase_id AS "operationId", sku, d_loaded AS by,
            ceil($2 - extract(epoch FROM now() - at) * 1000)::bigint AS "keepMs"
       FROM ledger WHERE sale_id = $1 AND d_loaded <> 0 AND purchase_id <> sale_id || '/' || sku
        AND at > now() - $2 * interval '1 millisecond'`,
    [saleId, keepMs],
  );
  return rows.filter((row) => row.keepMs > 0);
}

export async function countPurchases(tx: Queryable, saleIds: readonly string[]): Promise<number> {
  const { rows } = await tx.query<{ count: number }>(
    'SELECT count(*) AS count FROM purchases WHERE sale_id = ANY($1::text[])',
    [saleIds],
  );
  return rows[0]?.count ?? 0;
}

/** Orders with holds in these sales: each with the purchases of its latest try. */
export async function listOrderHolds(
  tx: Queryable,
  saleIds: readonly string[],
  partition: number,
): Promise<{ orderId: string; fingerprint: string; purchaseIds: string[] }[]> {
  const { rows } = await tx.query<{ orderId: string; fingerprint: string; purchaseIds: string[] }>(
    `SELECT DISTINCT ON (order_ref) order_ref AS "orderId", fingerprint, array_agg(purchase_id ORDER BY sku) AS "purchaseIds"
       FROM purchases p
      WHERE order_ref <> '' AND substr(purchase_id, 5, 2) = $2
        AND order_ref IN (SELECT order_ref FROM purchases WHERE sale_id = ANY($1::text[]) AND order_ref <> '')
      GROUP BY order_ref, fingerprint, created_at ORDER BY order_ref, created_at DESC`,
    [saleIds, partition.toString(36).padStart(2, '0')],
  );
  return rows;
}

/** Holds of which Postgres knows that they are paid. */
export async function listPaidHolds(
  tx: Queryable,
  saleIds: readonly string[],
): Promise<{ purchaseId: string; paymentRef: string }[]> {
  const { rows } = await tx.query<{ purchaseId: string; paymentRef: string }>(
    `SELECT p.purchase_id AS "purchaseId", coalesce(pay.provider_payment_id, pay.payment_id) AS "paymentRef"
       FROM purchases p
       JOIN payments pay ON pay.purchase_id = CASE WHEN p.order_ref = '' THEN p.purchase_id ELSE p.order_ref END
      WHERE p.sale_id = ANY($1::text[]) AND p.status IN ('RESERVED', 'PAYMENT_PENDING', 'PAYMENT_FAILED')
        AND pay.status = 'succeeded' AND NOT EXISTS (SELECT FROM refunds r WHERE r.purchase_id = p.purchase_id)
      ORDER BY 1`,
    [saleIds],
  );
  return rows;
}

/** Paid purchases whose order was taken back in Postgres, and of which the return of their units never came. */
export async function listTakenBack(tx: Queryable, saleIds: readonly string[]): Promise<string[]> {
  const { rows } = await tx.query<{ id: string }>(
    `SELECT purchase_id AS id FROM purchases
      WHERE sale_id = ANY($1::text[]) AND status = 'CONFIRMED' AND order_status = 'CANCELLED' ORDER BY 1`,
    [saleIds],
  );
  return rows.map(({ id }) => id);
}

export interface RebuildRow {
  readonly rebuildId: string;
  readonly partition: number;
  readonly epoch: number;
  readonly saleId: string | null;
  readonly reason: string;
}

export async function insertRebuild(db: Queryable, row: RebuildRow): Promise<void> {
  await db.query('INSERT INTO rebuilds (rebuild_id, partition, epoch, sale_id, reason) VALUES ($1, $2, $3, $4, $5)', [
    row.rebuildId,
    row.partition,
    row.epoch,
    row.saleId,
    row.reason,
  ]);
}

export interface Built {
  readonly sales: number;
  readonly purchases: number;
  /** Records that were still in the outbox, and are in Postgres now. */
  readonly drained: number;
  /** Holds that turned out to be paid. */
  readonly confirmed: number;
  /** Movements that never came, set right in the ledger. */
  readonly corrected: number;
  /** Places in a line of which nothing else is left. */
  readonly lostTickets: number;
}

export async function finishRebuild(db: Queryable, rebuildId: string, built: Built): Promise<void> {
  await db.query(
    `UPDATE rebuilds SET finished_at = now(), sales = $2, purchases = $3, drained = $4, confirmed = $5, corrected = $6, lost_tickets = $7
      WHERE rebuild_id = $1`,
    [rebuildId, built.sales, built.purchases, built.drained, built.confirmed, built.corrected, built.lostTickets],
  );
}
