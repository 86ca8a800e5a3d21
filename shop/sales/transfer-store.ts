// The SQL of transfers between the buckets of a sale: what was begun, and is finished by whoever finds it.
import type { Queryable } from '../../core/postgres/postgres.ts';

export interface Transfer {
  readonly transferId: string;
  /** The id that the public knows. */
  readonly saleId: string;
  readonly sku: string;
  readonly fromSale: string;
  readonly toSale: string;
  /** At most; how many there were is in the ledger. */
  readonly units: number;
  readonly isPressed: boolean;
}

/** One balancer at a time, for as long as the transaction lasts. Two would do no harm, but the work twice. */
export async function claimBalance(tx: Queryable): Promise<boolean> {
  const { rows } = await tx.query<{ is_mine: boolean }>(
    `SELECT pg_try_advisory_xact_lock(hashtext('doorbuster balance')) AS is_mine`,
  );
  return rows[0]?.is_mine ?? false;
}

export async function insertTransfers(db: Queryable, transfers: readonly Transfer[]): Promise<void> {
  await db.query(
    `INSERT INTO transfers (transfer_id, sale_id, sku, from_sale, to_sale, units, is_pressed)
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::boolean[])
     ON CONFLICT (transfer_id) DO NOTHING`,
    [
      transfers.map((t) => t.transferId),
      transfers.map((t) => t.saleId),
      transfers.map((t) => t.sku),
      transfers.map((t) => t.fromSale),
      transfers.map((t) => t.toSale),
      transfers.map((t) => t.units),
      transfers.map((t) => t.isPressed),
    ],
  );
}

const SELECT_TRANSFER = `
  SELECT transfer_id AS "transferId", sale_id AS "saleId", sku, from_sale AS "fromSale", to_sale AS "toSale", units,
         is_pressed AS "isPressed" FROM transfers`;

/** The oldest first. */
export async function openTransfers(db: Queryable, limit: number): Promise<Transfer[]> {
  const { rows } = await db.query<Transfer>(
    `${SELECT_TRANSFER} WHERE done_at IS NULL ORDER BY created_at, transfer_id LIMIT $1`,
    [limit],
  );
  return rows;
}

export async function openTransfersOf(db: Queryable, saleId: string): Promise<Transfer[]> {
  const { rows } = await db.query<Transfer>(`${SELECT_TRANSFER} WHERE done_at IS NULL AND sale_id = $1`, [saleId]);
  return rows;
}

export async function endTransfer(db: Queryable, transferId: string, moved: number): Promise<void> {
  await db.query('UPDATE transfers SET done_at = now(), moved = $2 WHERE transfer_id = $1 AND done_at IS NULL', [
    transferId,
    moved,
  ]);
}

export interface BrokenTransfer extends Pick<Transfer, 'transferId' | 'saleId' | 'sku' | 'fromSale' | 'toSale'> {
  readonly taken: number;
  readonly given: number;
}

/** Closed ones whose halves differ, and open ones that gave more than was taken. */
export async function findBrokenTransfers(db: Queryable, saleIds: readonly string[]): Promise<BrokenTransfer[]> {
  const { rows } = await db.query<BrokenTransfer>(
    `SELECT t.transfer_id AS "transferId", t.sale_id AS "saleId", t.sku, t.from_sale AS "fromSale", t.to_sale AS "toSale",
            h.taken, h.given
       FROM transfers t CROSS JOIN LATERAL (
         SELECT coalesce(-sum(d_loaded) FILTER (WHERE d_loaded < 0), 0)::bigint AS taken,
                coalesce(sum(d_loaded) FILTER (WHERE d_loaded > 0), 0)::bigint AS given
           FROM ledger WHERE purchase_id IN (t.transfer_id || '-out', t.transfer_id || '-in')) h
      WHERE t.sale_id = ANY($1::text[]) AND (h.given > h.taken OR (t.done_at IS NOT NULL AND h.given <> h.taken))
      ORDER BY t.created_at, t.transfer_id`,
    [saleIds],
  );
  return rows;
}
