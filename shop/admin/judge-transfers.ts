// Conservation over the buckets of a split sale: what left one of them has arrived in another, or is on its way in a row of
// its own. Each bucket by itself is judged like any sale; both halves of a transfer are in its ledger.
import { bucketOf, bucketsOf, publicSaleId } from '../../actors/buckets.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';
import { findBrokenTransfers } from '../sales/sales.ts';
import type { Difference } from './differences.ts';

/** `saleIds`: any sales, buckets or not. A transfer is closed only after both halves were read, so none is judged too early. */
export async function judgeTransfers(db: Queryable, saleIds: readonly string[]): Promise<Difference[]> {
  const split = new Set(saleIds.filter((saleId) => bucketsOf(saleId) > 1).map(publicSaleId));
  if (split.size === 0) return [];
  const broken = await findBrokenTransfers(db, [...split]);
  return broken.map(({ transferId, saleId, sku, fromSale, toSale, taken, given }) => ({
    code: 'TRANSFER_MISMATCH',
    saleId,
    sku,
    message:
      `${taken} units of ${sku} left bucket ${bucketOf(fromSale)} for bucket ${bucketOf(toSale)}, ` +
      `${given} arrived (${transferId})`,
  }));
}
