// Token buckets in bounded memory. A bucket that was forgotten starts full again: that errs towards serving.
// Counts are per process: a caller that spreads over N API processes gets N times the rate.
import type { Clock } from '../core/clock.ts';

export interface RateLimit {
  /** Takes one token; answers 0, or the seconds until there is one again. */
  take(key: string): number;
  readonly size: number;
}

export interface Bucket {
  tokens: number;
  filledAt: number;
}

export interface BucketRate {
  ratePerSecond: number;
  burst: number;
}

/** Takes one token of one bucket; answers 0, or the seconds until there is one again. */
export function takeToken(bucket: Bucket, { ratePerSecond, burst }: BucketRate, now: number): number {
  const elapsedMs = Math.max(0, now - bucket.filledAt);
  bucket.tokens = Math.min(burst, bucket.tokens + (elapsedMs * ratePerSecond) / 1000);
  bucket.filledAt = now;
  if (bucket.tokens < 1) return Math.max(1, Math.ceil((1 - bucket.tokens) / ratePerSecond));
  bucket.tokens -= 1;
  return 0;
}

export function createRateLimit(options: BucketRate & { maxBuckets: number; clock: Clock }): RateLimit {
  const { burst, maxBuckets, clock } = options;
  // Two generations: when the young one is half of what is allowed, the old one is dropped whole. Eviction costs nothing.
  let young = new Map<string, Bucket>();
  let old = new Map<string, Bucket>();

  function bucketOf(key: string, now: number): Bucket {
    const known = young.get(key);
    if (known !== undefined) return known;
    const bucket = old.get(key) ?? { tokens: burst, filledAt: now };
    old.delete(key);
    if (young.size >= maxBuckets / 2) {
      old = young;
      young = new Map();
    }
    young.set(key, bucket);
    return bucket;
  }

  return {
    take(key) {
      const now = clock.now();
      return takeToken(bucketOf(key, now), options, now);
    },
    get size() {
      return young.size + old.size;
    },
  };
}
