// The binary frame of a purchase, of which a crowd is sent thousands a second: the same msgpack as the packer writes, put
// together from pieces that are written once. What is rare (a payment, a reason) is left to the packer.
import { pack } from '../core/redis/msgpack.ts';
import type { PurchaseReply } from '../shop/sales/sales.ts';
import type { MessageId } from './wire.ts';

/** A byte as a character: a frame is put together as text of one byte a character. */
const BYTES: readonly string[] = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
const byteOf = (value: number): string => BYTES[value & 0xff] ?? '';

/** ASCII of less than 256 characters, as ids, SKUs, states, currencies and instants are. */
const textOf = (value: string): string =>
  (value.length < 32 ? byteOf(0xa0 | value.length) : `\xd9${byteOf(value.length)}`) + value;

/** From 0 to 2^32 - 1. */
function wholeOf(value: number): string {
  if (value < 0x80) return byteOf(value);
  if (value < 0x1_0000) return `\xcd${byteOf(value >> 8)}${byteOf(value)}`;
  return `\xce${byteOf(value >>> 24)}${byteOf(value >> 16)}${byteOf(value >> 8)}${byteOf(value)}`;
}

const anyOf = (value: number | string | null): string => pack(value).toString('latin1');

const isWhole = (value: number): boolean => Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
const numberOf = (value: number): string => (isWhole(value) ? wholeOf(value) : anyOf(value));
const ASCII = /^[\x20-\x7e]{0,64}$/;

const TYPE = textOf('type') + textOf('purchase');
const ID = textOf('id');
const PURCHASE_ID = textOf('purchaseId');
const STATUS = textOf('status');
const VERSION = textOf('version');
const TICKET = textOf('ticket');
const EXPIRES_AT = textOf('expiresAt');
const ORDER_ID = textOf('orderId');
const AHEAD = textOf('ahead');
const ESTIMATED_WAIT = textOf('estimatedWaitSeconds');
const BUCKET = textOf('bucket');

/** Every member that a reply may have: one that is added there must be written here, or be left to the packer. */
type Written =
  | ('purchaseId' | 'saleId' | 'sku' | 'quantity' | 'status' | 'version' | 'ticket' | 'unitPrice' | 'totalAmount')
  | ('currency' | 'ahead' | 'estimatedWaitSeconds' | 'expiresAt' | 'orderId' | 'bucket');
type LeftToPacker = 'payment' | 'reason';
type Forgotten = Exclude<keyof PurchaseReply, Written | LeftToPacker>;

/** What purchases of one SKU have in common: put together for the last one, which the next one is mostly like. */
let last = { saleId: '', sku: '', quantity: -1, unitPrice: -1, currency: '', bytes: '' };

function commonOf({ saleId, sku, quantity, unitPrice, totalAmount, currency }: PurchaseReply): string {
  if (
    last.saleId !== saleId ||
    last.sku !== sku ||
    last.quantity !== quantity ||
    last.unitPrice !== unitPrice ||
    last.currency !== currency
  ) {
    const members = { saleId, sku, quantity, unitPrice, totalAmount, currency };
    const bytes = Object.entries(members).map(([name, value]) => textOf(name) + anyOf(value));
    last = { saleId, sku, quantity, unitPrice, currency, bytes: bytes.join('') };
  }
  return last.bytes;
}

/** That every frame has: type, purchase id, what is common (six), status, version, ticket. */
const MEMBERS = 11;

const headOf = (members: number): string => (members < 16 ? byteOf(0x80 | members) : `\xde\x00${byteOf(members)}`);

/** Undefined where the packer is to write it. */
export function packPurchase(purchase: PurchaseReply & Record<Forgotten, never>, id: MessageId): Buffer | undefined {
  const { version, ticket, bucket, ahead, estimatedWaitSeconds, expiresAt, orderId } = purchase;
  if (purchase.payment !== undefined || purchase.reason !== undefined) return undefined;
  if (!isWhole(version) || !isWhole(ticket) || (typeof id === 'string' && !ASCII.test(id))) return undefined;
  let members = MEMBERS;
  let bytes = '';
  function add(name: string, value: string): void {
    members += 1;
    bytes += name + value;
  }
  if (id !== undefined) add(ID, typeof id === 'string' ? textOf(id) : numberOf(id));
  bytes += PURCHASE_ID + textOf(purchase.purchaseId) + commonOf(purchase) + STATUS + textOf(purchase.status);
  bytes += VERSION + wholeOf(version) + TICKET + wholeOf(ticket);
  if (expiresAt !== undefined) add(EXPIRES_AT, textOf(expiresAt));
  if (orderId !== undefined) add(ORDER_ID, textOf(orderId));
  if (bucket !== undefined) add(BUCKET, numberOf(bucket));
  if (ahead !== undefined) add(AHEAD, numberOf(ahead));
  if (estimatedWaitSeconds !== undefined) add(ESTIMATED_WAIT, anyOf(estimatedWaitSeconds));
  return Buffer.from(headOf(members) + TYPE + bytes, 'latin1');
}
