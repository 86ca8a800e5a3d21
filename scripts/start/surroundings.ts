// What a system needs around it before its own processes start: a database, a Redis, and the secrets that were not
// set. Servers that are not given by a URL are run privately, on ports that stay the same from start to start.
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { type Config, type RuntimeConfig, requireRuntime } from '../../core/config.ts';
import { REDIS_CONNECT_TIMEOUT_MS } from '../../core/constants.ts';
import { LOCAL_REDIS_MEMORY_SHARE } from '../constants.ts';
import { messageOf } from '../../core/errors.ts';
import { connectRedis, whenReady } from '../../core/redis/redis.ts';
import { type Ports, readPorts, type Secrets, writePorts } from '../../core/services/data-dir.ts';
import { freePort, isPortFree } from '../../core/services/ports.ts';
import { startPostgres } from '../../core/services/postgres.ts';
import { startRedis } from '../../core/services/redis.ts';
import { ensureRedis } from '../../core/services/redis-binary.ts';
import type { Say, Service } from '../../core/services/service.ts';
import { type Kept, keepRunning } from './keep-running.ts';

/** Nothing is generated in production: requireRuntime then lists what is missing or weak, before anything starts. */
export function fillSecrets(config: Config, secrets: Secrets): RuntimeConfig {
  const isSandboxed = config.stripe.secretKey === undefined;
  const generated = {
    jwtSecret: secrets.jwtSecret,
    stripe: isSandboxed ? { secretKey: secrets.stripeSecretKey, webhookSecret: secrets.stripeWebhookSecret } : {},
  };
  const { jwtSecret, stripe } = config.environment === 'production' ? { jwtSecret: undefined, stripe: {} } : generated;
  return requireRuntime({
    ...config,
    ...(jwtSecret === undefined ? {} : { jwtSecret: config.jwtSecret ?? jwtSecret }),
    stripe: { ...config.stripe, ...stripe },
    // Run by us where they are not set, so their absence is no problem here.
    databaseUrl: config.databaseUrl ?? 'postgres://embedded',
    redisUrl: config.redisUrl ?? 'redis://private',
  });
}

/** The port as configured, or a free one for 0; fails naming the variable when somebody else listens there. */
export async function claimPort(port: number, variable: string): Promise<number> {
  if (port === 0) return freePort();
  // Our server listens with SO_REUSEPORT and would share the port with a stranger without a word: we look first.
  if (await isPortFree(port)) return port;
  throw new Error(`Port ${port} is in use: stop what listens there, or set ${variable} to another port`);
}

/** Another's Redis is looked at before anything starts: every process would wait for it in silence. */
export async function meetRedis(redisUrl: string): Promise<void> {
  const redis = connectRedis(redisUrl, 'scripts');
  try {
    await whenReady(redis, REDIS_CONNECT_TIMEOUT_MS);
    await redis.ping();
  } catch (error) {
    throw new Error(`Redis (REDIS_URL) cannot be used: ${messageOf(error)}`, { cause: error });
  } finally {
    redis.disconnect();
  }
}

export interface ServiceContext {
  directory: string;
  onChange(): void;
  say: Say;
}

export interface KeptService {
  url: string;
  kept: Kept;
}

export async function keepPostgres(context: ServiceContext, password: string): Promise<KeptService> {
  const directory = join(context.directory, 'postgres');
  const { say } = context;
  return keepService(context, 'postgres', (port, mustKeepPort) =>
    startPostgres({ directory, password, port, mustKeepPort, say }),
  );
}

export async function keepRedis(context: ServiceContext): Promise<KeptService> {
  const { say } = context;
  const program = await ensureRedis(say);
  const directory = join(context.directory, 'redis');
  // With a limit Redis refuses writes while there is memory left to answer, confirm and expire; without one it is killed.
  const bytes = Math.floor(Math.min(totalmem(), process.constrainedMemory() || Infinity) * LOCAL_REDIS_MEMORY_SHARE);
  const args = ['--maxmemory', String(bytes)];
  return keepService(context, 'redis', (port, mustKeepPort) =>
    startRedis({ program, directory, port, mustKeepPort, args, say }),
  );
}

async function keepService(
  { directory, onChange, say }: ServiceContext,
  name: keyof Ports,
  start: (port: number | undefined, mustKeepPort: boolean) => Promise<Service>,
): Promise<KeptService> {
  let service: Service | undefined;
  const kept = await keepRunning({
    name,
    onChange,
    say,
    launch: async () => {
      service = await start(service?.port ?? readPorts(directory)[name], service !== undefined);
      return service;
    },
  });
  if (!service) throw new Error(`${name} was not started`);
  writePorts(directory, { ...readPorts(directory), [name]: service.port });
  return { url: service.url, kept };
}
