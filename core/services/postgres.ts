// Runs the embedded Postgres 18: one cluster in one directory, on the loopback only, in a process group of its own. It
// owns that directory; a server left there by a crash is stopped first. Readiness is read where pg_ctl reads it, in
// postmaster.pid, so no client is needed here.
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sleep } from '../clock.ts';
import { POSTGRES_START_LIMIT_MS, PROCESS_POLL_MS } from '../constants.ts';
import { isPortFree, portOrFree } from './ports.ts';
import {
  initialise,
  openAncestors,
  openPrograms,
  type Owner,
  postgresDirectory,
  postgresOwner,
  serverEnvironment,
} from './postgres-files.ts';
import { isServerOf } from './process-table.ts';
import { endOf, endProcess, isAlive, lastLines, type Say, type Service, signalProcess, stopChild } from './service.ts';

export interface PostgresOptions {
  directory: string;
  password: string;
  port?: number | undefined;
  /** For a restart: the clients know the port. Without it another port is taken where this one is in use. */
  mustKeepPort?: boolean;
  database?: string;
  /** Further settings, e.g. `fsync: 'off'` for tests, where only processes die and never the machine. */
  settings?: Readonly<Record<string, string>>;
  say: Say;
}

/** SIGINT is Postgres' fast shutdown (sessions are ended, a checkpoint is written), SIGQUIT its immediate one. */
const STOP_STEPS = [
  ['SIGINT', 15_000],
  ['SIGQUIT', 5_000],
  ['SIGKILL', 2_000],
] as const;

/**
 * For bursts of inserts under random keys. Checkpoints far apart: after each one every page that is touched goes to the WAL
 * whole, which for a large table is more than all rows. Nothing compiles statements that take a millisecond. What makes a commit
 * durable (fsync, synchronous_commit, full_page_writes) stays as Postgres has it.
 */
const PACE = {
  shared_buffers: '256MB',
  wal_buffers: '16MB',
  max_wal_size: '2GB',
  checkpoint_timeout: '15min',
  jit: 'off',
  // The sums of the audit would take both cores of a small machine from the buyers; alone they take longer, and nobody waits.
  max_parallel_workers_per_gather: '0',
};

export async function startPostgres(options: PostgresOptions): Promise<Service> {
  const { directory, say } = options;
  mkdirSync(dirname(directory), { recursive: true });
  const native = postgresDirectory();
  const owner = postgresOwner(say);
  await stopOrphan(directory, say);
  if (owner) {
    openPrograms(native);
    openAncestors(native, say);
    openAncestors(directory, say);
  }
  if (!existsSync(join(directory, 'PG_VERSION'))) {
    initialise(native, directory, options.password, owner, options.settings?.fsync === 'off' ? ['--no-sync'] : []);
  }
  for (let attempt = 1; ; attempt += 1) {
    const wanted = attempt === 1 || options.mustKeepPort ? options.port : undefined;
    const port = options.mustKeepPort && wanted ? wanted : await portOrFree(wanted);
    try {
      return await launch(options, native, owner, port);
    } catch (error) {
      // Somebody else took the port between the probe and the bind: another port is tried.
      if (options.mustKeepPort || attempt === 5 || (await isPortFree(port, '127.0.0.1'))) throw error;
    }
  }
}

async function launch(
  options: PostgresOptions,
  native: string,
  owner: Owner | undefined,
  port: number,
): Promise<Service> {
  const { directory, password, database = 'postgres' } = options;
  const logFile = `${directory}.log`;
  const output = openSync(logFile, 'a');
  // Detached: a Ctrl-C on the terminal must not reach it before our own orderly stop does.
  const child = spawn(join(native, 'bin', 'postgres'), commandWords(options, port), {
    cwd: directory,
    detached: true,
    stdio: ['ignore', output, output],
    env: serverEnvironment(),
    ...owner,
  });
  closeSync(output);
  child.unref();
  const ended = endOf(child);
  const pid = child.pid ?? 0;
  let hasEnded = pid === 0;
  void ended.then(() => {
    hasEnded = true;
  });
  for (let waitedMs = 0; !hasEnded && waitedMs < POSTGRES_START_LIMIT_MS; waitedMs += PROCESS_POLL_MS) {
    const state = readState(directory);
    if (state?.pid === pid && state.status === 'ready') {
      const url = `postgres://postgres:${password}@127.0.0.1:${port}/${database}`;
      const stop = (): Promise<void> => stopChild(pid, ended, STOP_STEPS);
      return { name: 'postgres', url, port, pid, ended, stop, kill: (signal) => signalProcess(pid, signal) };
    }
    await sleep(PROCESS_POLL_MS);
  }
  if (!hasEnded) signalProcess(pid, 'SIGQUIT');
  throw new Error(`Postgres did not start in ${directory}: ${await ended}\n${lastLines(logFile)}`);
}

function commandWords({ directory, settings }: PostgresOptions, port: number): string[] {
  const all: Record<string, string> = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    // No socket file: its path is limited to about 100 characters, and a data directory's may be longer.
    unix_socket_directories: '',
    max_connections: '200',
    log_timezone: 'UTC',
    timezone: 'UTC',
    ...PACE,
    ...settings,
  };
  return ['-D', directory, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
}

async function stopOrphan(directory: string, say: Say): Promise<void> {
  const pid = readState(directory)?.pid;
  if (pid === undefined) return;
  if (!isAlive(pid) || !isServerOf(pid, directory, ['postgres'], directory)) return disown(directory);
  say(`a Postgres of an earlier run still lives (pid ${pid}): stopping it first`);
  const isGone = await endProcess(pid, STOP_STEPS.slice(0, 2));
  if (!isGone) throw new Error(`the Postgres of an earlier run (pid ${pid}) does not end: end it, then start again`);
}

/**
 * Postgres refuses to start while the pid in the file exists, even if it is a zombie (in a container nobody may ever
 * collect it) or somebody else's by now. With our own pid, that of its parent to be, it goes on to the better question,
 * which must not be skipped: whether the old server's shared memory is still in use.
 */
function disown(directory: string): void {
  const file = join(directory, 'postmaster.pid');
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^-?\d+/, String(process.pid)));
}

/** postmaster.pid: the pid in line 1, the state in line 8. */
function readState(directory: string): { pid: number; status: string } | undefined {
  try {
    const lines = readFileSync(join(directory, 'postmaster.pid'), 'utf8').split('\n');
    const pid = Number.parseInt(lines[0] ?? '', 10);
    return pid > 0 ? { pid, status: (lines[7] ?? '').trim() } : undefined;
  } catch {
    return undefined;
  }
}
