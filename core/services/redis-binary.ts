// Which Redis we run: redis-server or valkey-server, not older than our scripts need, installed where there is none.
import { spawnSync } from 'node:child_process';
import { findOrInstall } from './system-packages.ts';
import type { Say } from './service.ts';

const PROGRAMS = ['redis-server', 'valkey-server'] as const;

/** The scripts' `#!lua flags=` headers came with Redis 7. */
const OLDEST_MAJOR = 7;

const THREE_WAYS = `There is no redis-server or valkey-server (version ${OLDEST_MAJOR} or later) on the PATH. Three ways to get one:
  1. install it with the package manager: apt-get install redis-server, apk add redis, dnf install valkey, brew install redis
  2. point REDIS_URL at a running Redis (appendonly yes, appendfsync always, maxmemory-policy noeviction)
  3. run everything in containers: docker compose up`;

const PACKAGES = {
  'apt-get': ['redis-server', 'valkey-server'],
  apk: ['redis', 'valkey'],
  dnf: ['valkey', 'redis'],
  brew: ['redis'],
};

/** The program's name, to be spawned through the PATH. */
function findRedis(): string | undefined {
  return PROGRAMS.find((program) => {
    const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
    return status === 0 && Number(/v=(\d+)/.exec(stdout)?.[1] ?? 0) >= OLDEST_MAJOR;
  });
}

export async function ensureRedis(say: Say): Promise<string> {
  const search = await findOrInstall({ name: 'redis-server', find: findRedis, packages: PACKAGES }, say);
  if (search.isFound) return search.program;
  throw new Error(`${search.reason}.\n${THREE_WAYS}`);
}
