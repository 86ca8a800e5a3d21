// A purchase as the scripts store it (scripts/lua/include/encoding.lua), for tests that look at it or spoil it. Written apart
// from the scripts' own encoding: what it reads is what is really there.
import type { Purchase, PurchaseStatus } from '../../actors/records.ts';
import { pack, unpackAll } from '../../core/redis/msgpack.ts';
import type { Redis } from '../../core/redis/redis.ts';

const STATUSES: readonly PurchaseStatus[] = [
  ...(['WAITING', 'RESERVED', 'PAYMENT_PENDING', 'PAYMENT_FAILED', 'CONFIRMED'] as const),
  ...(['EXPIRED', 'CANCELLED', 'SOLD_OUT', 'REFUNDED'] as const),
];

export interface StoredPurchase {
  buyer: string;
  ticket: number;
  readonly skuNumber: number;
  version: number;
  status: PurchaseStatus;
  quantity: number;
  expiresAt: number;
  readonly createdAt: number;
  readonly updatedAt: number;
  reason: string;
  readonly orderRef: string;
  readonly fingerprint: string;
  readonly flags: number;
}

type Wire = [
  ...[string, number, number, number, number, number, number, number | false, number, string, string, string, number],
];

/** The tail that a lot keeps for its purchases, by the SKU's number and the lot. */
export type TailOf = (skuNumber: number, lot: number) => Buffer | undefined;

export function decodeStored(raw: Buffer, tailOf: TailOf): StoredPurchase {
  const values = unpackAll(raw);
  const [, , number, lot] = values as number[];
  // Buyer, ticket, SKU and lot, or buyer, ticket and twelve more; a test that put something else there does not read it back.
  const tail = values.length === 4 ? unpackAll(tailOf(number ?? 0, lot ?? 0) ?? Buffer.alloc(0)) : values.slice(2);
  const [buyer, ticket, skuNumber, version, status, quantity, createdAt, endsMs, updatedMs, ...rest] = [
    ...values.slice(0, 2),
    ...tail,
  ] as Wire;
  const [reason, orderRef, fingerprint, flags] = rest;
  return {
    ...{ buyer, ticket, skuNumber, version, status: STATUSES[status - 1] ?? 'WAITING', quantity, createdAt },
    ...{ expiresAt: endsMs === false ? 0 : createdAt + endsMs, updatedAt: createdAt + updatedMs },
    ...{ reason, orderRef, fingerprint, flags },
  };
}

function encodeStored(p: StoredPurchase): Buffer {
  const status = STATUSES.indexOf(p.status) + 1;
  const values = [
    ...[p.buyer, p.ticket, p.skuNumber, p.version, status, p.quantity, p.createdAt],
    ...[p.expiresAt === 0 ? false : p.expiresAt - p.createdAt, p.updatedAt - p.createdAt],
    ...[p.reason, p.orderRef, p.fingerprint, p.flags],
  ];
  return Buffer.concat(values.map(pack));
}

/** `names`: what stands under the SKU's number in the hash `skus`. */
export function toStoredPurchase(
  purchaseId: string,
  raw: Buffer,
  names: ReadonlyMap<string, string>,
  tailOf: TailOf,
): Purchase {
  const { skuNumber, flags, ...p } = decodeStored(raw, tailOf);
  const [saleId = '', sku = '', unitPrice, currency = ''] = (names.get(String(skuNumber)) ?? '').split(' ');
  return {
    ...{ ...p, purchaseId, saleId, sku, currency, unitPrice: Number(unitPrice) },
    isRefundDue: flags % 2 === 1,
    hadHold: flags >= 2,
  };
}

/** The hash of a partition's purchases, and the field of one in it; `tag` is what all keys of the partition begin with. */
export function placeOf(tag: string, purchaseId: string): readonly [key: string, field: string] {
  const head = `pur_${Number(/\d+/.exec(tag)?.[0]).toString(36).padStart(2, '0')}`;
  return [`${tag}purchases`, purchaseId.startsWith(head) ? purchaseId.slice(head.length) : `/${purchaseId}`];
}

export async function readStored(redis: Redis, tag: string, purchaseId: string): Promise<StoredPurchase> {
  const raw = (await redis.hgetBuffer(...placeOf(tag, purchaseId))) ?? Buffer.alloc(0);
  const [, , number, lot] = unpackAll(raw) as number[];
  const [saleId, sku] = ((await redis.hget(`${tag}skus`, String(number))) ?? '').split(' ');
  const tail = await redis.hgetBuffer(`${tag}lots:${saleId}:${sku}`, String(lot));
  return decodeStored(raw, () => tail ?? undefined);
}

/** Something else than what the scripts know of it is written over a purchase. */
export async function changeStored(
  redis: Redis,
  tag: string,
  purchaseId: string,
  changes: Partial<StoredPurchase>,
): Promise<void> {
  const changed = encodeStored({ ...(await readStored(redis, tag, purchaseId)), ...changes });
  await redis.hset(...placeOf(tag, purchaseId), changed);
}

/** The bytes of a purchase are lost, or others stand in their place. */
export async function spoilStored(
  redis: Redis,
  tag: string,
  purchaseId: string,
  bytes?: string | Buffer,
): Promise<void> {
  if (bytes === undefined) await redis.hdel(...placeOf(tag, purchaseId));
  else await redis.hset(...placeOf(tag, purchaseId), bytes);
}
