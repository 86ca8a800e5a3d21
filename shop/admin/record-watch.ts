// Listens to what the scripts tell of one SKU while the audit reads its purchases, so that pages of different moments can be
// brought to one position. The feed is forgetful; the positions of its records are gapless, so a lost message is noticed.
import { keys } from '../../actors/keys.ts';
import { decodeOutbox } from '../../actors/outbox.ts';
import type { PurchaseRecord } from '../../actors/records.ts';
import { type Clock, sleep } from '../../core/clock.ts';
import { AUDIT_RELAY_POLL_MS, AUDIT_LAG_PATIENCE_MS } from '../../core/constants.ts';
import { fault } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { unpackFirst } from '../../core/redis/msgpack.ts';
import { connectRedis, type Redis } from '../../core/redis/redis.ts';

export interface RecordWatch {
  /** What was told of the SKU up to this position and was not taken yet. */
  take(seq: number): PurchaseRecord[];
  /** Resolves when everything after `from` up to and with `seq` was told; UNAVAILABLE where it never will be. */
  until(from: number, seq: number): Promise<void>;
  close(): Promise<void>;
}

export interface RecordWatcher {
  /** Resolves when nothing that happens from then on is missed. */
  open(partition: number, saleId: string, sku: string): Promise<RecordWatch>;
  close(): void;
}

export function createRecordWatcher(deps: { redisUrl: string; clock: Clock; log: Log }): RecordWatcher {
  let subscriber: Redis | undefined;

  async function open(partition: number, saleId: string, sku: string): Promise<RecordWatch> {
    subscriber ??= connectRedis(deps.redisUrl, 'subscriber', deps.log);
    const redis = subscriber;
    const channel = keys.feed(partition);
    const records: PurchaseRecord[] = [];
    let first: number | undefined;
    let last = 0;
    let isBroken = false;

    function receive(name: Buffer, bytes: Buffer): void {
      if (name.toString() !== channel) return;
      // The scripts are the only ones whose messages carry records.
      const { end } = unpackFirst(bytes);
      for (const record of end < bytes.length ? decodeOutbox(bytes.subarray(end)) : []) {
        const { seq } = record;
        if (first !== undefined && seq !== last + 1) isBroken = true;
        first ??= seq;
        last = seq;
        if (record.kind === 'purchase' && record.sku === sku && record.saleId === saleId) records.push(record);
      }
    }
    const breakOff = (): void => {
      isBroken = true;
    };
    redis.on('messageBuffer', receive);
    redis.on('close', breakOff);
    await redis.subscribe(channel);

    return {
      take(seq) {
        const end = records.findIndex((record) => record.seq > seq);
        return records.splice(0, end < 0 ? records.length : end);
      },
      async until(from, seq) {
        const giveUpAt = deps.clock.now() + AUDIT_LAG_PATIENCE_MS;
        while (seq > from && last < seq) {
          if (isBroken || deps.clock.now() > giveUpAt) break;
          await sleep(AUDIT_RELAY_POLL_MS);
        }
        const isWhole = seq <= from || (last >= seq && (first ?? Number.POSITIVE_INFINITY) <= from + 1);
        if (isBroken || !isWhole) throw fault('UNAVAILABLE', 'the feed lost messages while the purchases were read');
      },
      async close() {
        redis.off('messageBuffer', receive);
        redis.off('close', breakOff);
        await redis.unsubscribe(channel);
      },
    };
  }

  return {
    open,
    close: () => subscriber?.disconnect(),
  };
}
