// The configuration of a running system, written back as the environment variables that core/config.ts reads: so a
// child of the supervisor is configured exactly as one that an operator starts by hand.
import type { RuntimeConfig } from '../../core/config.ts';

export function childEnvironment(config: RuntimeConfig, inherited: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const said = {
    NODE_ENV: config.environment,
    PORT: String(config.port),
    API_PROCESSES: String(config.apiProcesses),
    DATABASE_URL: config.databaseUrl,
    DATABASE_REPLICA_URL: config.databaseReplicaUrl,
    REDIS_URL: config.redisUrl,
    REDIS_REPLICAS: config.redisReplicas?.toString(),
    AUTO_REBUILD: config.autoRebuild?.toString(),
    JWT_SECRET: config.jwtSecret,
    TRUSTED_PROXIES: config.trustedProxies?.join(','),
    ALLOWED_ORIGINS: config.allowedOrigins?.join(','),
    DATA_DIR: config.dataDir,
    LOG_LEVEL: config.logLevel,
    SANDBOX_PORT: String(config.sandboxPort),
    SANDBOX_HOST: config.sandboxHost,
    SANDBOX_WEBHOOK_URL: config.sandboxWebhookUrl,
    WORKER_METRICS_PORT: config.workerMetricsPort === undefined ? undefined : String(config.workerMetricsPort),
    STRIPE_SECRET_KEY: config.stripe.secretKey,
    STRIPE_WEBHOOK_SECRET: config.stripe.webhookSecret,
    STRIPE_API_BASE: config.stripe.apiBase,
    STRIPE_TEST_MODE: config.isStripeTestMode === undefined ? undefined : String(config.isStripeTestMode),
  };
  // An empty variable counts as unset, and hides one that is only in the shell.
  return { ...inherited, ...Object.fromEntries(Object.entries(said).map(([name, value]) => [name, value ?? ''])) };
}
