// A sale that outgrows one Redis is split into buckets: sales of their own, in partitions of their own, each with a share of
// the stock. A bucket's id says which it is of how many, so nothing is looked up: `sale_<partition><body>u<buckets><bucket>`.
// Bucket 0 has the id that the public knows. Ordinary ids have no `u` in their bodies (core/ids.ts).
import { PARTITIONS } from '../core/constants.ts';
import { partitionOf } from '../core/ids.ts';

const PARTITION_AT = 'sale_'.length;
const BODY_AT = PARTITION_AT + 2;
const MARK = 'u';
/** `u<buckets><bucket>` */
const SUFFIX_LENGTH = 3;
/** Beyond every stock: what a bucket takes the others for until it is told. */
const UNTOLD = 1e12;

/** How many buckets a sale has; 1 for one that is not split. */
export function bucketsOf(saleId: string): number {
  if (saleId.charAt(saleId.length - SUFFIX_LENGTH) !== MARK) return 1;
  const buckets = digitAt(saleId, 2);
  return buckets > 1 && buckets <= PARTITIONS && digitAt(saleId, 1) < buckets ? buckets : 1;
}

/** Which of its sale's buckets this is; 0 for one that is not split. */
export function bucketOf(saleId: string): number {
  return bucketsOf(saleId) === 1 ? 0 : digitAt(saleId, 1);
}

/** The id of a sale of as many buckets, from one that has none. */
export function splitId(saleId: string, buckets: number): string {
  return buckets === 1 ? saleId : `${saleId}${MARK}${buckets}0`;
}

/** The id that the public knows. */
export function publicSaleId(saleId: string): string {
  return bucketOf(saleId) === 0 ? saleId : bucketAt(saleId, 0);
}

/** The ids of all buckets, the public one first. */
export function bucketIds(saleId: string): string[] {
  const buckets = bucketsOf(saleId);
  return buckets === 1 ? [saleId] : Array.from({ length: buckets }, (_, bucket) => bucketAt(saleId, bucket));
}

/** The bucket in which a buyer buys, always: so the limit per buyer and every retry are decided in one script. */
export function bucketFor(saleId: string, buyer: string): string {
  const buckets = bucketsOf(saleId);
  return buckets === 1 ? saleId : bucketAt(saleId, hashOf(saleId.slice(BODY_AT), buyer) % buckets);
}

/** What a bucket's stock begins with beside its counts; nothing for a sale that is not split. */
export function untoldOf(saleId: string): readonly number[] {
  return bucketsOf(saleId) === 1 ? [] : [UNTOLD];
}

/** Bucket 0 is at home; each next one in the next partition, and so, where they lie in turns, on the next Redis. */
function bucketAt(saleId: string, bucket: number): string {
  const home = (partitionOf(saleId) ?? 0) - bucketOf(saleId) + PARTITIONS;
  const partition = ((home + bucket) % PARTITIONS).toString(36).padStart(2, '0');
  return `${saleId.slice(0, PARTITION_AT)}${partition}${saleId.slice(BODY_AT, -1)}${bucket}`;
}

function digitAt(saleId: string, fromEnd: number): number {
  return Number.parseInt(saleId.charAt(saleId.length - fromEnd), 36);
}

/** FNV-1a with a last mixing: even, and quick enough for every request. The last character, the bucket, is left out. */
function hashOf(sale: string, buyer: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < sale.length - 1; i += 1) hash = Math.imul(hash ^ sale.charCodeAt(i), 0x01000193);
  for (let i = 0; i < buyer.length; i += 1) hash = Math.imul(hash ^ buyer.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) >>> 0;
}
