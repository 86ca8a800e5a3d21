// Arrays as Postgres takes them without reading digits and quotes: binary parameters, for statements of many rows
// (`unnest($1::bigint[])`). Text arrays of the driver cost the server twice and this process four times as much. What does
// not fit its type is sent as the driver would: to judge a value, and to say what is wrong with it, is the server's office.
import { UTF8_BYTES_MAX, writeText } from './text-bytes.ts';

const INT4 = 23;
const INT8 = 20;
const TEXT = 25;
const FLOAT8 = 701;
/** Dimensions, flags, element type, length, lower bound. */
const HEADER_BYTES = 20;
const LENGTH_BYTES = 4;
const HIGH = 2 ** 32;

/** A parameter for `bigint[]`, of one value an item. */
export function int8Array<T>(items: readonly T[], valueOf: (item: T) => number): unknown {
  const buffer = open(INT8, items.length, items.length * (LENGTH_BYTES + 8));
  let at = HEADER_BYTES;
  for (const item of items) {
    const value = valueOf(item);
    if (!Number.isSafeInteger(value)) return items.map(valueOf);
    const high = Math.floor(value / HIGH);
    at = buffer.writeInt32BE(8, at);
    at = buffer.writeInt32BE(high, at);
    at = buffer.writeUInt32BE(value - high * HIGH, at);
  }
  return buffer;
}

/** A parameter for `int[]`. */
export function int4Array<T>(items: readonly T[], valueOf: (item: T) => number): unknown {
  const buffer = open(INT4, items.length, items.length * (LENGTH_BYTES + 4));
  let at = HEADER_BYTES;
  for (const item of items) {
    const value = valueOf(item);
    if ((value | 0) !== value) return items.map(valueOf);
    at = buffer.writeInt32BE(4, at);
    at = buffer.writeInt32BE(value, at);
  }
  return buffer;
}

/** A parameter for `float8[]`. */
export function float8Array<T>(items: readonly T[], valueOf: (item: T) => number): unknown {
  const buffer = open(FLOAT8, items.length, items.length * (LENGTH_BYTES + 8));
  let at = HEADER_BYTES;
  for (const item of items) {
    const value = valueOf(item);
    if (typeof value !== 'number') return items.map(valueOf);
    at = buffer.writeInt32BE(8, at);
    at = buffer.writeDoubleBE(value, at);
  }
  return buffer;
}

/** A parameter for `text[]`. */
export function textArray<T>(items: readonly T[], valueOf: (item: T) => string): unknown {
  let bytes = 0;
  for (const item of items) {
    const value = valueOf(item);
    if (typeof value !== 'string') return items.map(valueOf);
    bytes += LENGTH_BYTES + value.length * UTF8_BYTES_MAX;
  }
  const buffer = open(TEXT, items.length, bytes);
  let at = HEADER_BYTES;
  for (const item of items) {
    const value = valueOf(item);
    const length = writeText(buffer, value, at + LENGTH_BYTES);
    buffer.writeInt32BE(length, at);
    at += LENGTH_BYTES + length;
  }
  return buffer.subarray(0, at);
}

function open(type: number, count: number, bytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + bytes);
  buffer.writeInt32BE(1, 0);
  buffer.writeInt32BE(0, 4);
  buffer.writeInt32BE(type, 8);
  buffer.writeInt32BE(count, 12);
  buffer.writeInt32BE(1, 16);
  return buffer;
}
