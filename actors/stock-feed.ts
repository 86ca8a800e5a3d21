// What the scripts changed, told to every process: purchases, counts, and payments that became ready. The channel is fast
// and forgetful (Redis pub/sub); whoever missed a message asks again, which is what `onResync` is for.
// It decides nothing and stores nothing: the truth is a `look` or a `snapshot` away.
import { PARTITIONS } from '../core/constants.ts';
import { partitionOf } from '../core/ids.ts';
import type { Log } from '../core/log.ts';
import { pack, unpackAll } from '../core/redis/msgpack.ts';
import { connectRedis } from '../core/redis/redis.ts';
import { keys } from './keys.ts';
import {
  type OutboxRecord,
  type Purchase,
  type SkuCounters,
  toCounters,
  toRecord,
  type WireCounters,
  type WireRecord,
} from './records.ts';

export interface PaymentNews {
  readonly purchaseId: string;
  readonly buyer: string;
  readonly clientSecret: string;
  readonly status: string;
}

export interface StockFeed {
  onPurchases(listener: (purchases: readonly Purchase[]) => void): void;
  onLine(listener: (counters: SkuCounters) => void): void;
  onPayment(listener: (news: PaymentNews) => void): void;
  /** The connection was lost and is back, or a partition was rebuilt: anything may have been missed. */
  onResync(listener: () => void): void;
  publishPayment(news: PaymentNews): Promise<void>;
  close(): Promise<void>;
}

type WireMessage =
  | readonly ['c', number, WireCounters[]]
  | readonly ['pay', string, string, string, string]
  | readonly ['rebuilt'];

const isPurchase = (record: OutboxRecord): record is OutboxRecord & { kind: 'purchase' } => record.kind === 'purchase';

export function createStockFeed({ redisUrl, log }: { redisUrl: string; log: Log }): StockFeed {
  const publisher = connectRedis(redisUrl, 'queue', log);
  const purchaseListeners: ((purchases: readonly Purchase[]) => void)[] = [];
  const lineListeners: ((counters: SkuCounters) => void)[] = [];
  const paymentListeners: ((news: PaymentNews) => void)[] = [];
  const resyncListeners: (() => void)[] = [];
  let subscriber: ReturnType<typeof connectRedis> | undefined;

  function receive(bytes: Buffer): void {
    // Only the scripts and publishPayment write to the channels; a foreign message throws and is logged below.
    const [message, records] = unpackAll(bytes) as [WireMessage, WireRecord[] | undefined];
    if (message[0] === 'rebuilt') {
      for (const listener of resyncListeners) listener();
      return;
    }
    if (message[0] === 'pay') {
      const [, purchaseId, buyer, clientSecret, status] = message;
      for (const listener of paymentListeners) listener({ purchaseId, buyer, clientSecret, status });
      return;
    }
    if (purchaseListeners.length > 0 && records) {
      const purchases = records.map(toRecord).filter(isPurchase);
      if (purchases.length > 0) for (const listener of purchaseListeners) listener(purchases);
    }
    for (const wire of message[2]) for (const listener of lineListeners) listener(toCounters(wire));
  }

  /** Workers only publish: the subscription begins with the first listener. */
  function subscribe(): void {
    if (subscriber) return;
    const redis = connectRedis(redisUrl, 'subscriber', log);
    subscriber = redis;
    let isFirst = true;
    redis.on('ready', () => {
      if (!isFirst) for (const listener of resyncListeners) listener();
      isFirst = false;
    });
    redis.on('messageBuffer', (_channel: Buffer, bytes: Buffer) => {
      try {
        receive(bytes);
      } catch (error) {
        log.error({ err: error }, 'a message of the stock feed cannot be read');
      }
    });
    const channels = Array.from({ length: PARTITIONS }, (_, partition) => keys.feed(partition));
    // ioredis queues this until Redis is there and repeats it after a reconnect.
    redis
      .subscribe(...channels)
      .catch((error: unknown) => log.error({ err: error }, 'cannot subscribe to the stock feed'));
  }

  return {
    onPurchases(listener) {
      purchaseListeners.push(listener);
      subscribe();
    },
    onLine(listener) {
      lineListeners.push(listener);
      subscribe();
    },
    onPayment(listener) {
      paymentListeners.push(listener);
      subscribe();
    },
    onResync(listener) {
      resyncListeners.push(listener);
      subscribe();
    },
    async publishPayment({ purchaseId, buyer, clientSecret, status }) {
      const partition = partitionOf(purchaseId);
      if (partition === undefined) return;
      await publisher.publish(keys.feed(partition), pack(['pay', purchaseId, buyer, clientSecret, status]));
    },
    async close() {
      subscriber?.disconnect();
      publisher.disconnect();
    },
  };
}
