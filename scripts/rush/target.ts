// The system that a rush is aimed at: one that is named, the one that runs on the data directory, or one of its own,
// started for this run on free ports with a data directory that is thrown away, and stopped at the end.
import { type Config, type RuntimeConfig, requireRuntime } from '../../core/config.ts';
import { readSecrets } from '../../core/services/data-dir.ts';
import { type RunningProcess, readRunFile } from '../../core/services/run-file.ts';
import type { Say } from '../../core/services/service.ts';
import { CHILD_ENTRIES, startSystem } from '../start/system.ts';
import { clearDeadRuns, makeThrowaway, removeThrowaway } from '../start/throwaway.ts';
import type { RushOptions } from './options.ts';

export interface Target {
  readonly url: string;
  /** Null with a real provider: then nobody can pay. */
  readonly sandboxUrl: string | null;
  readonly config: RuntimeConfig;
  readonly isOwn: boolean;
  /** Those that may be killed to see what happens; empty where they are not on this machine. */
  processes(): RunningProcess[];
  leave(): Promise<void>;
}

export interface Surroundings {
  config: Config;
  say: Say;
  signal: AbortSignal;
}

export async function findTarget(options: RushOptions, surroundings: Surroundings): Promise<Target> {
  if (options.url !== null) return elsewhere(options.url, surroundings.config);
  return running(surroundings.config) ?? startOwn(options, surroundings);
}

function elsewhere(url: string, config: Config): Target {
  const origin = url.replace(/\/+$/, '');
  const stripe = { secretKey: 'unused', webhookSecret: 'unused', ...config.stripe };
  const isSandboxed = config.stripe.apiBase !== undefined || config.stripe.secretKey === undefined;
  const sandboxUrl = isSandboxed ? (config.stripe.apiBase ?? `http://127.0.0.1:${config.sandboxPort}`) : null;
  return {
    url: origin,
    sandboxUrl,
    config: requireRuntime({ ...config, stripe }),
    isOwn: false,
    processes: () => [],
    leave: () => Promise.resolve(),
  };
}

function running(config: Config): Target | undefined {
  const run = readRunFile(config.dataDir);
  // In production only what is in the environment is a secret: then a system is named by --url.
  if (run === undefined || config.environment === 'production') return undefined;
  const secrets = readSecrets(config.dataDir);
  const { url, sandboxUrl, databaseUrl, redisUrl } = run;
  const stripe = { secretKey: secrets.stripeSecretKey, webhookSecret: secrets.stripeWebhookSecret, ...config.stripe };
  const jwtSecret = config.jwtSecret ?? secrets.jwtSecret;
  return {
    url,
    sandboxUrl,
    config: requireRuntime({ ...config, databaseUrl, redisUrl, jwtSecret, stripe }),
    isOwn: false,
    processes: () => readRunFile(config.dataDir)?.processes ?? [],
    leave: () => Promise.resolve(),
  };
}

const PREFIX = 'doorbuster-rush-';

async function startOwn(options: RushOptions, { config, say, signal }: Surroundings): Promise<Target> {
  await clearDeadRuns(PREFIX, CHILD_ENTRIES, say);
  const dataDir = makeThrowaway(PREFIX);
  const forget = async (): Promise<void> => {
    if (options.isKept) say(`the data of this run is kept in ${dataDir}`);
    else await removeThrowaway(dataDir);
  };
  // Private from top to bottom: no database, Redis or Stripe account that is configured here is touched, and none of the
  // shell's variables reaches it.
  const own: Config = {
    environment: 'development',
    port: 0,
    apiProcesses: options.apiProcesses ?? config.apiProcesses,
    dataDir,
    sandboxPort: 0,
    sandboxHost: '127.0.0.1',
    logLevel: config.logLevel,
    stripe: {},
  };
  try {
    const system = await startSystem(own, { say, env: {}, isQuiet: true, signal });
    return {
      url: system.url,
      sandboxUrl: system.sandboxUrl,
      config: system.config,
      isOwn: true,
      processes: () => system.processes(),
      async leave() {
        await system.stop();
        await forget();
      },
    };
  } catch (error) {
    await forget();
    throw error;
  }
}
