// Configuration: the only reader of process.env. Every variable is parsed here, and all errors are reported at once.
// What is a tuned number rather than a deployment's choice is in constants.ts.
import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { readSigningKeys } from './signing-keys.ts';
import { addressWarnings, secretProblems } from './secret-strength.ts';

export interface Config {
  environment: 'development' | 'production' | 'test';
  port: number;
  apiProcesses: number;
  databaseUrl?: string;
  databaseReplicaUrl?: string;
  /** Several nodes of a cluster are separated by commas. */
  redisUrl?: string;
  /** Replicas that must have a change before it is answered; none when absent. */
  redisReplicas?: number;
  /** Whether the workers rebuild a Redis that lost its data by themselves, instead of waiting for the operator. */
  autoRebuild?: boolean;
  /** One secret, or several with names: see core/signing-keys.ts. */
  jwtSecret?: string;
  /** Addresses and networks whose word on the client's address is taken; nobody's when absent. */
  trustedProxies?: readonly string[];
  /** Pages that may open a WebSocket; all when absent. */
  allowedOrigins?: readonly string[];
  dataDir: string;
  sandboxPort: number;
  /** Where the payment sandbox listens; 0.0.0.0 in a container. */
  sandboxHost: string;
  /** Where the sandbox sends its events; the API on this machine when absent. */
  sandboxWebhookUrl?: string;
  /** Where a worker process shows its metrics; nowhere when absent. */
  workerMetricsPort?: number;
  logLevel: string;
  stripe: { secretKey?: string; webhookSecret?: string; apiBase?: string };
  /** Production with Stripe's test keys: a system that sells nothing real. */
  isStripeTestMode?: boolean;
}

export interface RuntimeConfig extends Config {
  databaseUrl: string;
  redisUrl: string;
  jwtSecret: string;
  stripe: { secretKey: string; webhookSecret: string; apiBase?: string };
}

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`The configuration is not usable:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

const port = z.coerce.number().int().min(0).max(65_535);
const url = (...schemes: string[]) =>
  z
    .string()
    .refine(
      (text) => text.split(',').every((part, i) => isUrl(i === 0 ? part : `${schemes[0]}://${strip(part)}`, schemes)),
      {
        error: `must be a URL that starts with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`,
      },
    );

const list = (isEntry: (text: string) => boolean, form: string) =>
  z
    .string()
    .transform((text) => text.split(',').map((entry) => entry.trim()))
    .refine((entries) => entries.every(isEntry), { error: `must be ${form}, separated by commas` });

const environmentSchema = z.object({
  NODE_ENV: z.enum(['development', 'production', 'test']).default('development'),
  PORT: port.default(8080),
  API_PROCESSES: z.coerce.number().int().min(1).max(256).optional(),
  DATABASE_URL: url('postgres', 'postgresql').optional(),
  DATABASE_REPLICA_URL: url('postgres', 'postgresql').optional(),
  REDIS_URL: url('redis', 'rediss').optional(),
  REDIS_REPLICAS: z.coerce.number().int().min(0).max(5).optional(),
  AUTO_REBUILD: z.enum(['true', 'false']).optional(),
  JWT_SECRET: z.string().refine(hasDistinctKeys, { error: 'gives one name to two keys' }).optional(),
  TRUSTED_PROXIES: list(isNetwork, 'addresses or networks such as 10.0.0.0/8').optional(),
  ALLOWED_ORIGINS: list(isOrigin, 'origins such as https://shop.example').optional(),
  DATA_DIR: z.string().default('.data'),
  STRIPE_SECRET_KEY: z.string().optional(),
  STRIPE_WEBHOOK_SECRET: z.string().optional(),
  STRIPE_API_BASE: url('http', 'https').optional(),
  STRIPE_TEST_MODE: z.enum(['true', 'false']).optional(),
  SANDBOX_PORT: port.default(8081),
  SANDBOX_HOST: z.string().default('127.0.0.1'),
  SANDBOX_WEBHOOK_URL: url('http', 'https').optional(),
  WORKER_METRICS_PORT: port.optional(),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
});

/** Throws ConfigError with every problem at once. What is absent stays absent: a local start fills it in. */
export function loadConfig(env: NodeJS.ProcessEnv = process.env): Config {
  // An empty variable is an unset one: that is how compose files and CI hand them on.
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value.trim() !== ''),
  );
  const parsed = environmentSchema.safeParse(given);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    // Told now as well: whoever mends the one and starts again should not meet the other.
    const isProduction = given['NODE_ENV'] === 'production';
    throw new ConfigError([...problems, ...(isProduction ? secretProblems(givenSecrets(given)) : [])]);
  }
  const values = parsed.data;
  return {
    environment: values.NODE_ENV,
    port: values.PORT,
    // One core is left to Redis, Postgres and the workers; they share it where there are only two.
    apiProcesses: values.API_PROCESSES ?? Math.max(1, availableParallelism() - 1),
    dataDir: values.DATA_DIR,
    sandboxPort: values.SANDBOX_PORT,
    sandboxHost: values.SANDBOX_HOST,
    logLevel: values.LOG_LEVEL,
    ...present({
      databaseUrl: values.DATABASE_URL,
      databaseReplicaUrl: values.DATABASE_REPLICA_URL,
      redisUrl: values.REDIS_URL,
      redisReplicas: values.REDIS_REPLICAS,
      autoRebuild: values.AUTO_REBUILD === undefined ? undefined : values.AUTO_REBUILD === 'true',
      jwtSecret: values.JWT_SECRET,
      trustedProxies: values.TRUSTED_PROXIES,
      allowedOrigins: values.ALLOWED_ORIGINS,
      isStripeTestMode: values.STRIPE_TEST_MODE === undefined ? undefined : values.STRIPE_TEST_MODE === 'true',
      sandboxWebhookUrl: values.SANDBOX_WEBHOOK_URL,
      workerMetricsPort: values.WORKER_METRICS_PORT,
    }),
    stripe: present({
      secretKey: values.STRIPE_SECRET_KEY,
      webhookSecret: values.STRIPE_WEBHOOK_SECRET,
      apiBase: values.STRIPE_API_BASE,
    }),
  };
}

/** For the API and the workers: everything must be present, and in production the secrets must be strong ones. */
export function requireRuntime(config: Config): RuntimeConfig {
  const { databaseUrl, redisUrl, jwtSecret } = config;
  const { secretKey, webhookSecret, apiBase } = config.stripe;
  const given = { jwtSecret, stripeSecretKey: secretKey, stripeWebhookSecret: webhookSecret, stripeApiBase: apiBase };
  const isStripeTestMode = config.isStripeTestMode ?? false;
  const problems = config.environment === 'production' ? secretProblems({ ...given, isStripeTestMode }) : [];
  const isComplete = databaseUrl && redisUrl && jwtSecret && secretKey && webhookSecret;
  if (!isComplete || problems.length > 0) {
    const needed = { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, JWT_SECRET: jwtSecret };
    const stripe = { STRIPE_SECRET_KEY: secretKey, STRIPE_WEBHOOK_SECRET: webhookSecret };
    const missing = Object.entries({ ...needed, ...stripe }).filter(([, value]) => !value);
    throw new ConfigError([...missing.map(([name]) => `${name}: must be set`), ...problems]);
  }
  return { ...config, databaseUrl, redisUrl, jwtSecret, stripe: { ...config.stripe, secretKey, webhookSecret } };
}

/** What a production start says and does not refuse. */
export function configWarnings(config: Config): string[] {
  if (config.environment !== 'production') return [];
  const { databaseUrl, redisUrl, isStripeTestMode = false } = config;
  return addressWarnings({ databaseUrl, redisUrl, stripeApiBase: config.stripe.apiBase, isStripeTestMode });
}

function givenSecrets(given: Readonly<Record<string, string | undefined>>) {
  return {
    jwtSecret: given['JWT_SECRET'],
    stripeSecretKey: given['STRIPE_SECRET_KEY'],
    stripeWebhookSecret: given['STRIPE_WEBHOOK_SECRET'],
    stripeApiBase: given['STRIPE_API_BASE'],
    isStripeTestMode: given['STRIPE_TEST_MODE'] === 'true',
  };
}

/** Without the members that are undefined: `exactOptionalPropertyTypes` tells absent from undefined. */
function present<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const kept = Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
  // Object.fromEntries loses the names; the filter above is exactly what the type says.
  return kept as { [K in keyof T]?: Exclude<T[K], undefined> };
}

function isUrl(text: string, schemes: readonly string[]): boolean {
  return URL.canParse(text) && schemes.includes(new URL(text).protocol.slice(0, -1));
}

function strip(node: string): string {
  return node.replace(/^\w+:\/\//, '');
}

function hasDistinctKeys(text: string): boolean {
  const keys = readSigningKeys(text);
  return new Set(keys.map(({ id }) => id)).size === keys.length;
}

function isNetwork(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128));
}

function isOrigin(text: string): boolean {
  return isUrl(text, ['http', 'https']) && new URL(text).origin === text;
}
