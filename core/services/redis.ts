// Runs a private Redis that keeps what it acknowledged: every write is on the disk before its answer (appendfsync
// always), nothing is ever evicted. It owns its directory; a Redis left there by a crash is stopped first, because two
// on one append-only file would destroy it.
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { sleep } from '../clock.ts';
import { PROCESS_POLL_MS, REDIS_SILENCE_LIMIT_MS } from '../constants.ts';
import { isPortFree, portOrFree } from './ports.ts';
import { isServerOf } from './process-table.ts';
import { endOf, endProcess, isAlive, lastLines, type Say, type Service, signalProcess, stopChild } from './service.ts';

export interface RedisOptions {
  program: string;
  directory: string;
  port?: number | undefined;
  /** For a restart: the clients know the port. Without it another port is taken where this one is in use. */
  mustKeepPort?: boolean;
  /** Further words for its command line, e.g. `--maxmemory 64mb`. */
  args?: readonly string[];
  say: Say;
}

export async function startRedis(options: RedisOptions): Promise<Service> {
  mkdirSync(options.directory, { recursive: true, mode: 0o700 });
  await stopOrphan(options);
  for (let attempt = 1; ; attempt += 1) {
    const wanted = attempt === 1 || options.mustKeepPort ? options.port : undefined;
    const port = options.mustKeepPort && wanted ? wanted : await portOrFree(wanted);
    try {
      return await launch(options, port);
    } catch (error) {
      // Somebody else took the port between the probe and the bind: another port is tried.
      if (options.mustKeepPort || attempt === 5 || (await isPortFree(port, '127.0.0.1'))) throw error;
    }
  }
}

async function launch({ directory, program, args }: RedisOptions, port: number): Promise<Service> {
  const output = openSync(join(directory, 'redis.log'), 'a');
  // Detached: a Ctrl-C on the terminal must not reach it before our own orderly stop does.
  const child = spawn(program, commandWords(directory, port, args ?? []), {
    cwd: directory,
    detached: true,
    stdio: ['ignore', output, output],
  });
  closeSync(output);
  child.unref();
  const ended = endOf(child);
  const pid = child.pid ?? 0;
  let hasEnded = pid === 0;
  void ended.then(() => {
    hasEnded = true;
  });
  let silentMs = 0;
  while (!hasEnded && silentMs < REDIS_SILENCE_LIMIT_MS) {
    const state = await lookAt(port, pid);
    if (state === 'ready') return asService(pid, port, ended);
    silentMs = state === 'loading' ? 0 : silentMs + PROCESS_POLL_MS;
    await sleep(PROCESS_POLL_MS);
  }
  if (!hasEnded) signalProcess(pid, 'SIGKILL');
  throw new Error(`Redis did not start in ${directory}: ${await ended}\n${lastLines(join(directory, 'redis.log'))}`);
}

function asService(pid: number, port: number, ended: Promise<string>): Service {
  return {
    name: 'redis',
    url: `redis://127.0.0.1:${port}`,
    port,
    pid,
    ended,
    // SIGTERM flushes the append-only file and ends.
    stop: () =>
      stopChild(pid, ended, [
        ['SIGTERM', 15_000],
        ['SIGKILL', 5_000],
      ]),
    kill: (signal) => signalProcess(pid, signal),
  };
}

function commandWords(directory: string, port: number, args: readonly string[]): string[] {
  const options: Record<string, string> = {
    port: String(port),
    bind: '127.0.0.1',
    'protected-mode': 'yes',
    dir: directory,
    pidfile: join(directory, 'redis.pid'),
    daemonize: 'no',
    appendonly: 'yes',
    appendfsync: 'always',
    'maxmemory-policy': 'noeviction',
    save: '',
    // A rewrite of the append-only file took a sixth of Redis' processor time in a rush, half of it to compress what is
    // thrown away soon. Loading 256 MB after a crash takes some 3 s.
    rdbcompression: 'no',
    'auto-aof-rewrite-min-size': '256mb',
  };
  return [...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]), ...args];
}

async function stopOrphan({ directory, port, say }: RedisOptions): Promise<void> {
  const pid = readPid(join(directory, 'redis.pid'));
  if (pid === undefined) return;
  if (isAlive(pid) && isServerOf(pid, directory, ['redis-server', 'valkey-server'], `:${port ?? 'none'}`)) {
    say(`a Redis of an earlier run still lives (pid ${pid}): stopping it first`);
    const isGone = await endProcess(pid, [
      ['SIGTERM', 15_000],
      ['SIGKILL', 5_000],
    ]);
    if (!isGone) throw new Error(`the Redis of an earlier run (pid ${pid}) does not end: end it, then start again`);
  }
  rmSync(join(directory, 'redis.pid'), { force: true });
}

function readPid(file: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(file, 'utf8'), 10);
    return pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Asked by hand: a client would reconnect, queue and log, and readiness needs none of it. Answers of another server on that port do not count. */
function lookAt(port: number, pid: number): Promise<'ready' | 'loading' | 'silent'> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 1_000 });
    let answer = '';
    socket.once('connect', () => socket.write('INFO server\r\nINFO persistence\r\nQUIT\r\n'));
    socket.on('data', (bytes) => {
      answer += bytes.toString();
    });
    socket.once('timeout', () => socket.destroy());
    socket.once('error', () => socket.destroy());
    socket.once('close', () => {
      if (!answer.includes(`process_id:${pid}\r\n`)) resolve('silent');
      else resolve(answer.includes('\r\nloading:0\r\n') ? 'ready' : 'loading');
    });
  });
}
