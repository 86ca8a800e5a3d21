// Token buckets in bounded memory. A bucket that was forgotten starts full again: that errs towards serving.
// A request is decided here, without asking anybody; what was taken is told to the other processes by api/rate-share.ts.
import type { Clock } from '../core/clock.ts';
import { RATE_REPORT_SHARE } from '../core/constants.ts';
import { BucketTable } from './bucket-table.ts';
import { refusedRequests } from './door-metrics.ts';
import type { RateShare } from './rate-share.ts';

export interface RateLimit {
  /** Takes one token; answers 0, or the seconds until there is one again. `now` where the caller has just read the clock. */
  take(key: string, now?: number): number;
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

/**
 * A bucket for whoever has it for longer than a call, since what the other processes took comes off it later: that of the table,
 * and where the table has forgotten it, as it was.
 */
class KeptBucket implements SharedBucket {
  private readonly table: BucketTable;
  private readonly key: string;
  private readonly last: SharedBucket;

  constructor(table: BucketTable, key: string, last: SharedBucket) {
    this.table = table;
    this.key = key;
    this.last = { ...last };
  }

  get tokens(): number {
    return this.read().tokens;
  }
  set tokens(tokens: number) {
    this.change({ tokens });
  }
  get filledAt(): number {
    return this.read().filledAt;
  }
  set filledAt(filledAt: number) {
    this.change({ filledAt });
  }
  get taken(): number {
    return this.read().taken;
  }
  set taken(taken: number) {
    this.change({ taken });
  }
  get isLow(): boolean {
    return this.read().isLow;
  }
  set isLow(isLow: boolean) {
    this.change({ isLow });
  }

  private read(): SharedBucket {
    this.table.peek(this.key, this.last);
    return this.last;
  }

  private change(part: Partial<SharedBucket>): void {
    const place = this.table.peek(this.key, this.last);
    Object.assign(this.last, part);
    if (place !== undefined) this.table.write(place, this.last);
  }
}

const emptyBucket = (): SharedBucket => ({ tokens: 0, filledAt: 0, taken: 0, isLow: false });

export function createRateLimit(options: RateLimitOptions): RateLimit {
  const { name, burst, maxBuckets, clock, share } = options;
  const reportFrom = Math.max(1, Math.floor(burst * RATE_REPORT_SHARE));
  const refused = refusedRequests.labels(name);
  const table = new BucketTable(maxBuckets, burst);
  const bucket = emptyBucket();

  return {
    take(key, now = clock.now()) {
      const place = table.read(key, now, bucket);
      const waitSeconds = takeToken(bucket, options, now);
      if (waitSeconds === 0 && share !== undefined) bucket.taken += 1;
      table.write(place, bucket);
      if (waitSeconds > 0) refused.inc();
      else if (share !== undefined && (bucket.isLow || bucket.taken >= reportFrom)) {
        share.report(options, key, new KeptBucket(table, key, bucket));
      }
      return waitSeconds;
    },
    get size() {
      return table.size;
    },
  };
}
