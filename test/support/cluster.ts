// A Redis Cluster of three masters in the place of a test's Redis: every process that gets its URL is a client of a cluster.
import { inject } from 'vitest';
import { keys } from '../../actors/keys.ts';
import { PARTITIONS } from '../../core/constants.ts';
import { nodeOf } from '../../core/redis/redis.ts';
import { startRedisCluster } from '../../core/services/redis-cluster.ts';
import type { Service } from '../../core/services/service.ts';
import { connectTestRedis, type TestRedis, temporaryDirectory } from './stack.ts';

export interface TestCluster extends TestRedis {
  readonly masters: readonly Service[];
  restart(index: number): Promise<void>;
  addReplica(index: number): Promise<Service>;
}

export async function openTestCluster(masters = 3): Promise<TestCluster> {
  const tags = Array.from({ length: PARTITIONS }, (_, partition) => keys.fence(partition));
  const directory = temporaryDirectory('cluster');
  const cluster = await startRedisCluster({ program: inject('redisProgram'), directory, masters, tags });
  process.once('exit', () => {
    for (const master of cluster.masters) master.kill('SIGKILL');
  });
  const redis = await connectTestRedis(cluster.url);
  const [service] = cluster.masters;
  if (service === undefined) throw new Error('a cluster has a master');
  return {
    url: cluster.url,
    redis,
    service,
    get masters() {
      return cluster.masters;
    },
    restart: (index) => cluster.restart(index),
    async addReplica(index) {
      const replica = await cluster.addReplica(index);
      process.once('exit', () => replica.kill('SIGKILL'));
      return replica;
    },
    async flush() {
      await Promise.all(tags.map((tag) => nodeOf(redis, tag).flushall()));
    },
    async close() {
      redis.disconnect();
      await cluster.stop();
    },
  };
}
