// The SQL of what becomes of purchases that are there: their newest state by a plain UPDATE. Only for records that were surely
// never applied; whatever may be known already, or is not there after all, is the upsert's (apply-store.ts).
import type { Queryable } from '../../core/postgres/postgres.ts';
import { FULFILMENT } from './order-states.ts';
import { inParts, type PurchaseRow, toChangeParameters } from './purchase-rows.ts';

/** Changes the rows that begin nothing, neither purchase nor hold; answers those that are still to be written. */
export async function updateKnown(tx: Queryable, rows: readonly PurchaseRow[]): Promise<readonly PurchaseRow[]> {
  const known = rows.filter(isChange);
  if (known.length === 0) return rows;
  // By key, row by row: for a thousand of them the planner would read a table of some ten thousand from end to end.
  await tx.query('SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off');
  let written = 0;
  // In the outbox's order, in which they are alike in rows, and near to each other in the table: who else locks several rows of a
  // partition holds the partition itself.
  for (const part of inParts(known)) {
    written += (await tx.query(UPDATE_PURCHASES, toChangeParameters(part))).rowCount;
  }
  // Some are not there, or not older: the upsert finds out which, and finds the others done.
  if (written < known.length) return rows;
  return known.length === rows.length ? [] : rows.filter((row) => !isChange(row));
}

const isChange = ({ isBegun, hold }: PurchaseRow): boolean => !isBegun && hold === undefined;

/** News of a payment does not take an order back from its way to the buyer. */
const UPDATE_PURCHASES = `
  UPDATE purchases p SET
    version = ($5::bigint[])[n],
    status = ($6::text[])[n],
    expires_at = to_timestamp(nullif(($7::float8[])[n], 0) / 1000),
    reason = r.reason,
    is_refund_due = ($8::bool[])[n],
    had_hold = ($9::bool[])[n],
    updated_at = to_timestamp(($10::float8[])[n] / 1000),
    order_status = CASE WHEN ($11::text[])[n] IS NULL
                          OR (($11::text[])[n] = 'CONFIRMED' AND p.order_status IN (${FULFILMENT.map((status) => `'${status}'`).join(', ')}))
                        THEN p.order_status ELSE ($11::text[])[n] END,
    end_version = coalesce(p.end_version, ($12::bigint[])[n]),
    end_seq = coalesce(p.end_seq, nullif(r.end_seq, 0)),
    end_at = coalesce(p.end_at, to_timestamp(($13::float8[])[n] / 1000))
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::int[]) AS r (id, reason, end_seq, n)
   WHERE p.purchase_id = r.id AND p.version < ($5::bigint[])[n]`;
