// Token buckets in bounded memory. A bucket that was forgotten starts full again: that errs towards serving.
// A request is decided here, without asking anybody; what was taken is told to the other processes by api/rate-share.ts.
import type { Clock } from '../core/clock.ts';
import { RATE_REPORT_SHARE } from '../core/constants.ts';
import { refusedRequests } from './door-metrics.ts';
import type { RateShare } from './rate-share.ts';

export interface RateLimit {
  /** Takes one token; answers 0, or the seconds until there is one again. */
  take(key: string): number;
  readonly size: number;
}

export interface Bucket {
  tokens: number;
  filledAt: number;
}

export interface SharedBucket extends Bucket {
  /** Taken here, and not told to the others yet. */
  taken: number;
  /** All processes together have left little of it: each further token is told. */
  isLow: boolean;
}

export interface BucketRate {
  ratePerSecond: number;
  burst: number;
}

export interface NamedRate extends BucketRate {
  /** What is limited: a label of the metric, and the first part of the shared bucket's key. */
  name: string;
}

export function refill(bucket: Bucket, { ratePerSecond, burst }: BucketRate, now: number): void {
  const elapsedMs = Math.max(0, now - bucket.filledAt);
  bucket.tokens = Math.min(burst, bucket.tokens + (elapsedMs * ratePerSecond) / 1000);
  bucket.filledAt = now;
}

/** Takes one token of one bucket; answers 0, or the seconds until there is one again. */
export function takeToken(bucket: Bucket, rate: BucketRate, now: number): number {
  refill(bucket, rate, now);
  if (bucket.tokens < 1) return Math.max(1, Math.ceil((1 - bucket.tokens) / rate.ratePerSecond));
  bucket.tokens -= 1;
  return 0;
}

export interface RateLimitOptions extends NamedRate {
  maxBuckets: number;
  clock: Clock;
  /** Without it the limit is this process's own. */
  share?: RateShare | undefined;
}

export function createRateLimit(options: RateLimitOptions): RateLimit {
  const { name, burst, maxBuckets, clock, share } = options;
  const reportFrom = Math.max(1, Math.floor(burst * RATE_REPORT_SHARE));
  const refused = refusedRequests.labels(name);
  // Two generations: when the young one is half of what is allowed, the old one is dropped whole. Eviction costs nothing.
  let young = new Map<string, SharedBucket>();
  let old = new Map<string, SharedBucket>();

  function bucketOf(key: string, now: number): SharedBucket {
    const known = young.get(key);
    if (known !== undefined) return known;
    const bucket = old.get(key) ?? { tokens: burst, filledAt: now, taken: 0, isLow: false };
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
      const bucket = bucketOf(key, now);
      const waitSeconds = takeToken(bucket, options, now);
      if (waitSeconds > 0) {
        refused.inc();
        return waitSeconds;
      }
      if (share === undefined) return 0;
      bucket.taken += 1;
      if (bucket.isLow || bucket.taken >= reportFrom) share.report(options, key, bucket);
      return 0;
    },
    get size() {
      return young.size + old.size;
    },
  };
}
