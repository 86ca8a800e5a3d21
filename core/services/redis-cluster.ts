// Runs a private Redis Cluster of masters on the loopback, each durable like the private Redis: for benches and tests. Slots
// are cut so that the tags it is told of are spread evenly: with few tags, equal ranges of slots are not equal shares.
import { join } from 'node:path';
import { sleep } from '../clock.ts';
import { CLUSTER_READY_LIMIT_MS, PROCESS_POLL_MS } from '../constants.ts';
import { connectRedis, type Redis, slotOf, whenReady } from '../redis/redis.ts';
import { freePort } from './ports.ts';
import { startRedis } from './redis.ts';
import type { Service } from './service.ts';

const SLOTS = 16_384;

export interface RedisCluster {
  /** As REDIS_URL takes it. */
  readonly url: string;
  readonly masters: readonly Service[];
  /** After a crash: on the same ports, with what it had on its disk. */
  restart(index: number): Promise<void>;
  /** Resolves when it has what its master has. */
  addReplica(index: number): Promise<Service>;
  stop(): Promise<void>;
}

export interface RedisClusterOptions {
  program: string;
  directory: string;
  masters: number;
  /** One key of each tag that is to be spread. */
  tags: readonly string[];
}

interface Node {
  service: Service;
  /** On which its nodes talk. */
  readonly busPort: number;
  readonly directory: string;
}

export async function startRedisCluster(options: RedisClusterOptions): Promise<RedisCluster> {
  const masters: Node[] = [];
  const replicas: Node[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all([...masters, ...replicas].map(({ service }) => service.stop()));
  };
  try {
    for (let i = 1; i <= options.masters; i++) masters.push(await startNode(options, `master-${i}`));
    await unite(masters, cutSlots(options.tags, options.masters));
    const url = masters.map(({ service }) => service.url).join(',');
    return {
      ...{ url, stop },
      get masters() {
        return masters.map(({ service }) => service);
      },
      async restart(index) {
        const master = masters[index];
        if (master === undefined) throw new RangeError(`there is no master ${index}`);
        master.service = await launch(options, master.directory, master.busPort, master.service.port);
      },
      async addReplica(index) {
        const master = masters[index];
        if (master === undefined) throw new RangeError(`there is no master ${index}`);
        const replica = await startNode(options, `replica-of-${index}`);
        replicas.push(replica);
        await follow(replica, master);
        return replica.service;
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Another port is tried where somebody takes the second one between the look and the bind. */
async function startNode(options: RedisClusterOptions, name: string, tries = 5): Promise<Node> {
  const busPort = await freePort();
  const directory = join(options.directory, `${name}-${busPort}`);
  try {
    return { service: await launch(options, directory, busPort), busPort, directory };
  } catch (error) {
    if (tries === 1) throw error;
    return startNode(options, name, tries - 1);
  }
}

function launch({ program }: RedisClusterOptions, directory: string, busPort: number, port?: number): Promise<Service> {
  const words = ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1', '--cluster-port', String(busPort)];
  // A master that is down keeps its own partitions waiting, not those of the others.
  const args = [...words, '--cluster-require-full-coverage', 'no', '--repl-diskless-sync-delay', '0'];
  return startRedis({ program, directory, args, port, mustKeepPort: port !== undefined, say: () => undefined });
}

/** Where each master's range begins: between two tags, so that no master has more than one tag above another. */
export function cutSlots(tags: readonly string[], masters: number): number[] {
  const slots = tags.map(slotOf).sort((a, b) => a - b);
  const begins = Array.from({ length: masters }, (_, i) => slots[Math.round((i * slots.length) / masters)] ?? SLOTS);
  return [0, ...begins.slice(1)];
}

async function unite(masters: readonly Node[], begins: readonly number[]): Promise<void> {
  const connections = masters.map(({ service }) => connectRedis(service.url, 'scripts'));
  try {
    await Promise.all(connections.map((redis) => whenReady(redis, CLUSTER_READY_LIMIT_MS)));
    for (const [i, redis] of connections.entries()) {
      // With a number of its own each: two masters of one number would argue about who is right.
      await redis.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
      await redis.call('CLUSTER', 'ADDSLOTSRANGE', begins[i] ?? 0, (begins[i + 1] ?? SLOTS) - 1);
    }
    for (const { service, busPort } of masters.slice(1)) {
      await connections[0]?.call('CLUSTER', 'MEET', '127.0.0.1', service.port, busPort);
    }
    await Promise.all(connections.map((redis) => untilWhole(redis, masters.length)));
  } finally {
    for (const redis of connections) redis.disconnect();
  }
}

async function untilWhole(redis: Redis, masters: number): Promise<void> {
  let state = '';
  for (let waitedMs = 0; waitedMs < CLUSTER_READY_LIMIT_MS; waitedMs += PROCESS_POLL_MS) {
    state = String(await redis.call('CLUSTER', 'INFO'));
    if (state.includes('cluster_state:ok') && state.includes(`cluster_size:${masters}\r`)) return;
    await sleep(PROCESS_POLL_MS);
  }
  throw new Error(`the Redis cluster is not whole:\n${state}`);
}

async function follow(replica: Node, master: Node): Promise<void> {
  const [own, other] = [connectRedis(replica.service.url, 'scripts'), connectRedis(master.service.url, 'scripts')];
  try {
    await Promise.all([own, other].map((redis) => whenReady(redis, CLUSTER_READY_LIMIT_MS)));
    await own.call('CLUSTER', 'MEET', '127.0.0.1', master.service.port, master.busPort);
    const id = String(await other.call('CLUSTER', 'MYID'));
    let isFollowing = false;
    for (let waitedMs = 0; waitedMs < CLUSTER_READY_LIMIT_MS; waitedMs += PROCESS_POLL_MS) {
      // Refused until it has heard of that node; said twice, it would begin again.
      const say = (): Promise<boolean> => own.call('CLUSTER', 'REPLICATE', id).then(() => true);
      isFollowing ||= await say().catch(() => false);
      if ((await own.info('replication')).includes('master_link_status:up')) return;
      await sleep(PROCESS_POLL_MS);
    }
    throw new Error('the replica did not reach its master');
  } finally {
    for (const redis of [own, other]) redis.disconnect();
  }
}
