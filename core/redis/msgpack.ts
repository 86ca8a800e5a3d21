// MessagePack as Redis' cmsgpack reads and writes it: no records, no extension types, 64-bit integers as numbers.
// `undefined` is written as nil; an empty Lua table comes back as an empty array.
import { Packr } from 'msgpackr';

const packr = new Packr({
  useRecords: false,
  int64AsType: 'number',
  encodeUndefinedAsNil: true,
  variableMapSize: true,
});

export function pack(value: unknown): Buffer {
  return packr.pack(value);
}

export function unpack(bytes: Uint8Array): unknown {
  return packr.unpack(bytes);
}

/** Several values written one after the other. */
export function unpackAll(bytes: Uint8Array): unknown[] {
  // Without a callback msgpackr collects the values; its types leave the other form open.
  return packr.unpackMultiple(bytes) as unknown[];
}

/** The first of several values, and where the next begins: what is not wanted is not read. */
export function unpackFirst(bytes: Uint8Array): { value: unknown; end: number } {
  const first: { value: unknown; end: number } = { value: undefined, end: 0 };
  packr.unpackMultiple(bytes, (value, _start, end) => {
    first.value = value;
    first.end = end ?? 0;
    return false;
  });
  return first;
}
