// A whole system on one machine: lock, servers, migrations, sandbox, workers and API, each supervised, and stopped in
// the reverse order. `npm start` and the demo use it; it prints nothing but through `say`.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { sleep } from '../../core/clock.ts';
import type { Config, RuntimeConfig } from '../../core/config.ts';
import { PROCESS_POLL_MS } from '../../core/constants.ts';
import { READY_LIMIT_MS } from '../constants.ts';
import { messageOf } from '../../core/errors.ts';
import { migrate } from '../../core/postgres/migrate.ts';
import { isInfrastructureError, openPostgres } from '../../core/postgres/postgres.ts';
import { openDataDirectory, readSecrets } from '../../core/services/data-dir.ts';
import { startMark } from '../../core/services/process-table.ts';
import { type RunningProcess, removeRunFile, writeRunFile } from '../../core/services/run-file.ts';
import type { Say } from '../../core/services/service.ts';
import { type ChildProgram, entryPath, launchChild } from './child.ts';
import { childEnvironment } from './child-environment.ts';
import { type Kept, keepRunning } from './keep-running.ts';
import { endLeftovers } from './leftovers.ts';
import { claimPort, fillSecrets, keepPostgres, keepRedis, meetRedis } from './surroundings.ts';

const ENTRIES = { api: 'api/main.ts', workers: 'workers/main.ts', sandbox: 'sandbox/main.ts' } as const;

/** What a child of ours has on its command line. */
export const CHILD_ENTRIES: readonly string[] = Object.values(ENTRIES).map(entryPath);

export interface SystemOptions {
  say: Say;
  /** The environment that the children inherit; what the configuration says is set over it. */
  env: NodeJS.ProcessEnv;
  /** Children write to `<dataDir>/logs` instead of to our output. */
  isQuiet?: boolean;
  /** Keeps everything up where the system does not become ready, so that an operator can look and rebuild. */
  staysUpUnready?: boolean;
  /** Gives the start up: what was started by then is stopped, and startSystem rejects. */
  signal?: AbortSignal;
  /** The last word on how a child is started, asked at every start of it: fault tests put something in between. */
  recast?: (program: ChildProgram) => ChildProgram;
}

export interface System {
  readonly url: string;
  /** As the children got it: with every URL and secret. */
  readonly config: RuntimeConfig;
  /** Null with a real Stripe key. */
  readonly sandboxUrl: string | null;
  /** Resolves when GET /readyz answers 200; rejects with its last answer when it does not within the limit. */
  ready(limitMs?: number): Promise<void>;
  processes(): RunningProcess[];
  /** API first (it drains), then workers, sandbox, Redis, Postgres. */
  stop(): Promise<void>;
  /** For those who cannot wait for stop(): children at once, servers without waiting for anybody. */
  hurry(): void;
}

export async function startSystem(config: Config, options: SystemOptions): Promise<System> {
  const home = openDataDirectory(config.dataDir);
  const shift: Shift = { kept: [], publish: () => undefined };
  try {
    return await start({ ...config, dataDir: home.path }, options, shift, () => home.release());
  } catch (error) {
    await stopAll(shift);
    removeRunFile(home.path);
    home.release();
    throw error;
  }
}

/** What runs so far, in the order of its start. */
interface Shift {
  kept: Kept[];
  publish(): void;
}

async function start(config: Config, options: SystemOptions, shift: Shift, release: () => void): Promise<System> {
  const directory = config.dataDir;
  const { say } = options;
  const secrets = readSecrets(directory);
  const filled = fillSecrets(config, secrets);
  await endLeftovers(directory, CHILD_ENTRIES, say);
  if ((config.redisReplicas ?? 0) > 0 && config.redisUrl === undefined) {
    throw new Error('REDIS_REPLICAS is set, but the private Redis has no replica: set REDIS_URL to a Redis that has');
  }
  if (config.redisUrl !== undefined) await meetRedis(config.redisUrl);
  const port = await claimPort(config.port, 'PORT');
  const isSandboxed = config.stripe.secretKey === undefined;
  const sandboxPort = isSandboxed ? await claimPort(config.sandboxPort, 'SANDBOX_PORT') : config.sandboxPort;
  const sandboxUrl = isSandboxed ? `http://127.0.0.1:${sandboxPort}` : null;

  const context = { directory, say, onChange: () => shift.publish() };
  const databaseUrl = config.databaseUrl ?? (await keepInto(shift, keepPostgres(context, secrets.postgresPassword)));
  const redisUrl = config.redisUrl ?? (await keepInto(shift, keepRedis(context)));
  options.signal?.throwIfAborted();
  await applyMigrations(databaseUrl, say);

  const stripe = { ...filled.stripe, ...(sandboxUrl === null ? {} : { apiBase: sandboxUrl }) };
  // A Redis of our own has no other users who could go on with what it lost; on another's an operator decides.
  const autoRebuild = config.autoRebuild ?? config.redisUrl === undefined;
  const complete: RuntimeConfig = { ...filled, autoRebuild, port, sandboxPort, databaseUrl, redisUrl, stripe };
  const url = `http://127.0.0.1:${port}`;
  const processes = (): RunningProcess[] =>
    shift.kept.flatMap(({ name, pid }) => {
      const current = pid();
      return current === undefined ? [] : [{ name, pid: current }];
    });
  shift.publish = () => {
    const supervisor = { pid: process.pid, startMark: startMark(process.pid) };
    writeRunFile(directory, { ...supervisor, port, url, databaseUrl, redisUrl, sandboxUrl, processes: processes() });
  };
  await startChildren(complete, options, shift, isSandboxed);
  const ready = (limitMs: number = READY_LIMIT_MS): Promise<void> => answered(`${url}/readyz`, limitMs, options.signal);
  if (!options.staysUpUnready) await ready();

  return {
    url,
    config: complete,
    sandboxUrl,
    ready,
    processes,
    async stop() {
      await stopAll(shift);
      removeRunFile(directory);
      release();
    },
    hurry: () => hurry(shift),
  };
}

async function keepInto(shift: Shift, starting: Promise<{ url: string; kept: Kept }>): Promise<string> {
  const { url, kept } = await starting;
  shift.kept.push(kept);
  return url;
}

async function applyMigrations(databaseUrl: string, say: Say): Promise<void> {
  const postgres = openPostgres(databaseUrl, { max: 1, name: 'migrate' });
  try {
    const applied = await migrate(postgres, new URL('../../db/migrations/', import.meta.url));
    if (applied.length > 0) say(`applied ${applied.length} migrations to the database`);
  } catch (error) {
    if (!isInfrastructureError(error)) throw error;
    // Without the name in it the message would be somebody's connection refused.
    throw new Error(`Postgres (DATABASE_URL) cannot be used: ${messageOf(error)}`, { cause: error });
  } finally {
    await postgres.close();
  }
}

async function startChildren(
  config: RuntimeConfig,
  { say, env: inherited, isQuiet = false, signal, recast = (program) => program }: SystemOptions,
  shift: Shift,
  isSandboxed: boolean,
): Promise<void> {
  const logs = join(config.dataDir, 'logs');
  if (isQuiet) mkdirSync(logs, { recursive: true });
  const env = childEnvironment(config, inherited);
  const keep = async (name: string, entry: string): Promise<void> => {
    const logFile = isQuiet ? join(logs, `${name}.log`) : undefined;
    const launch = (aborted: AbortSignal) => launchChild(recast({ name, entry, env, logFile }), aborted);
    shift.kept.push(await keepRunning({ name, launch, onChange: () => shift.publish(), say, signal }));
    shift.publish();
  };
  if (isSandboxed) await keep('sandbox', ENTRIES.sandbox);
  await keep('workers', ENTRIES.workers);
  const numbers = Array.from({ length: config.apiProcesses }, (_, index) => index + 1);
  await Promise.all(numbers.map((number) => keep(`api-${number}`, ENTRIES.api)));
}

async function answered(url: string, limitMs: number, signal?: AbortSignal): Promise<void> {
  let last = 'no answer';
  for (let waitedMs = 0; waitedMs < limitMs; waitedMs += PROCESS_POLL_MS) {
    signal?.throwIfAborted();
    try {
      const response = await fetch(url);
      if (response.status === 200) return;
      last = `${response.status} ${await response.text()}`;
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    await sleep(PROCESS_POLL_MS);
  }
  throw new Error(`${url} did not become ready: ${last}`);
}

const isApi = ({ name }: Kept): boolean => name.startsWith('api-');

async function stopAll(shift: Shift): Promise<void> {
  await Promise.all(shift.kept.filter(isApi).map((kept) => kept.stop()));
  // Workers, sandbox, Redis, Postgres: each may need those that were started before it.
  for (const kept of shift.kept.filter((one) => !isApi(one)).reverse()) await kept.stop();
  shift.publish = () => undefined;
}

/** Postgres takes SIGQUIT as an immediate stop and recovers from its WAL; Redis has every acknowledged write on the disk. */
function hurry(shift: Shift): void {
  for (const kept of shift.kept) kept.kill(kept.name === 'postgres' ? 'SIGQUIT' : 'SIGKILL');
}
