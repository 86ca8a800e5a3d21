// Where one test run keeps its servers' data, and how all of it goes away again: at the end, after Ctrl-C, and, for a
// run that was killed outright, at the start of the next one.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { commandLine, isServerOf } from '../../core/services/process-table.ts';
import { isAlive, signalProcess } from '../../core/services/service.ts';

const PREFIX = 'doorbuster-test-';
const SERVERS = ['redis-server', 'valkey-server', 'postgres'];

export function createRunDirectory(): string {
  const directory = join(tmpdir(), `${PREFIX}${process.pid}`);
  mkdirSync(directory, { recursive: true });
  return directory;
}

/** Ends every server that still works in the directory, and removes it; without an await, so that an exit hook can do it. */
export function clearRunDirectory(directory: string): void {
  if (!existsSync(directory)) return;
  const pids = serverPids(directory);
  // SIGQUIT: Postgres takes its sessions with it, at once; Redis is simply gone.
  for (const pid of pids) signalProcess(pid, 'SIGQUIT');
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let look = 0; look < 150 && pids.some(isAlive); look += 1) Atomics.wait(pause, 0, 0, 20);
  for (const pid of pids) signalProcess(pid, 'SIGKILL');
  rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
}

export function clearDeadRuns(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = name.startsWith(PREFIX) ? Number.parseInt(name.slice(PREFIX.length), 10) : Number.NaN;
    if (Number.isNaN(pid) || (isAlive(pid) && (commandLine(pid) ?? '').includes('vitest'))) continue;
    try {
      clearRunDirectory(join(tmpdir(), name));
    } catch {
      // Another user's leftovers are not ours to remove.
    }
  }
}

function serverPids(directory: string): number[] {
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => file.endsWith('redis.pid') || file.endsWith('postmaster.pid'))
    .map((file) => ({ home: join(directory, dirname(file)), pid: readPid(join(directory, file)) }))
    .filter(({ home, pid }) => pid > 0 && isAlive(pid) && isServerOf(pid, home, SERVERS, home))
    .map(({ pid }) => pid);
}

/** 0 when the server removed the file between the listing and the look. */
function readPid(file: string): number {
  try {
    return Number.parseInt(readFileSync(file, 'utf8'), 10) || 0;
  } catch {
    return 0;
  }
}
