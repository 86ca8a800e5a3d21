// A purchase as the scripts store it (scripts/lua/include/encoding.lua), for tests that look at it or spoil it. Written apart
// from the scripts' own encoding: what it reads is what is really there. A folder of several records is read here too.
import type { Purchase, PurchaseStatus } from '../../actors/records.ts';
import { pack, unpackAll } from '../../core/redis/msgpack.ts';
import type { Redis } from '../../core/redis/redis.ts';

const STATUSES: readonly PurchaseStatus[] = [
  ...(['WAITING', 'RESERVED', 'PAYMENT_PENDING', 'PAYMENT_FAILED', 'CONFIRMED'] as const),
  ...(['EXPIRED', 'CANCELLED', 'SOLD_OUT', 'REFUNDED'] as const),
];

export interface StoredPurchase {
  /** What its id ends with, behind the print. */
  readonly rest: string;
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
  ...[
    string,
    string,
    number,
    number,
    number,
    number,
    number,
    number,
    number | false,
    number,
    string,
    string,
    string,
    number,
  ],
];

/** The tail that a lot keeps for its purchases, by the SKU's number and the lot. */
export type TailOf = (skuNumber: number, lot: number) => Buffer | undefined;

export function decodeStored(raw: Buffer, tailOf: TailOf): StoredPurchase {
  const values = unpackAll(raw);
  const [, , , number, lot] = values as number[];
  // Rest, buyer, ticket, SKU and lot, or those three and twelve more; a test that put something else there does not read it back.
  const tail = values.length === 5 ? unpackAll(tailOf(number ?? 0, lot ?? 0) ?? Buffer.alloc(0)) : values.slice(3);
  const [rest, buyer, ticket, skuNumber, version, status, quantity, createdAt, endsMs, updatedMs, ...others] = [
    ...values.slice(0, 3),
    ...tail,
  ] as Wire;
  const [reason, orderRef, fingerprint, flags] = others;
  return {
    ...{ rest, buyer, ticket, skuNumber, version, status: STATUSES[status - 1] ?? 'WAITING', quantity, createdAt },
    ...{ expiresAt: endsMs === false ? 0 : createdAt + endsMs, updatedAt: createdAt + updatedMs },
    ...{ reason, orderRef, fingerprint, flags },
  };
}

function encodeStored(p: StoredPurchase): Buffer {
  const status = STATUSES.indexOf(p.status) + 1;
  const values = [
    ...[p.rest, p.buyer, p.ticket, p.skuNumber, p.version, status, p.quantity, p.createdAt],
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
  const { skuNumber, flags, rest: _, ...p } = decodeStored(raw, tailOf);
  const [saleId = '', sku = '', unitPrice, currency = ''] = (names.get(String(skuNumber)) ?? '').split(' ');
  return {
    ...{ ...p, purchaseId, saleId, sku, currency, unitPrice: Number(unitPrice) },
    isRefundDue: flags % 2 === 1,
    hadHold: flags >= 2,
  };
}

interface Place {
  readonly key: string;
  /** Of the folder, and of the field of its own that the purchase may have. */
  readonly field: string;
  readonly own: string;
  readonly rest: string;
}

/** Where a partition keeps a purchase; `tag` is what all keys of the partition begin with. */
export function placeOf(tag: string, purchaseId: string): Place {
  const head = `pur_${Number(/\d+/.exec(tag)?.[0]).toString(36).padStart(2, '0')}`;
  const key = `${tag}purchases`;
  const [foreign, print] = [`/${purchaseId}`, head.length + 12];
  if (purchaseId.length !== 30 || !purchaseId.startsWith(head)) return { key, field: foreign, own: foreign, rest: '' };
  const [field, rest] = [purchaseId.slice(head.length, print), purchaseId.slice(print)];
  return { key, field, own: field + rest, rest };
}

/** What the list of tickets has for a purchase with a print: its id without what all of the partition begin with. */
export const ticketEntryOf = (purchaseId: string): string => purchaseId.slice('pur_00'.length);

/** The records of a folder: itself, or those of its list, whose texts are no UTF-8. */
export function recordsOf(raw: Buffer): Buffer[] {
  const first = raw[0] ?? 0;
  const isShort = first >= 0x90 && first <= 0x9f;
  if (!isShort && first !== 0xdc) return [raw];
  const records: Buffer[] = [];
  // Behind the head of the list one byte says whether there is more elsewhere.
  for (let at = isShort ? 2 : 4; at < raw.length; ) {
    const kind = raw[at] ?? 0;
    const [head, size] =
      kind === 0xd9 ? [2, raw[at + 1] ?? 0] : kind === 0xda ? [3, raw.readUInt16BE(at + 1)] : [1, kind - 0xa0];
    records.push(raw.subarray(at + head, at + head + size));
    at += head + size;
  }
  return records;
}

const isOf = (rest: string, record: Buffer): boolean =>
  record.subarray(1, 1 + rest.length).toString('latin1') === rest && (record[0] ?? 0) === 0xa0 + rest.length;

/** The record of a purchase in what its fields have. */
export function recordOf(place: Place, folder: Buffer | null, own: Buffer | null): Buffer | undefined {
  return recordsOf(folder ?? Buffer.alloc(0)).find((record) => isOf(place.rest, record)) ?? own ?? undefined;
}

async function findStored(redis: Redis, tag: string, purchaseId: string): Promise<Buffer | undefined> {
  const place = placeOf(tag, purchaseId);
  const [folder = null, own = null] = await redis.hmgetBuffer(place.key, place.field, place.own);
  return recordOf(place, folder, own);
}

export async function readStored(redis: Redis, tag: string, purchaseId: string): Promise<StoredPurchase> {
  const raw = (await findStored(redis, tag, purchaseId)) ?? Buffer.alloc(0);
  const [, , , number, lot] = unpackAll(raw) as number[];
  const [saleId, sku] = ((await redis.hget(`${tag}skus`, String(number))) ?? '').split(' ');
  const tail = await redis.hgetBuffer(`${tag}lots:${saleId}:${sku}`, String(lot));
  return decodeStored(raw, () => tail ?? undefined);
}

/** Something else than what the scripts know of it is written over a purchase that is alone in its folder. */
export async function changeStored(
  redis: Redis,
  tag: string,
  purchaseId: string,
  changes: Partial<StoredPurchase>,
): Promise<void> {
  const changed = encodeStored({ ...(await readStored(redis, tag, purchaseId)), ...changes });
  await spoilStored(redis, tag, purchaseId, changed);
}

/** The bytes of a purchase, and of its whole folder, are lost, or others stand in their place. */
export async function spoilStored(
  redis: Redis,
  tag: string,
  purchaseId: string,
  bytes?: string | Buffer,
): Promise<void> {
  const { key, field } = placeOf(tag, purchaseId);
  if (bytes === undefined) await redis.hdel(key, field);
  else await redis.hset(key, field, bytes);
}
