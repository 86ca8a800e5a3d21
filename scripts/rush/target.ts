// The system that a rush is aimed at: one that is named, the one that runs on the data directory, or one of its own,
// started for this run on free ports with a data directory that is thrown away, and stopped at the end.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Config, type RuntimeConfig, requireRuntime } from '../../core/config.ts';
import { readSecrets } from '../../core/services/data-dir.ts';
import { type RunningProcess, readRunFile } from '../../core/services/run-file.ts';
import type { Say } from '../../core/services/service.ts';
import { startSystem } from '../start/system.ts';
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
  if (run === undefined) return undefined;
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

async function startOwn(options: RushOptions, { config, say, signal }: Surroundings): Promise<Target> {
  const dataDir = mkdtempSync(join(tmpdir(), 'doorbuster-rush-'));
  const forget = (): void => {
    if (options.isKept) say(`the data of this run is kept in ${dataDir}`);
    else rmSync(dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
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
        forget();
      },
    };
  } catch (error) {
    forget();
    throw error;
  }
}
