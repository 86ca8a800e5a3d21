// A worker process, from its configuration to its end. While Postgres or Redis cannot be reached, or Redis is fenced, it
// waits and says so; a configuration or a migration that is wrong ends it at once. Any number of these may run.
import { sleep } from '../core/clock.ts';
import { loadConfig, requireRuntime, type RuntimeConfig } from '../core/config.ts';
import { START_RETRY_MS, STOP_GRACE_MS, WORKER_CONCURRENCY } from '../core/constants.ts';
import { hasCode, messageOf } from '../core/errors.ts';
import { createLog, type Log } from '../core/log.ts';
import { openMetricsEndpoint } from '../core/metrics-endpoint.ts';
import { migrate } from '../core/postgres/migrate.ts';
import { isInfrastructureError, openPostgres } from '../core/postgres/postgres.ts';
import { connectRedis, whenReady } from '../core/redis/redis.ts';
import { createWork, type Work } from './work.ts';

const MIGRATIONS = new URL('../db/migrations/', import.meta.url);

/** Tries until it succeeds or the process is told to end; anything but an outage is thrown. Says once what it waits for. */
async function untilReachable(
  name: string,
  attempt: () => Promise<unknown>,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  let lastReason = '';
  while (!signal.aborted) {
    try {
      await attempt();
      return;
    } catch (error) {
      if (!isInfrastructureError(error)) throw error;
      const reason = messageOf(error);
      // Fenced is not an outage that passes: somebody must look, and rebuild.
      const level = hasCode(error, 'FENCED') ? 'error' : 'warn';
      if (reason !== lastReason) log[level]({ waitingFor: name, reason }, 'the workers are waiting');
      lastReason = reason;
      await sleep(START_RETRY_MS, signal);
    }
  }
}

/** Before anything else, so that workers that wait can be looked at too. A port that is taken costs the metrics alone. */
async function showMetrics({ workerMetricsPort: port }: RuntimeConfig, log: Log): Promise<void> {
  if (port === undefined) return;
  await openMetricsEndpoint(port).then(
    (endpoint) => log.info({ port: endpoint.port }, 'metrics are shown'),
    (error: unknown) => log.error({ port, reason: messageOf(error) }, 'metrics cannot be shown'),
  );
}

async function run(config: RuntimeConfig, log: Log, signal: AbortSignal): Promise<void> {
  await showMetrics(config, log);
  // Twice, so that a job that asks beside its own transaction never waits for a job that does the same.
  const postgres = openPostgres(config.databaseUrl, { max: WORKER_CONCURRENCY * 2, name: 'doorbuster-workers', log });
  const redis = connectRedis(config.redisUrl, 'scripts', log);
  await untilReachable('Postgres', () => migrate(postgres, MIGRATIONS), log, signal);
  await untilReachable('Redis', () => whenReady(redis, START_RETRY_MS), log, signal);
  const work = createWork(config, { postgres, redis, log });
  // A fenced process is ready, though it waits: the operator's rebuild needs the servers beside it to stay up.
  process.send?.({ type: 'ready' });
  await untilReachable('the partitions', () => attachSome(work), log, signal);
  if (!signal.aborted) {
    work.start();
    log.info('the workers are at work');
  }
  await aborted(signal);
  log.info('the workers are stopping');
  // Redis may be away just now, and with it the end of a read; whatever is left undone is handed out again.
  await Promise.race([work.stop(), sleep(STOP_GRACE_MS / 2)]);
  redis.disconnect();
  await Promise.race([postgres.close(), sleep(STOP_GRACE_MS / 4)]);
}

/** A partition that is fenced keeps only its own sales waiting; the table goes on asking for it. */
async function attachSome(work: Work): Promise<void> {
  await work.attach().catch((error: unknown) => {
    if (!hasCode(error, 'FENCED') || !work.isAttached) throw error;
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

const stopping = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => stopping.abort());

try {
  const config = requireRuntime(loadConfig());
  const log = createLog(config, 'workers');
  await run(config, log, stopping.signal).catch((error: unknown) => {
    log.fatal({ err: error }, 'the workers cannot run');
    process.exitCode = 1;
  });
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
}
// The channel to the supervisor would keep the process alive.
process.exit();
