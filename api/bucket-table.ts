// Token buckets in flat memory: a map of a hundred thousand objects, one for each buyer of a crowd, is what a collector and a
// processor's cache are slowest with. A bucket is found by two hashes of its key, whose seeds nobody outside knows; keys are
// not kept. Bounded: each set of eight forgets the one that was not used for longest.
import { randomInteger } from '../core/ids.ts';
import type { SharedBucket } from './rate-limit.ts';

const WAYS = 8;
const UINT32_END = 2 ** 32;
const [SEED_A, SEED_B] = [randomInteger(1, UINT32_END), randomInteger(1, UINT32_END)];

export class BucketTable {
  size = 0;
  private readonly burst: number;
  private readonly ways: number;
  private readonly setMask: number;
  private readonly prints: Uint32Array;
  private readonly tokens: Float64Array;
  private readonly filledAt: Float64Array;
  private readonly taken: Uint32Array;
  private readonly isLow: Uint8Array;
  /** When a place was used, in uses; 0 for one that is free. */
  private readonly usedAt: Uint32Array;
  private uses = 0;
  /** Of the key that was looked for last. */
  private printA = 0;
  private printB = 0;

  /** A bucket that is not known begins with `burst` tokens. */
  constructor(maxBuckets: number, burst: number) {
    this.burst = burst;
    this.ways = Math.min(WAYS, maxBuckets);
    const sets = 2 ** Math.floor(Math.log2(maxBuckets / this.ways));
    const places = sets * this.ways;
    this.setMask = sets - 1;
    this.prints = new Uint32Array(2 * places);
    this.tokens = new Float64Array(places);
    this.filledAt = new Float64Array(places);
    this.taken = new Uint32Array(places);
    this.isLow = new Uint8Array(places);
    this.usedAt = new Uint32Array(places);
  }

  /** Reads the key's bucket into `into`, and makes it the one that was used last. Answers its place. */
  read(key: string, now: number, into: SharedBucket): number {
    const place = this.find(key);
    this.uses = this.uses + 1 === UINT32_END ? 1 : this.uses + 1;
    if (this.usedAt[place] === 0) this.size += 1;
    this.usedAt[place] = this.uses;
    if (this.isAt(place)) {
      this.copy(place, into);
      return place;
    }
    this.prints[2 * place] = this.printA;
    this.prints[2 * place + 1] = this.printB;
    into.tokens = this.burst;
    into.filledAt = now;
    into.taken = 0;
    into.isLow = false;
    return place;
  }

  /** The same without making it known, or the one that was used last; undefined where it is not known. */
  peek(key: string, into: SharedBucket): number | undefined {
    const place = this.find(key);
    if (this.usedAt[place] === 0 || !this.isAt(place)) return undefined;
    this.copy(place, into);
    return place;
  }

  write(place: number, { tokens, filledAt, taken, isLow }: SharedBucket): void {
    this.tokens[place] = tokens;
    this.filledAt[place] = filledAt;
    this.taken[place] = taken;
    this.isLow[place] = isLow ? 1 : 0;
  }

  /** Where the key's bucket is, or may be put: a free place of its set, else that of the one not used for longest. */
  private find(key: string): number {
    let [a, b] = [SEED_A, SEED_B];
    for (let i = 0; i < key.length; i += 1) {
      const code = key.charCodeAt(i);
      a = Math.imul(a ^ code, 0x01000193);
      b = Math.imul(b ^ (b >>> 15) ^ code, 0x2c1b3c6d);
    }
    a ^= a >>> 15;
    b ^= b >>> 13;
    this.printA = a >>> 0;
    this.printB = b >>> 0;
    const from = (Math.imul(a, 0x297a2d39) >>> 7) & this.setMask;
    let oldest = from * this.ways;
    for (let place = from * this.ways; place < (from + 1) * this.ways; place += 1) {
      if (this.isAt(place)) return place;
      if ((this.usedAt[place] ?? 0) < (this.usedAt[oldest] ?? 0)) oldest = place;
    }
    return oldest;
  }

  private copy(place: number, into: SharedBucket): void {
    into.tokens = this.tokens[place] ?? 0;
    into.filledAt = this.filledAt[place] ?? 0;
    into.taken = this.taken[place] ?? 0;
    into.isLow = this.isLow[place] === 1;
  }

  private isAt(place: number): boolean {
    return this.prints[2 * place] === this.printA && this.prints[2 * place + 1] === this.printB;
  }
}
