// Frames: text is JSON, binary is msgpack. Reading never throws; what cannot be read is undefined.
import { pack, unpack } from '../core/redis/msgpack.ts';
import type { MessageId } from './wire.ts';

const MAX_ID_LENGTH = 64;

export function encodeFrame(message: Record<string, unknown>, isBinary: boolean): string | Uint8Array {
  return isBinary ? pack(message) : JSON.stringify(message);
}

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
