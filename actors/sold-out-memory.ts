// What a process remembers of SKUs that are sold out for certain: `loaded - sold` at a version. An older version never
// replaces a newer one, and a memory is good for a quarter of a second: then one request asks Redis again.
import type { Clock } from '../core/clock.ts';
import { ACTORS_MAX, SOLD_OUT_MEMORY_MS } from '../core/constants.ts';
import { keepLast } from '../core/last-made.ts';
import type { SkuCounters } from './records.ts';

export interface SoldOutMemory {
  update(counters: SkuCounters): void;
  isSoldOut(saleId: string, sku: string, quantity: number): boolean;
  clear(): void;
}

/** Of a bucket, what the others have counts too. */
const unsoldOf = ({ loaded, sold, everywhere = 0 }: SkuCounters): number => Math.max(loaded - sold, everywhere - 1);

export function createSoldOutMemory(clock: Clock): SoldOutMemory {
  const known = new Map<string, { version: number; remaining: number; until: number }>();
  const keyOf = keepLast((saleId: string, sku: string) => `${saleId} ${sku}`);

  return {
    update(counters) {
      const key = keyOf(counters.saleId, counters.sku);
      const earlier = known.get(key);
      if (earlier && earlier.version > counters.version) return;
      const isSelling = counters.saleStatus === 'OPEN' || counters.saleStatus === 'SCHEDULED';
      // A paused or closed sale has another answer than "sold out".
      const remaining = isSelling ? unsoldOf(counters) : Number.POSITIVE_INFINITY;
      if (known.size >= ACTORS_MAX && !earlier) known.clear();
      known.set(key, { version: counters.version, remaining, until: clock.now() + SOLD_OUT_MEMORY_MS });
    },
    isSoldOut(saleId, sku, quantity) {
      const memory = known.get(keyOf(saleId, sku));
      return memory !== undefined && quantity > memory.remaining && clock.now() < memory.until;
    },
    clear: () => known.clear(),
  };
}
