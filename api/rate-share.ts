// Makes the limits of several processes one: what a process has let through goes to Redis in one call for all keys, every
// 100 ms while there is something to tell, and Redis answers how much is left. No request waits for it. A buyer who asks a
// few times is never told of; without Redis every process limits by itself.
import type { Clock } from '../core/clock.ts';
import {
  RATE_DEBT_BURSTS,
  RATE_REPORT_DUE_MAX,
  RATE_REPORT_INTERVAL_MS,
  RATE_REPORT_KEYS_MAX,
  RATE_REPORT_TIMEOUT_MS,
} from '../core/constants.ts';
import { hasCode, messageOf } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { pack, unpack } from '../core/redis/msgpack.ts';
import type { Redis } from '../core/redis/redis.ts';
import { loadScript, runScript } from '../core/redis/scripts.ts';
import { rateReports } from './door-metrics.ts';
import { type NamedRate, refill, type SharedBucket } from './rate-limit.ts';

/** One hash tag for all buckets, so that one script may reach any of them. They are not the stock's: these may be lost. */
export const rateKeys = { rates: 'db:{rates}:' } as const;
const directory = new URL('./lua/', import.meta.url);
const rateTake = loadScript(directory, 'rate-take');

export interface RateShare {
  /** `bucket` is told with the next call; what the others took is then missing in it. */
  report(rate: NamedRate, key: string, bucket: SharedBucket): void;
  /** Tells nothing any more. */
  close(): void;
}

interface Due {
  rate: NamedRate;
  bucket: SharedBucket;
  taken: number;
}

export function createRateShare({ redis, clock, log }: { redis: Redis; clock: Clock; log: Log }): RateShare {
  const due = new Map<string, Due>();
  let timer: NodeJS.Timeout | undefined;
  let isTelling = false;
  let isClosed = false;

  function schedule(afterMs: number): void {
    if (timer !== undefined || isTelling || isClosed) return;
    timer = setTimeout(() => void tell(), afterMs);
    timer.unref();
  }

  /** Takes what is due off the list, and off the buckets: what is lost on the way is the caller's luck. */
  function collect(): [string, Due][] {
    const batch = [...due.entries()].slice(0, RATE_REPORT_KEYS_MAX);
    for (const [name, item] of batch) {
      due.delete(name);
      item.taken = item.bucket.taken;
      item.bucket.taken = 0;
    }
    return batch;
  }

  function adopt(batch: readonly [string, Due][], levels: readonly number[]): void {
    const now = clock.now();
    for (const [i, [, { rate, bucket }]] of batch.entries()) {
      const level = (levels[i] ?? rate.burst * 1000) / 1000;
      refill(bucket, rate, now);
      // What was taken here since the call left is not in the answer.
      bucket.tokens = Math.min(bucket.tokens, level - bucket.taken);
      bucket.isLow = level < rate.burst / 2;
    }
  }

  async function tell(): Promise<void> {
    timer = undefined;
    isTelling = true;
    const batch = collect();
    try {
      const items = batch.map(([name, { rate, taken }]) => {
        return [name, taken, rate.ratePerSecond, rate.burst, rate.burst * RATE_DEBT_BURSTS];
      });
      const reply = await runScript(redis, rateTake, [rateKeys.rates], [pack(items)], RATE_REPORT_TIMEOUT_MS);
      // The script's own reply: msgpack of a list of numbers.
      adopt(batch, unpack(reply as Buffer) as number[]);
      rateReports.inc({ outcome: 'told' });
    } catch (error) {
      rateReports.inc({ outcome: 'lost' });
      // An outage is told by the connection itself; what else can fail is a bug.
      if (hasCode(error, 'INTERNAL')) log.error({ reason: messageOf(error) }, 'rate limits are not shared');
    } finally {
      isTelling = false;
      if (due.size > 0) schedule(due.size >= RATE_REPORT_KEYS_MAX ? 0 : RATE_REPORT_INTERVAL_MS);
    }
  }

  return {
    report(rate, key, bucket) {
      if (isClosed || due.size >= RATE_REPORT_DUE_MAX) return;
      due.set(`${rate.name}:${key}`, { rate, bucket, taken: 0 });
      schedule(RATE_REPORT_INTERVAL_MS);
    },
    close() {
      isClosed = true;
      clearTimeout(timer);
      due.clear();
    },
  };
}
