// A running system for faults to be played on: the same that `npm start` runs, in a data directory of its own that is
// thrown away, with a handle on each of its processes. It may stand behind proxies, and it knows nothing of any fault.
import type { Config } from '../../core/config.ts';
import { freePort } from '../../core/services/ports.ts';
import { isAlive, type Say, signalProcess } from '../../core/services/service.ts';
import type { Target } from '../rush/target.ts';
import type { ChildProgram } from '../start/child.ts';
import { startSystem, type System } from '../start/system.ts';
import { makeThrowaway, removeThrowaway } from '../start/throwaway.ts';
import { familyOf } from './process-family.ts';
import { openProxy, type Proxy } from './proxy.ts';

export const THROWAWAY_PREFIX = 'doorbuster-faults-';
const API_PROCESSES = 2;

/** `direct`: as `npm start` runs it.  `proxied`: the API reaches its stores, and everybody the provider, through proxies. */
export type StageKind = 'direct' | 'proxied' | 'small-redis' | 'small-postgres' | 'family';

export type Line = 'redis' | 'postgres' | 'provider';

export interface Stage {
  readonly kind: StageKind;
  readonly target: Target;
  readonly dataDir: string;
  readonly names: readonly string[];
  /** 0 while it is being started again. */
  pidOf(name: string): number;
  /** SIGKILL, SIGSTOP and SIGCONT go to all that is below the process too; an orderly word to it alone. */
  signal(name: string, signal: NodeJS.Signals): void;
  /** How children are started from here on; without an argument, as they should be. */
  recast(change?: (program: ChildProgram) => ChildProgram): void;
  line(name: Line): Proxy;
  /** Everything is there and says that it is ready. */
  ready(limitMs: number): Promise<void>;
  stop(): Promise<void>;
}

export interface StageOptions {
  say: Say;
  signal: AbortSignal;
  /** Before anything is started in the new data directory. */
  prepare?: (dataDir: string) => void;
}

export function ownConfig(dataDir: string): Config {
  return {
    environment: 'development',
    port: 0,
    apiProcesses: API_PROCESSES,
    dataDir,
    sandboxPort: 0,
    sandboxHost: '127.0.0.1',
    logLevel: 'info',
    stripe: {},
  };
}

export const CHILD_NAMES = ['sandbox', 'workers', ...Array.from({ length: API_PROCESSES }, (_, i) => `api-${i + 1}`)];
export const ALL_NAMES = ['postgres', 'redis', ...CHILD_NAMES];

export async function openStage(kind: StageKind, options: StageOptions): Promise<Stage> {
  const dataDir = makeThrowaway(THROWAWAY_PREFIX);
  const wiring = kind === 'proxied' ? await openWiring() : undefined;
  let change: ((program: ChildProgram) => ChildProgram) | undefined;
  const close = async (): Promise<void> => {
    await wiring?.close();
    await removeThrowaway(dataDir);
  };
  let system: System;
  try {
    options.prepare?.(dataDir);
    const recast = (program: ChildProgram): ChildProgram => {
      const wired = wiring?.rewire(program) ?? program;
      return change?.(wired) ?? wired;
    };
    // The sandbox's port is chosen here, since its proxy must know it before it is there.
    const sandboxPort = await freePort();
    wiring?.aim('provider', `http://127.0.0.1:${sandboxPort}`);
    const config = { ...ownConfig(dataDir), sandboxPort };
    const { say, signal } = options;
    system = await startSystem(config, { say, env: {}, isQuiet: true, signal, recast });
  } catch (error) {
    await close();
    throw error;
  }
  const pidOf = (name: string): number => system.processes().find((one) => one.name === name)?.pid ?? 0;
  return {
    kind,
    dataDir,
    names: ALL_NAMES,
    target: {
      url: system.url,
      sandboxUrl: wiring === undefined ? system.sandboxUrl : wiring.urlOf('provider', 'http'),
      config: system.config,
      isOwn: true,
      processes: () => system.processes(),
      leave: () => Promise.resolve(),
    },
    pidOf,
    signal: (name, signal) => sendSignal(pidOf(name), signal),
    recast: (next) => {
      change = next;
    },
    line(name) {
      if (wiring === undefined) throw new Error(`The stage ${kind} has no proxies`);
      return wiring.proxies[name];
    },
    ready: (limitMs) => system.ready(limitMs),
    async stop() {
      // What is frozen hears no other signal.
      for (const { pid } of system.processes()) sendSignal(pid, 'SIGCONT');
      await system.stop();
      await close();
    },
  };
}

const TO_ALL: ReadonlySet<NodeJS.Signals> = new Set(['SIGKILL', 'SIGSTOP', 'SIGCONT']);

export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  if (pid === 0) return;
  const targets = TO_ALL.has(signal) ? familyOf(pid) : [pid];
  for (const target of targets) if (isAlive(target)) signalProcess(target, signal);
}

interface Wiring {
  readonly proxies: Readonly<Record<Line, Proxy>>;
  aim(line: Line, url: string): void;
  urlOf(line: Line, scheme: string): string;
  rewire(program: ChildProgram): ChildProgram;
  close(): Promise<void>;
}

async function openWiring(): Promise<Wiring> {
  const aims = new Map<Line, { host: string; port: number }>();
  const open = (line: Line): Promise<Proxy> => openProxy(() => aims.get(line) ?? { host: '127.0.0.1', port: 1 }); // nobody listens on port 1
  const proxies = { redis: await open('redis'), postgres: await open('postgres'), provider: await open('provider') };
  const aim = (line: Line, url: string): void => {
    const { hostname, port } = new URL(url);
    aims.set(line, { host: hostname, port: Number(port) });
  };
  const through = (line: Line, url: string): string => {
    const rewritten = new URL(url);
    rewritten.port = String(proxies[line].port);
    return rewritten.href;
  };
  return {
    proxies,
    aim,
    urlOf: (line, scheme) => `${scheme}://127.0.0.1:${proxies[line].port}`,
    rewire(program) {
      const { REDIS_URL = '', DATABASE_URL = '', STRIPE_API_BASE = '' } = program.env;
      if (program.name === 'sandbox') return program;
      const provider = { STRIPE_API_BASE: through('provider', STRIPE_API_BASE) };
      if (!program.name.startsWith('api-')) return { ...program, env: { ...program.env, ...provider } };
      aim('redis', REDIS_URL);
      aim('postgres', DATABASE_URL);
      const stores = { REDIS_URL: through('redis', REDIS_URL), DATABASE_URL: through('postgres', DATABASE_URL) };
      return { ...program, env: { ...program.env, ...provider, ...stores } };
    },
    close: async () => void (await Promise.all(Object.values(proxies).map((proxy) => proxy.close()))),
  };
}
