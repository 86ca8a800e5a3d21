// Connections to Redis, one kind per use. A connection for scripts fails at once and never sends a command twice or later:
// the caller must know whether it was sent. The others wait for Redis as long as it takes.
// Several nodes separated by commas are a cluster.
import { Cluster, Command, Redis as IoRedis } from 'ioredis';
import type { ClusterOptions, RedisOptions } from 'ioredis';
import { jitter } from '../clock.ts';
import {
  REDIS_BLOCKING_GRACE_MS,
  REDIS_CONNECT_TIMEOUT_MS,
  REDIS_KEEP_ALIVE_MS,
  REDIS_LOADING_RETRY_MAX_MS,
  REDIS_RECONNECT_MAX_MS,
  REDIS_RECONNECT_MIN_MS,
  REDIS_SLOTS_REFRESH_MS,
} from '../constants.ts';
import { fault, messageOf } from '../errors.ts';
import type { Log } from '../log.ts';

export type Redis = IoRedis;
export type RedisUse = 'scripts' | 'blocking' | 'subscriber' | 'queue';

export function connectRedis(url: string, use: RedisUse, log?: Log): Redis {
  const options = optionsFor(use);
  const redis = isClusterUrl(url) ? connectCluster(url, use, options) : new IoRedis(url, options);
  reportOutages(redis, use, log);
  return redis;
}

export function isClusterUrl(url: string): boolean {
  return url.includes(',');
}

/** The slot of a key: the same for all keys of one hash tag. */
export function slotOf(key: string): number {
  return new Command('get', [key]).getSlot();
}

/** The connection to the one node that has the key: for commands that concern a node (SCAN, WAIT) and not a key. */
export function nodeOf(redis: Redis, key: string): Redis {
  // The inverse of connectCluster's cast.
  const connection: unknown = redis;
  if (!(connection instanceof Cluster)) return redis;
  const [address = ''] = connection.slots[slotOf(key)] ?? [];
  const node = connection.nodes('master').find(({ options: { host, port } }) => `${host}:${port}` === address);
  if (node === undefined) throw fault('UNAVAILABLE', `No node of the Redis cluster serves the slot of ${key}`);
  return node;
}

/** Resolves when commands can be sent; UNAVAILABLE after `timeoutMs`. */
export async function whenReady(redis: Redis, timeoutMs: number): Promise<void> {
  if (redis.status === 'ready') return;
  await new Promise<void>((resolve, reject) => {
    const finish = (error?: Error) => {
      clearTimeout(timer);
      redis.off('ready', onReady);
      redis.off('end', onEnd);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onReady = () => finish();
    const onEnd = () => finish(fault('UNAVAILABLE', 'The connection to Redis was closed'));
    const timer = setTimeout(
      () => finish(fault('UNAVAILABLE', `Redis was not ready within ${timeoutMs} ms`)),
      timeoutMs,
    );
    redis.once('ready', onReady);
    redis.once('end', onEnd);
  });
}

function optionsFor(use: RedisUse): RedisOptions {
  const common: RedisOptions = {
    connectionName: `doorbuster-${use}`,
    connectTimeout: REDIS_CONNECT_TIMEOUT_MS,
    keepAlive: REDIS_KEEP_ALIVE_MS,
    retryStrategy: reconnectDelayMs,
    maxLoadingRetryTime: REDIS_LOADING_RETRY_MAX_MS,
    // After a failover the old primary answers READONLY on the old connection for ever: leave it, do not resend.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  };
  if (use === 'scripts') {
    return { ...common, enableOfflineQueue: false, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 };
  }
  const patient: RedisOptions = { ...common, maxRetriesPerRequest: null };
  if (use === 'blocking') {
    // A peer that vanished while we block would otherwise be waited for until the keep-alive gives up.
    return { ...patient, blockingTimeout: REDIS_BLOCKING_GRACE_MS, blockingTimeoutGrace: REDIS_BLOCKING_GRACE_MS };
  }
  return patient;
}

function connectCluster(url: string, use: RedisUse, options: RedisOptions): Redis {
  const scheme = url.slice(0, url.indexOf('://') + 3);
  const nodes = url.split(',').map((node) => (node.includes('://') ? node : `${scheme}${node}`));
  if (use === 'subscriber') return connectAnyNode(nodes, options);
  const first = new URL(nodes[0] ?? url);
  const clusterOptions: ClusterOptions = {
    enableOfflineQueue: options.enableOfflineQueue ?? true,
    clusterRetryStrategy: reconnectDelayMs,
    slotsRefreshInterval: REDIS_SLOTS_REFRESH_MS,
    redisOptions: {
      ...options,
      ...(first.username ? { username: decodeURIComponent(first.username) } : {}),
      ...(first.password ? { password: decodeURIComponent(first.password) } : {}),
      ...(scheme === 'rediss://' ? { tls: {} } : {}),
    },
  };
  // Cluster and Redis share the commands, the events and `status`, which is all that is used of either.
  return new Cluster(nodes, clusterOptions) as unknown as Redis;
}

/**
 * Every node tells what was published on any. One is listened to; when it is lost, the next. A Cluster would change nodes
 * without a word, and whoever missed a message meanwhile would never ask again: here each loss is told by 'close' and 'ready'.
 */
function connectAnyNode(nodes: readonly string[], options: RedisOptions): Redis {
  let turn = 0;
  const redis: Redis = new IoRedis(nodes[0] ?? '', {
    ...options,
    retryStrategy(attempt) {
      turn += 1;
      const next = new URL(nodes[turn % nodes.length] ?? '');
      // The next attempt reads them anew.
      redis.options.host = next.hostname;
      redis.options.port = Number(next.port || 6379);
      return reconnectDelayMs(attempt);
    },
  });
  return redis;
}

function reconnectDelayMs(attempt: number): number {
  return jitter(Math.min(REDIS_RECONNECT_MIN_MS * 2 ** Math.min(attempt, 10), REDIS_RECONNECT_MAX_MS));
}

/** One line when an outage begins and one when it ends, not one per attempt. Without a listener ioredis writes to the console. */
function reportOutages(redis: Redis, use: RedisUse, log: Log | undefined): void {
  let isDown = false;
  redis.on('error', (error: unknown) => {
    if (!isDown) log?.warn({ use, reason: messageOf(error) }, 'Redis cannot be reached');
    isDown = true;
  });
  redis.on('ready', () => {
    if (isDown) log?.info({ use }, 'Redis is back');
    isDown = false;
  });
}
