// A worker process that kills itself with SIGKILL right after a chosen step of the relay or of the jobs that apply what it
// read: the same parts as workers/main.ts, with a hook that nobody can catch. Which step, and at which pass of it, is
// written in the data directory, since every start of it is a new process.
import { join } from 'node:path';
import { sleep } from '../../core/clock.ts';
import { loadConfig, requireRuntime } from '../../core/config.ts';
import { START_RETRY_MS, WORKER_CONCURRENCY } from '../../core/constants.ts';
import { createLog } from '../../core/log.ts';
import { openPostgres } from '../../core/postgres/postgres.ts';
import { connectRedis, whenReady } from '../../core/redis/redis.ts';
import { readRecord } from '../../core/services/data-dir.ts';
import { createWork } from '../../workers/work.ts';
import { WINDOW_FILE } from './window.ts';

const config = requireRuntime(loadConfig());
const { step: deadly, pass } = readRecord(join(config.dataDir, WINDOW_FILE));
const log = createLog(config, 'dying-workers');
const postgres = openPostgres(config.databaseUrl, { max: WORKER_CONCURRENCY * 2, name: 'doorbuster-workers', log });
const redis = connectRedis(config.redisUrl, 'scripts', log);
await whenReady(redis, START_RETRY_MS * 20);
let passes = 0;
const work = createWork(config, {
  postgres,
  redis,
  log,
  stepHook(step) {
    if (step !== deadly) return;
    passes += 1;
    if (passes === pass) process.kill(process.pid, 'SIGKILL');
  },
});
process.send?.({ type: 'ready' });
for (let isAttached = false; !isAttached; ) {
  isAttached = await work.attach().then(
    () => true,
    () => sleep(START_RETRY_MS).then(() => false),
  );
}
work.start();
// A stop that comes before the window was reached: the run is over, and what is left undone is handed out again.
process.on('SIGTERM', () => process.exit(0));
