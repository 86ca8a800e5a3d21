// Frames: text is JSON, binary is msgpack. Reading never throws; what cannot be read is undefined.
import { pack, unpack } from '../core/redis/msgpack.ts';
import type { PurchaseReply } from '../shop/sales/sales.ts';
import { packPurchase } from './purchase-frame.ts';
import type { MessageId } from './wire.ts';

const MAX_ID_LENGTH = 64;

export type Frame = string | Uint8Array;

export function encodeFrame(message: Record<string, unknown>, isBinary: boolean): Frame {
  return isBinary ? pack(message) : JSON.stringify(message);
}

/** The frame of a purchase: of every answer to a buy. */
export function encodeAnswer(purchase: PurchaseReply, id: MessageId, isBinary: boolean): Frame {
  const packed = isBinary ? packPurchase(purchase, id) : undefined;
  if (packed !== undefined) return packed;
  const message = id === undefined ? { type: 'purchase', ...purchase } : { type: 'purchase', id, ...purchase };
  return encodeFrame(message, isBinary);
}

/** The bytes are read before this returns, and not kept: uWebSockets.js takes their memory back. */
export function decodeFrame(bytes: Uint8Array, isBinary: boolean): unknown {
  try {
    return isBinary ? unpack(bytes) : JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString());
  } catch {
    return undefined;
  }
}

/** The `id` of a message that is wrong otherwise, so that its sender can tell which one it was. */
export function idOf(message: unknown): MessageId {
  if (typeof message !== 'object' || message === null || !('id' in message)) return undefined;
  const { id } = message;
  if (typeof id === 'string' && id.length <= MAX_ID_LENGTH) return id;
  return typeof id === 'number' && Number.isSafeInteger(id) ? id : undefined;
}
