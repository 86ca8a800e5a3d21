// What the scripts changed, told to every process: purchases, counts, and payments that became ready. The channel is fast
// and forgetful (Redis pub/sub); whoever missed a message asks again, which is what `onResync` is for.
// It decides nothing and stores nothing: the truth is a `look` or a `snapshot` away.
import { PARTITIONS } from '../core/constants.ts';
import { partitionOf } from '../core/ids.ts';
import type { Log } from '../core/log.ts';
import { pack, unpack, unpackFirst } from '../core/redis/msgpack.ts';
import { connectRedis } from '../core/redis/redis.ts';
import { keys } from './keys.ts';
import { type IsWanted, toWantedPurchases, type WireEntry } from './outbox.ts';
import { type Purchase, type SkuCounters, toCounters, type WireCounters } from './records.ts';

export interface PaymentNews {
  readonly purchaseId: string;
  readonly buyer: string;
  readonly clientSecret: string;
  readonly status: string;
}

export type ReadPurchases = (isWanted: IsWanted) => readonly Purchase[];

export interface StockFeed {
  /**
   * Reading purchases costs more than all the rest: the listener reads those it wants, when it wants to. `isListening`: asked
   * before each message; one that nobody listens to is not even kept.
   */
  onPurchases(listener: (read: ReadPurchases) => void, isListening?: () => boolean): void;
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

export function createStockFeed({ redisUrl, log }: { redisUrl: string; log: Log }): StockFeed {
  const publisher = connectRedis(redisUrl, 'queue', log);
  const purchaseListeners: { listener: (read: ReadPurchases) => void; isListening: () => boolean }[] = [];
  const lineListeners: ((counters: SkuCounters) => void)[] = [];
  const paymentListeners: ((news: PaymentNews) => void)[] = [];
  const resyncListeners: (() => void)[] = [];
  let subscriber: ReturnType<typeof connectRedis> | undefined;

  function reader(entry: Buffer): ReadPurchases {
    return (isWanted) => {
      try {
        return toWantedPurchases(unpack(entry) as WireEntry, isWanted);
      } catch (error) {
        log.error({ err: error }, 'the purchases of a message of the stock feed cannot be read');
        return [];
      }
    };
  }

  function receive(bytes: Buffer): void {
    // Only the scripts and publishPayment write to the channels; a foreign message throws and is logged below.
    const { value, end } = unpackFirst(bytes);
    const message = value as WireMessage;
    if (message[0] === 'rebuilt') {
      for (const listener of resyncListeners) listener();
      return;
    }
    if (message[0] === 'pay') {
      const [, purchaseId, buyer, clientSecret, status] = message;
      for (const listener of paymentListeners) listener({ purchaseId, buyer, clientSecret, status });
      return;
    }
    const listening = end < bytes.length ? purchaseListeners.filter(({ isListening }) => isListening()) : [];
    if (listening.length > 0) {
      // A copy, because it is read later; the bytes are the parser's own.
      const read = reader(Buffer.from(bytes.subarray(end)));
      for (const { listener } of listening) listener(read);
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
    onPurchases(listener, isListening = () => true) {
      purchaseListeners.push({ listener, isListening });
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
