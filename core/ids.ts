// Ids: `<prefix>_<partition><body>`, where the partition, if there is one, is two base36 characters. An id alone tells
// where its keys are, so no lookup is needed. The body is 26 characters of base32: 130 bits, random or a hash.
// The one home of randomness besides clock.ts. What a prefix means is not known here.
import { hash, randomBytes, randomInt } from 'node:crypto';
import { PARTITIONS } from './constants.ts';
import { keepLast } from './last-made.ts';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'; // Crockford's base32: no i, l, o, u to misread
const BODY_LENGTH = 26;
/** 60 bits: two owners with one print are no fault, and are met in one pair of 10¹⁸. */
const PRINT_LENGTH = 12;
/** As many again tell the things of one owner apart. */
const REST_LENGTH = 12;
const PATTERN = /^[a-z]{1,12}_([0-9a-z]{2})[0-9a-z]{8,40}$/;

const CODES = Uint8Array.from(ALPHABET, (character) => character.charCodeAt(0));

// One call for many ids: a random byte at a time costs a system call each. They lie here as the characters they become.
const POOL_BYTES = BODY_LENGTH * 256;
let pool: Buffer = Buffer.alloc(0);
let poolOffset = 0;
let bytesOf: (count: number) => Buffer = randomBytes;

/** For the simulation (test/sim) alone, whose ids must be the same for the same seed; `undefined` gives chance back. */
export function seedIds(source: ((count: number) => Buffer) | undefined): void {
  bytesOf = source ?? randomBytes;
  pool = Buffer.alloc(0);
  poolOffset = 0;
}

/** A new id; `prefix` is written without its underscore (`pur`). */
export function randomId(prefix: string, partition?: number): string {
  if (poolOffset + BODY_LENGTH > pool.length) {
    pool = toCharacters(bytesOf(POOL_BYTES));
    poolOffset = 0;
  }
  const body = pool.toString('latin1', poolOffset, poolOffset + BODY_LENGTH);
  poolOffset += BODY_LENGTH;
  return `${head(prefix, partition)}${body}`;
}

/** The same id for the same parts, for ever: how a retry finds what its first attempt made. */
export function hashedId(prefix: string, partition: number | undefined, parts: readonly string[]): string {
  return head(prefix, partition) + digestLetters(parts, BODY_LENGTH);
}

/** With what the ids of an owner's things begin, behind their head. */
export function ownerPrint(owner: readonly string[]): string {
  return digestLetters(owner, PRINT_LENGTH);
}

/** An id that tells whose it is: its body begins with the owner's print. What follows is chance, or what a `hashedId` of the parts ends with. */
export function ownedId(
  prefix: string,
  partition: number | undefined,
  owner: readonly string[],
  parts?: readonly string[],
): string {
  const whole = parts === undefined ? randomId(prefix, partition) : hashedId(prefix, partition, parts);
  return head(prefix, partition) + ownerPrint(owner) + whole.slice(-REST_LENGTH);
}

/** The partition inside an id; undefined when the id is malformed or the partition does not exist. */
export function partitionOf(id: string): number | undefined {
  const digits = PATTERN.exec(id)?.[1];
  if (digits === undefined) return undefined;
  const partition = Number.parseInt(digits, 36);
  return partition < PARTITIONS ? partition : undefined;
}

/** A short hash of what a request asked for: tells a retry from another request under the same key. */
export function fingerprint(parts: readonly (string | number)[]): string {
  return digestLetters(parts.map(String), 16);
}

/** A secret nobody can guess, in hexadecimal: two characters a byte. */
export function randomSecret(bytes: number): string {
  return randomBytes(bytes).toString('hex');
}

/** From `least` up to, and without, `end`. */
export function randomInteger(least: number, end: number): number {
  return randomInt(least, end);
}

const head = keepLast((prefix: string, partition: number | undefined): string => {
  const name = prefix.endsWith('_') ? prefix : `${prefix}_`;
  if (partition === undefined) return name;
  if (!Number.isInteger(partition) || partition < 0 || partition >= PARTITIONS) {
    throw new RangeError(`There is no partition ${partition}`);
  }
  return name + partition.toString(36).padStart(2, '0');
});

const letters = Buffer.alloc(32);

/** Each part goes in with its length, so that ['ab','c'] and ['a','bc'] differ. As text: a buffer of its own costs twice the hash. */
function digestLetters(parts: readonly string[], length: number): string {
  let text = '';
  for (const part of parts) text += `${Buffer.byteLength(part)}:${part}`;
  const bytes = hash('sha256', text, 'binary');
  for (let i = 0; i < length; i += 1) letters[i] = CODES[bytes.charCodeAt(i) & 31] ?? 0;
  return letters.toString('latin1', 0, length);
}

/** Five bits of each byte, in its place: all of them uniform, since 256 is a multiple of 32. */
function toCharacters(bytes: Buffer): Buffer {
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = CODES[(bytes[i] ?? 0) & 31] ?? 0;
  return bytes;
}
