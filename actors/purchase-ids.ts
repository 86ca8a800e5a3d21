// The ids of purchases: they begin with a print of buyer and sale, so that the scripts find all that a buyer has in a sale in
// one place, whichever of its purchases they are asked about (scripts/lua/include/folders.lua). Knows no key of Redis.
import { hashedId, ownedId, ownerPrint, partitionOf, randomId } from '../core/ids.ts';
import { keepLast } from '../core/last-made.ts';

/** What a buyer wants is always asked of the sale, or bucket, in which the buyer buys (buckets.ts). */
export const printOfBuyer = (saleId: string, buyer: string): string => ownerPrint([buyer, saleId]);

const homeOf = keepLast((saleId: string) => partitionOf(saleId));

/** A new one, or with a key the same for ever. */
export function newPurchaseId(saleId: string, buyer: string, key?: string): string {
  const partition = homeOf(saleId);
  if (partition === undefined) throw new RangeError(`sale id ${saleId} names no partition`);
  return ownedId('pur', partition, [buyer, saleId], key === undefined ? undefined : [buyer, saleId, key]);
}

/** One of nobody that is known, for tools that fill a Redis. */
export const unownedPurchaseId = (partition: number | undefined): string => ownedId('pur', partition, [randomId('u')]);

/** What the same wish was called before ids had a print. */
export function olderPurchaseId(saleId: string, buyer: string, key: string): string {
  return hashedId('pur', partitionOf(saleId), [buyer, saleId, key]);
}
