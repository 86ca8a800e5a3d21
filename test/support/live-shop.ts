// The whole shop as real processes: API processes and a worker process as `npm start` runs them, on a Redis, a database
// and a payment sandbox of their own. For tests that attack from outside and then look at the books.
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import { sleep, systemClock } from '../../core/clock.ts';
import { createSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { type AuditReport, runAudit } from '../../shop/admin/admin.ts';
import { createEpochRecord } from '../../shop/orders/orders.ts';
import { type CallOptions, JWT_SECRET, send, type TestAnswer } from './api.ts';
import { freePort, openTestDatabase, openTestRedis, type TestDatabase, type TestRedis } from './stack.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SECRET_KEY = 'sk_test_live_shop';
const WEBHOOK_SECRET = 'whsec_live_shop';

/** One real API process, seen from outside. */
export interface Door {
  readonly port: number;
  readonly url: string;
  call(method: string, path: string, options?: CallOptions): Promise<TestAnswer>;
  /** The sum of a metric over its labels; 0 while it was never counted. */
  metric(name: string): Promise<number>;
  /** Bytes of memory that the process has. */
  memoryBytes(): Promise<number>;
  /** Open files and sockets, as the system counts them. */
  handles(): number;
  /** It has not ended, and answers. */
  isAlive(): Promise<boolean>;
  /** What it has logged as an error, or written past its log. */
  log(): string;
}

export interface LiveShop {
  readonly doors: readonly Door[];
  readonly sandbox: Sandbox;
  readonly stock: StockStore;
  readonly database: TestDatabase;
  readonly testRedis: TestRedis;
  /** Waits until the workers have written everything; throws the differences, if there are any. */
  audit(saleId?: string): Promise<AuditReport>;
  close(): Promise<void>;
}

interface Child {
  process: ChildProcess;
  log(): string;
}

function startChild(entry: string, settings: Record<string, string>): Child {
  const child = spawn(process.execPath, [entry], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'] ?? '', NODE_ENV: 'test', LOG_LEVEL: 'warn', JWT_SECRET, ...settings },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  // Whatever a test leaves open ends with its own process.
  process.once('exit', () => child.kill('SIGKILL'));
  let output = '';
  child.stdout?.on('data', (bytes: Buffer) => (output += bytes.toString()));
  child.stderr?.on('data', (bytes: Buffer) => (output += bytes.toString()));
  return { process: child, log: () => output };
}

async function stopChild({ process: child }: Child): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  await ended;
}

/** Level 50 and above; and what is no log at all, such as the end of a process. A process that starts may have to wait. */
const isComplaint = (line: string): boolean => line !== '' && !/^\{"level":[1-4]\d,/.test(line);

function createDoor(child: Child, port: number): Door {
  const url = `http://127.0.0.1:${port}`;
  const metrics = async (): Promise<string> => (await send(`${url}/metrics`, 'GET')).body;
  const sumOf = (text: string, name: string): number =>
    [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))].reduce(
      (sum, match) => sum + Number(match[1]),
      0,
    );
  return {
    port,
    url,
    call: (method, path, options) => send(`${url}${path}`, method, options),
    metric: async (name) => sumOf(await metrics(), name),
    memoryBytes: async () => sumOf(await metrics(), 'process_resident_memory_bytes'),
    handles: () => readdirSync(`/proc/${child.process.pid}/fd`).length,
    log: () => child.log().split('\n').filter(isComplaint).join('\n'),
    async isAlive() {
      if (child.process.exitCode !== null || child.process.signalCode !== null) return false;
      return (await send(`${url}/livez`, 'GET')).status === 200;
    },
  };
}

/** `hasWorkers: false` leaves the outbox where it is: for attacks on the door alone. */
export async function startLiveShop({ apiProcesses = 1, hasWorkers = true } = {}): Promise<LiveShop> {
  const [database, testRedis] = await Promise.all([openTestDatabase(), openTestRedis()]);
  const ports = await Promise.all(Array.from({ length: apiProcesses }, () => freePort()));
  const sandbox = await createSandbox({
    port: 0,
    secretKey: SECRET_KEY,
    webhookSecret: WEBHOOK_SECRET,
    webhookUrl: `http://127.0.0.1:${ports[0]}/api/v1/payments/webhook`,
  });
  const settings = {
    DATABASE_URL: database.url,
    REDIS_URL: testRedis.url,
    STRIPE_SECRET_KEY: SECRET_KEY,
    STRIPE_WEBHOOK_SECRET: WEBHOOK_SECRET,
    STRIPE_API_BASE: sandbox.url,
  };
  const apis = ports.map((port) => startChild('api/main.ts', { ...settings, PORT: String(port) }));
  const children = hasWorkers ? [...apis, startChild('workers/main.ts', settings)] : apis;
  const doors = apis.map((api, i) => createDoor(api, ports[i] ?? 0));
  const stock = createStockStore({ redis: testRedis.redis });
  for (const door of doors) {
    while ((await door.call('GET', '/readyz').catch(() => undefined))?.status !== 200) {
      if (children.some(({ process: child }) => child.exitCode !== null)) {
        throw new Error(`a process ended at its start:\n${children.map(({ log }) => log()).join('\n')}`);
      }
      await sleep(25);
    }
  }
  await stock.attach(createEpochRecord(database.postgres));
  return {
    doors,
    sandbox,
    stock,
    database,
    testRedis,
    async audit(saleId) {
      const report = await runAudit(
        { postgres: database.postgres, redis: testRedis.redis, stock, clock: systemClock },
        { saleId },
      );
      if (report.ok) return report;
      throw new Error(`the audit does not agree:\n${report.differences.map(({ message }) => message).join('\n')}`);
    },
    async close() {
      await Promise.all(children.map(stopChild));
      await sandbox.close();
      await testRedis.close();
      await database.drop();
    },
  };
}
