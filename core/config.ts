// Configuration: the only reader of process.env. Every variable is parsed here, and all errors are reported at once.
// What is a tuned number rather than a deployment's choice is in constants.ts.
import { availableParallelism } from 'node:os';
import { z } from 'zod';

export interface Config {
  environment: 'development' | 'production' | 'test';
  port: number;
  apiProcesses: number;
  databaseUrl?: string;
  databaseReplicaUrl?: string;
  /** Several nodes of a cluster are separated by commas. */
  redisUrl?: string;
  jwtSecret?: string;
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

const JWT_SECRET_MIN_CHARACTERS = 32; // HS256 signs with 256 bits: a shorter secret is the weaker part
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

const environmentSchema = z.object({
  NODE_ENV: z.enum(['development', 'production', 'test']).default('development'),
  PORT: port.default(8080),
  API_PROCESSES: z.coerce.number().int().min(1).max(256).optional(),
  DATABASE_URL: url('postgres', 'postgresql').optional(),
  DATABASE_REPLICA_URL: url('postgres', 'postgresql').optional(),
  REDIS_URL: url('redis', 'rediss').optional(),
  JWT_SECRET: z.string().optional(),
  DATA_DIR: z.string().default('.data'),
  STRIPE_SECRET_KEY: z.string().optional(),
  STRIPE_WEBHOOK_SECRET: z.string().optional(),
  STRIPE_API_BASE: url('http', 'https').optional(),
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
    throw new ConfigError(parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`));
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
      jwtSecret: values.JWT_SECRET,
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

/** For the API and the workers: everything must be present, and in production the secret must be a strong one. */
export function requireRuntime(config: Config): RuntimeConfig {
  const { databaseUrl, redisUrl, jwtSecret } = config;
  const { secretKey, webhookSecret } = config.stripe;
  const problems: string[] = [];
  if (config.environment === 'production' && jwtSecret !== undefined && jwtSecret.length < JWT_SECRET_MIN_CHARACTERS) {
    problems.push(`JWT_SECRET: must have at least ${JWT_SECRET_MIN_CHARACTERS} characters in production`);
  }
  const isComplete = databaseUrl && redisUrl && jwtSecret && secretKey && webhookSecret;
  if (!isComplete || problems.length > 0) {
    const needed = { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, JWT_SECRET: jwtSecret };
    const stripe = { STRIPE_SECRET_KEY: secretKey, STRIPE_WEBHOOK_SECRET: webhookSecret };
    const missing = Object.entries({ ...needed, ...stripe }).filter(([, value]) => !value);
    throw new ConfigError([...missing.map(([name]) => `${name}: must be set`), ...problems]);
  }
  return { ...config, databaseUrl, redisUrl, jwtSecret, stripe: { ...config.stripe, secretKey, webhookSecret } };
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
