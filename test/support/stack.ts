// What a test file asks for: a database of its own (cloned from the migrated template) and a Redis process of its own,
// since scripts use fixed key names and publish/subscribe knows no database numbers. Whatever a test leaves open is
// ended with its worker process, and at the latest by the global teardown.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { inject } from 'vitest';
import { openPostgres, type Postgres } from '../../core/postgres/postgres.ts';
import { connectRedis, type Redis, whenReady } from '../../core/redis/redis.ts';
import { startRedis as startRedisService } from '../../core/services/redis.ts';
import type { Service } from '../../core/services/service.ts';
import { postgresSocket } from './unix-socket.ts';

export { freePort } from '../../core/services/ports.ts';

let opened = 0;

/** A fresh path below the run's directory, which the global teardown removes. */
export function temporaryDirectory(name: string): string {
  opened += 1;
  const directory = join(inject('runDirectory'), `${name}-${process.pid}-${opened}`);
  mkdirSync(directory, { recursive: true });
  return directory;
}

export interface TestDatabase {
  url: string;
  /** The same through a socket of the file system, which costs less; `postgres` uses it. */
  nearUrl: string;
  postgres: Postgres;
  drop(): Promise<void>;
}

export async function openTestDatabase(options: { max?: number } = {}): Promise<TestDatabase> {
  const fault = inject('templateFault');
  if (fault !== '') throw new Error(`the migrations failed in the global setup: ${fault}`);
  opened += 1;
  const name = `test_${process.pid}_${opened}`;
  const admin = openPostgres(inject('adminUrl'), { max: 1, name: 'test-admin' });
  await admin.query(`CREATE DATABASE ${name} TEMPLATE template_doorbuster`);
  const url = inject('adminUrl').replace(/\/postgres$/, `/${name}`);
  const nearUrl = postgresSocket(join(inject('runDirectory'), 'postgres')).addressOf(url);
  const postgres = openPostgres(nearUrl, { max: options.max ?? 10, name });
  return {
    url,
    nearUrl,
    postgres,
    async drop() {
      await postgres.close();
      await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      await admin.close();
    },
  };
}

export interface TestRedis {
  url: string;
  redis: Redis;
  service: Service;
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** Ready. A file makes a stock store for each of its tests, and all of them listen on this one connection. */
export async function connectTestRedis(url: string): Promise<Redis> {
  const redis = connectRedis(url, 'scripts');
  redis.setMaxListeners(0);
  await whenReady(redis, 10_000);
  return redis;
}

export async function openTestRedis(): Promise<TestRedis> {
  const service = await startRedis();
  const redis = await connectTestRedis(service.url);
  return {
    url: service.url,
    redis,
    service,
    async flush() {
      await redis.flushall();
    },
    async close() {
      redis.disconnect();
      await service.stop();
    },
  };
}

/** For crash tests: the same `dir` and `port` again bring back what was acknowledged. appendfsync always, noeviction. */
export async function startRedis(
  options: { dir?: string; port?: number; args?: readonly string[] } = {},
): Promise<Service> {
  const service = await startRedisService({
    program: inject('redisProgram'),
    directory: options.dir ?? temporaryDirectory('redis'),
    port: options.port,
    args: options.args ?? [],
    say: () => undefined,
  });
  process.once('exit', () => service.kill('SIGKILL'));
  return service;
}
