// The one source of chance of a simulated history: the same seed gives the same numbers, so the same history.
export interface Random {
  /** From 0 up to, and without, 1. */
  next(): number;
  /** From `least` up to and with `most`. */
  integer(least: number, most: number): number;
  isLucky(chance: number): boolean;
  /** Throws on an empty list. */
  pick<T>(list: readonly T[]): T;
  pickWeighted<T extends string>(weights: Readonly<Record<T, number>>): T;
  bytes(count: number): Buffer;
}

/** sfc32, seeded by mixing the seed four times. */
export function createRandom(seed: number): Random {
  let mix = seed >>> 0;
  const word = (): number => {
    mix = (mix + 0x9e3779b9) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  let [a, b, c, d] = [word(), word(), word(), word()];
  const raw = (): number => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    return t >>> 0;
  };
  const next = (): number => raw() / 4_294_967_296;
  const pick = <T>(list: readonly T[]): T => {
    if (list.length === 0) throw new RangeError('nothing to pick from');
    // In range: next() is below 1.
    return list[Math.floor(next() * list.length)] as T;
  };
  return {
    next,
    integer: (least, most) => least + Math.floor(next() * (most - least + 1)),
    isLucky: (chance) => next() < chance,
    pick,
    pickWeighted<T extends string>(weights: Readonly<Record<T, number>>): T {
      const entries = Object.entries(weights) as [T, number][]; // Object.entries forgets the names
      let left = next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
      for (const [name, weight] of entries) {
        left -= weight;
        if (left < 0) return name;
      }
      return pick(entries)[0];
    },
    bytes: (count) => Buffer.from(Array.from({ length: count }, () => raw() & 255)),
  };
}
