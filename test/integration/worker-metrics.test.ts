// A real worker process is looked at from outside: what it measures is shown on its port, and a port that somebody else
// has keeps it from nothing but that.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { freePort, openTestDatabase, openTestRedis, type TestDatabase, type TestRedis } from '../support/stack.ts';

let database: TestDatabase;
let redis: TestRedis;
const workers: ChildProcess[] = [];

beforeAll(async () => {
  database = await openTestDatabase();
  redis = await openTestRedis();
});
afterAll(async () => {
  for (const worker of workers) worker.kill('SIGKILL');
  await redis?.close();
  await database?.drop();
});

interface Started {
  worker: ChildProcess;
  output(): string;
}

function startWorker(settings: Record<string, string>): Started {
  const worker = spawn(process.execPath, [fileURLToPath(new URL('../../workers/main.ts', import.meta.url))], {
    env: {
      PATH: process.env.PATH,
      NODE_ENV: 'test',
      DATABASE_URL: database.url,
      REDIS_URL: redis.url,
      JWT_SECRET: 'a secret of the test that is long enough',
      STRIPE_SECRET_KEY: 'sk_test_none',
      STRIPE_WEBHOOK_SECRET: 'whsec_none',
      STRIPE_API_BASE: 'http://127.0.0.1:9',
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  workers.push(worker);
  let output = '';
  worker.stdout?.on('data', (bytes: Buffer) => (output += bytes.toString()));
  return { worker, output: () => output };
}

const scrape = (port: number): Promise<string> =>
  fetch(`http://127.0.0.1:${port}/metrics`).then(
    (answer) => answer.text(),
    () => '',
  );

it('shows what a worker measures', async () => {
  const port = await freePort();
  const { worker } = startWorker({ WORKER_METRICS_PORT: String(port) });
  await vi.waitFor(
    async () => {
      const text = await scrape(port);
      expect(text).toContain(`doorbuster_outbox_backlog_records{partition="7",pid="${worker.pid}"} 0\n`);
      expect(text).toContain(`doorbuster_queue_jobs{state="failed",pid="${worker.pid}"} 0\n`);
      expect(text).toContain(`doorbuster_relay_unfinished_entries{partition="0",pid="${worker.pid}"} 0\n`);
      expect(text).toMatch(/^doorbuster_payment_event_oldest_seconds/m);
    },
    { timeout: 50_000 },
  );
});

it('shows them while the worker waits for its database too', async () => {
  const port = await freePort();
  const { worker } = startWorker({
    WORKER_METRICS_PORT: String(port),
    DATABASE_URL: `postgres://nobody@127.0.0.1:${await freePort()}/none`,
  });
  const text = await vi.waitFor(
    async () => {
      const shown = await scrape(port);
      expect(shown).not.toBe('');
      return shown;
    },
    { timeout: 50_000 },
  );
  expect(text).toContain(`process_resident_memory_bytes{pid="${worker.pid}"}`);
});

it('works on without them where the port is taken', async () => {
  const stranger = createServer().listen(0);
  await once(stranger, 'listening');
  const address = stranger.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const { output } = startWorker({ WORKER_METRICS_PORT: String(port) });
  await vi.waitFor(() => expect(output()).toContain('the workers are at work'), { timeout: 50_000 });
  expect(output()).toContain('metrics cannot be shown');
  stranger.close();
});
