// Reads what a socket was sent. The schema says what is right and names what is wrong; a plain buy, which is what a crowd
// sends, is checked by hand, in a twentieth of the time, and anything that is not exactly one goes to the schema.
import { PER_BUYER_LIMIT_MAX } from '../core/constants.ts';
import { fault } from '../core/errors.ts';
import { validate } from './input.ts';
import { BUY_KEY, BUY_SKU, type SocketMessage, socketMessageSchema } from './wire.ts';

export type Message<T extends SocketMessage['type']> = SocketMessage & { type: T };

/** Throws INVALID_JSON or VALIDATION_FAILED. */
export function readMessage(raw: unknown): SocketMessage {
  const buy = readBuy(raw);
  if (buy !== undefined) return buy;
  if (raw === undefined) throw fault('INVALID_JSON', 'the message cannot be read');
  // The output of that very schema.
  return validate(socketMessageSchema, raw, 'message') as SocketMessage;
}

/** A buy that the schema would pass, as it would pass it; undefined for anything else. */
export function readBuy(raw: unknown): Message<'buy'> | undefined {
  if (typeof raw !== 'object' || raw === null || !('type' in raw) || raw.type !== 'buy') return undefined;
  const { id, saleId, sku, quantity = 1, key }: Partial<Record<string, unknown>> = raw;
  if (typeof saleId !== 'string' || saleId.length > 128) return undefined;
  if (typeof sku !== 'string' || !BUY_SKU.test(sku)) return undefined;
  if (typeof quantity !== 'number' || !Number.isInteger(quantity)) return undefined;
  if (quantity < 1 || quantity > PER_BUYER_LIMIT_MAX) return undefined;
  if (key !== undefined && (typeof key !== 'string' || !BUY_KEY.test(key))) return undefined;
  if (typeof id === 'string' ? id.length > 64 : id !== undefined && !Number.isSafeInteger(id)) return undefined;
  // Narrowed by the line above: undefined, a short string or a whole number.
  return { type: 'buy', id: id as Message<'buy'>['id'], saleId, sku, quantity, key };
}
