// Finds redis-server or valkey-server, and installs it with the system's package manager where that can be done
// without asking anybody for a password. It never downloads a program from elsewhere.
import { spawnSync } from 'node:child_process';
import type { Say } from './service.ts';

const PROGRAMS = ['redis-server', 'valkey-server'] as const;

/** The scripts' `#!lua flags=` headers came with Redis 7. */
const OLDEST_MAJOR = 7;

const THREE_WAYS = `There is no redis-server or valkey-server (version ${OLDEST_MAJOR} or later) on the PATH. Three ways to get one:
  1. install it with the package manager: apt-get install redis-server, apk add redis, dnf install valkey, brew install redis
  2. point REDIS_URL at a running Redis (appendonly yes, appendfsync always, maxmemory-policy noeviction)
  3. run everything in containers: docker compose up`;

/** In the order in which they are tried. `update` refreshes the list of packages, which a fresh image lacks. */
const PACKAGE_MANAGERS: readonly { program: string; update?: string[]; install: string[]; packages: string[] }[] = [
  {
    program: 'apt-get',
    update: ['update'],
    install: ['install', '-y', '--no-install-recommends'],
    packages: ['redis-server', 'valkey-server'],
  },
  { program: 'apk', update: ['update'], install: ['add'], packages: ['redis', 'valkey'] },
  { program: 'dnf', install: ['install', '-y'], packages: ['valkey', 'redis'] },
  { program: 'brew', install: ['install'], packages: ['redis'] },
];

/** The program's name, to be spawned through the PATH. */
export function findRedis(): string | undefined {
  return PROGRAMS.find((program) => {
    const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
    return status === 0 && Number(/v=(\d+)/.exec(stdout)?.[1] ?? 0) >= OLDEST_MAJOR;
  });
}

export function ensureRedis(say: Say): string {
  const found = findRedis();
  if (found) return found;
  const manager = PACKAGE_MANAGERS.find(({ program }) => runs(program, '--version'));
  // brew refuses root and needs none; the others need it.
  const isRoot = process.getuid?.() === 0;
  const needsSudo = manager?.program !== 'brew' && !isRoot;
  if (!manager || (needsSudo && !runs('sudo', '-n', 'true'))) throw new Error(THREE_WAYS);
  say(`redis-server is not installed: installing it with ${manager.program}`);
  const prefix = needsSudo ? ['sudo', '-n'] : [];
  if (manager.update) install([...prefix, manager.program, ...manager.update]);
  for (const name of manager.packages) {
    install([...prefix, 'env', ...QUIET_INSTALL, manager.program, ...manager.install, name]);
    const installed = findRedis();
    if (installed) return installed;
  }
  throw new Error(`${manager.program} could not install it.\n${THREE_WAYS}`);
}

/** No questions, and (RUNLEVEL=1) no start of the packaged service, which would take port 6379. */
const QUIET_INSTALL = ['DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1'];

function runs(program: string, ...args: string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0;
}

function install(command: readonly string[]): void {
  const [program = '', ...args] = command;
  // Its failure shows in what it prints, and in the program still missing afterwards.
  spawnSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}
