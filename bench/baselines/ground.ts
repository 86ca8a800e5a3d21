// What a baseline stands on: stores of its own, as ours has them and with the same settings (appendfsync always, fsync
// on), in a directory that is thrown away. And a look at books that still move.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleep } from '../../core/clock.ts';
import { openPostgres, type Postgres } from '../../core/postgres/postgres.ts';
import { connectRedis, type Redis, whenReady } from '../../core/redis/redis.ts';
import { startPostgres } from '../../core/services/postgres.ts';
import { ensureRedis } from '../../core/services/redis-binary.ts';
import { startRedis } from '../../core/services/redis.ts';
import type { Say, Service } from '../../core/services/service.ts';

export interface Ground {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly postgres: Postgres;
  readonly redis: Redis;
  processes(): { name: string; pid: number }[];
  close(): Promise<void>;
}

const READY_MS = 10_000;
const STILL_MS = 300;
const STILL_LIMIT_MS = 60_000;
const grounds = new Set<Promise<Ground>>();

export function openGround(say: Say): Promise<Ground> {
  const opening = open(say);
  grounds.add(opening);
  return opening;
}

/** Those that a run which ends before its time left open. */
export async function closeGrounds(): Promise<void> {
  const opened = await Promise.allSettled(grounds);
  await Promise.all(opened.flatMap((ground) => (ground.status === 'fulfilled' ? [ground.value.close()] : [])));
}

async function open(say: Say): Promise<Ground> {
  const directory = mkdtempSync(join(tmpdir(), 'doorbuster-baseline-'));
  const services: Service[] = [];
  let isOpen = true;
  const leave = async (): Promise<void> => {
    await Promise.all(services.map((service) => service.stop()));
    rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  };
  try {
    const database = await startPostgres({ directory: join(directory, 'postgres'), password: 'baseline', say });
    services.push(database);
    const memory = await startRedis({ program: await ensureRedis(say), directory: join(directory, 'redis'), say });
    services.push(memory);
    const postgres = openPostgres(database.url, { max: 2, name: 'bench-baseline' });
    const redis = connectRedis(memory.url, 'scripts');
    await whenReady(redis, READY_MS);
    return {
      ...{ databaseUrl: database.url, redisUrl: memory.url, postgres, redis },
      processes: () => services.map(({ name, pid }) => ({ name, pid })),
      async close() {
        if (!isOpen) return;
        isOpen = false;
        redis.disconnect();
        await postgres.close();
        await leave();
      },
    };
  } catch (error) {
    await leave();
    throw error;
  }
}

/** Books are read again until they do not change: who was cut off when the time was up may still be served. */
export async function whenStill<T>(read: () => Promise<T>): Promise<T> {
  const until = performance.now() + STILL_LIMIT_MS;
  for (let before = await read(); ; ) {
    await sleep(STILL_MS);
    const now = await read();
    if (JSON.stringify(now) === JSON.stringify(before) || performance.now() > until) return now;
    before = now;
  }
}
