// Redis replaced by an older copy of itself, or emptied: what was acknowledged within the relay's lag may be lost, what
// Postgres has is not, and nothing is sold before the two were compared. A rebuild runs as one event, while no other
// transaction is open: it takes a second connection, and the simulation has one.
import { keys } from '../../actors/keys.ts';
import { simulateTime, type SimulatedTime } from '../../core/clock.ts';
import { PARTITIONS } from '../../core/constants.ts';
import { createLog } from '../../core/log.ts';
import { createRebuild } from '../../shop/admin/rebuild.ts';
import { changeRedisRun } from './disasters.ts';
import type { SimulatedQueue } from './job-queue.ts';
import type { SharedPostgres } from './postgres-wire.ts';
import type { Stage } from './stage.ts';
import { createNode, type Node, type World } from './world.ts';

export interface Durable {
  readonly version: number;
  readonly status: string;
}

export interface RedisLoss {
  /** When the last one struck; 0 before. */
  readonly at: number;
  /** What Postgres had then. */
  readonly durable: ReadonlyMap<string, Durable>;
  /** And the positions of the movements in its ledger, by partition. */
  readonly ledger: ReadonlyMap<number, ReadonlySet<number>>;
  /** Draws the moments at which a copy is taken and put back. */
  plan(spanMs: number): void;
  /** Builds again what Redis lacks; for whoever found out. */
  rebuild(node: Node): Promise<void>;
}

export interface RedisLossOptions {
  readonly world: World;
  readonly stage: Stage;
  readonly shared: SharedPostgres;
  readonly queue: SimulatedQueue;
  readonly time: SimulatedTime;
  readonly onStrike: () => void;
}

const log = createLog({ logLevel: 'silent' }, 'simulation');
const everyFence = Array.from({ length: PARTITIONS }, (_, partition) => keys.fence(partition));

export function createRedisLoss({ world, stage, shared, queue, time, onStrike }: RedisLossOptions): RedisLoss {
  const { timeline, random } = world;
  const { redis } = stage;
  const durable = new Map<string, Durable>();
  const ledger = new Map<number, Set<number>>();
  let at = 0;
  let isRebuilding = false;

  async function copy(): Promise<Map<string, Buffer>> {
    const names = (await redis.keys('*')).sort();
    const dumps = await Promise.all(names.map((name) => redis.dumpBuffer(name)));
    return new Map(names.map((name, i) => [name, dumps[i] ?? Buffer.alloc(0)]));
  }

  async function strike(former: ReadonlyMap<string, Buffer>): Promise<void> {
    timeline.note(former.size === 0 ? 'Redis is emptied' : 'Redis is an older copy of itself');
    const { rows } = await stage.postgres.query<{ id: string } & Durable>(
      'SELECT purchase_id AS id, version, status FROM purchases',
    );
    durable.clear();
    for (const { id, ...row } of rows) durable.set(id, row);
    const moved = await stage.postgres.query<{ partition: number; seqs: number[] }>(
      'SELECT partition, json_agg(seq) AS seqs FROM ledger GROUP BY partition',
    );
    ledger.clear();
    for (const { partition, seqs } of moved.rows) ledger.set(partition, new Set(seqs));
    at = timeline.now;
    world.redisDownUntil = timeline.now + random.integer(100, 600);
    await redis.flushall();
    for (const [name, dump] of former) await redis.restore(name, 0, dump);
    if (former.size > 0) await changeRedisRun(world, redis);
    for (const fence of everyFence) await redis.hset(fence, 'testClock', '1');
    queue.clear();
    onStrike();
    for (let partition = 0; partition < PARTITIONS; partition++) world.touched.add(partition);
    for (const { node, listener } of world.cutListeners) if (node.isAlive) listener();
  }

  async function rebuildNow(): Promise<void> {
    const postgres = await stage.openPostgresAt(timeline.now);
    const clock = createNode(world, 'rebuild');
    simulateTime(undefined);
    try {
      const testNow = (): number => timeline.now;
      const deps = { postgres, redis, queue: queue.direct, clock, log, testNow, settleMs: 0 };
      const built = await createRebuild(deps).run();
      timeline.note(`rebuilt: ${built.map((one) => `p${one.partition} ${one.purchases}`).join(', ')}`);
    } finally {
      simulateTime(time);
      await postgres.close();
    }
    for (let partition = 0; partition < PARTITIONS; partition++) world.touched.add(partition);
  }

  return {
    get at() {
      return at;
    },
    durable,
    ledger,
    plan(spanMs) {
      if (world.weather.redisLosses === 0) return;
      const copyAt = random.integer(0, spanMs);
      let former: Map<string, Buffer> | undefined;
      timeline.schedule(copyAt, async () => {
        former = await copy();
      });
      timeline.schedule(copyAt + random.integer(20, 2_500), () => {
        const copied = random.isLucky(0.4) ? undefined : former;
        void shared.alone(() => strike(copied ?? new Map<string, Buffer>()));
      });
    },
    async rebuild(node) {
      if (isRebuilding) return;
      isRebuilding = true;
      try {
        await shared.alone(async () => {
          const isAway = timeline.now < Math.max(world.redisDownUntil, world.postgresDownUntil);
          if (isAway || !node.isAlive) throw new Error('Connection is closed.');
          await rebuildNow();
        });
      } finally {
        isRebuilding = false;
      }
    },
  };
}
