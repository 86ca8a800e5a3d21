// What befalls processes and stores at moments that the seed draws: a process dies and is started again, one becomes slow,
// Redis or Postgres is away for a while. Nothing that was acknowledged may be lost by any of it.
import { keys } from '../../actors/keys.ts';
import { PARTITIONS } from '../../core/constants.ts';
import type { Redis } from '../../core/redis/redis.ts';
import type { SimulatedQueue } from './job-queue.ts';
import type { Node, World } from './world.ts';

export interface DisastersOptions {
  readonly world: World;
  readonly redis: Redis;
  readonly queue: SimulatedQueue;
  readonly living: () => readonly Node[];
  /** Ends a process's life and begins another one's after a while. */
  readonly kill: (node: Node) => Promise<void>;
}

/** After a restart Redis is another process: every script must be refused until it was compared with Postgres. */
export async function changeRedisRun(world: World, redis: Redis): Promise<void> {
  const batch = redis.pipeline();
  for (let partition = 0; partition < PARTITIONS; partition++) {
    batch.hset(keys.fence(partition), 'run', 'former');
    world.touched.add(partition);
  }
  await batch.exec();
}

/** Plans them over the time of the history. */
export function planDisasters({ world, redis, queue, living, kill }: DisastersOptions, spanMs: number): void {
  const { timeline, random, weather } = world;
  const plan = (count: number, strike: () => unknown): void => {
    for (let i = 0; i < Math.round(count); i++) timeline.schedule(random.integer(0, spanMs), strike);
  };

  plan(weather.deaths, async () => {
    const nodes = living();
    // Somebody must be left who sweeps: a shop without any process keeps no promise.
    const healthy = nodes.filter((node) => node.slowUntil <= timeline.now);
    const victims = nodes.filter((node) => healthy.some((other) => other !== node));
    if (victims.length > 0) await kill(random.pick(victims));
  });

  plan(weather.slowdowns, () => {
    const nodes = living();
    if (nodes.filter((node) => node.slowUntil <= timeline.now).length < 2) return;
    const node = random.pick(nodes);
    node.slowUntil = timeline.now + random.integer(200, 2_500);
    timeline.note(`${node.name} is slow`);
  });

  plan(weather.redisRestarts, async () => {
    world.redisDownUntil = timeline.now + random.integer(100, 900);
    timeline.note('Redis is restarted');
    await changeRedisRun(world, redis);
    queue.lose(weather.jobLost);
    for (const { node, listener } of world.cutListeners) if (node.isAlive) listener();
  });

  plan(weather.postgresOutages, () => {
    world.postgresDownUntil = timeline.now + random.integer(100, 2_500);
    timeline.note('Postgres is away');
  });
}
