// Data directories of runs that are thrown away at their end (the demo, the fault matrix), below the system's temporary
// directory. A run that was killed outright leaves its servers and its data behind: the next one finds the directory by its
// stale lock, ends what still works in it, and removes it. What was kept on purpose has no lock and is left alone.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleep } from '../../core/clock.ts';
import { PROCESS_KILL_LIMIT_MS } from '../constants.ts';
import { openDataDirectory } from '../../core/services/data-dir.ts';
import { isServerOf, startedWith } from '../../core/services/process-table.ts';
import { lastRun } from '../../core/services/run-file.ts';
import { endProcess, type Say, signalProcess } from '../../core/services/service.ts';
import { endLeftovers } from './leftovers.ts';

const SERVERS = ['redis-server', 'valkey-server', 'postgres'];
const PID_FILES = ['redis/redis.pid', 'postgres/postmaster.pid'];
const REMOVE_TRIES = 20;
const REMOVE_PAUSE_MS = 100;

export function makeThrowaway(prefix: string): string {
  return mkdtempSync(join(tmpdir(), prefix));
}

/** Whatever is still mounted below goes first: a store's data may lie on a small disk of its own. */
export async function removeThrowaway(directory: string): Promise<void> {
  for (const mount of mountsBelow(directory)) execFileSync('umount', ['--lazy', mount]);
  // A process that is on its way out may still be writing.
  for (let attempt = 1; existsSync(directory); attempt += 1) {
    try {
      rmSync(directory, { recursive: true, force: true });
    } catch (error) {
      if (attempt === REMOVE_TRIES) throw error;
      await sleep(REMOVE_PAUSE_MS);
    }
  }
}

/** Ends and removes what runs with this prefix left behind; those that live are left alone. */
export async function clearDeadRuns(prefix: string, entries: readonly string[], say: Say): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    const directory = join(tmpdir(), name);
    if (!name.startsWith(prefix) || !existsSync(join(directory, 'lock'))) continue;
    const home = takeOver(directory);
    if (home === undefined) continue;
    say(`an earlier run was killed: clearing ${directory}`);
    // One that was frozen when its supervisor died hears nothing else.
    for (const { pid } of lastRun(directory)?.processes ?? []) if (isOf(pid, directory)) signalProcess(pid, 'SIGCONT');
    await endLeftovers(directory, entries, say);
    await Promise.all(PID_FILES.map((file) => endServer(directory, file)));
    await removeThrowaway(directory);
    home.release();
  }
}

/** Undefined while its run lives, and where it is somebody else's. */
function takeOver(directory: string): { release(): void } | undefined {
  try {
    return openDataDirectory(directory);
  } catch {
    return undefined;
  }
}

function isOf(pid: number, directory: string): boolean {
  if (startedWith(pid, 'DATA_DIR') === directory) return true;
  return PID_FILES.some((file) => isServerOf(pid, homeOf(directory, file), SERVERS, directory));
}

async function endServer(directory: string, file: string): Promise<void> {
  const home = homeOf(directory, file);
  const pid = readPid(join(directory, file));
  if (pid === undefined || !existsSync(home) || !isServerOf(pid, home, SERVERS, home)) return;
  signalProcess(pid, 'SIGCONT');
  // SIGQUIT: Postgres takes its sessions with it, at once; Redis is simply gone. The data is thrown away.
  await endProcess(pid, [
    ['SIGQUIT', PROCESS_KILL_LIMIT_MS],
    ['SIGKILL', PROCESS_KILL_LIMIT_MS],
  ]);
}

function homeOf(directory: string, file: string): string {
  return join(directory, file.slice(0, file.indexOf('/')));
}

function readPid(file: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(file, 'utf8'), 10);
    return pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Deepest first; none where the system does not say. */
function mountsBelow(directory: string): string[] {
  if (!existsSync('/proc/mounts') || !existsSync(directory)) return [];
  const inside = `${realpathSync(directory)}/`;
  const points = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '');
  return points.filter((point) => point.startsWith(inside)).sort((a, b) => b.length - a.length);
}
