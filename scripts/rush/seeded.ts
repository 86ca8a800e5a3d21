// Randomness that can be had again: the same seed gives the same crowd, in the same order, with the same wallets.
// Not for secrets, and not for anything that the system under test decides.

export interface Dice {
  /** At least 0, below 1. */
  next(): number;
  between(low: number, high: number): number;
  isLucky(chance: number): boolean;
}

/** Mulberry32: 32 bits of state, good enough to shuffle people. */
export function createDice(seed: number): Dice {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  return {
    next,
    between: (low, high) => low + (high - low) * next(),
    isLucky: (chance) => next() < chance,
  };
}
