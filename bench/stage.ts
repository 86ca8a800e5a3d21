// The real system that the benches run against: started by `npm start`'s own code on free ports, with a data directory
// that is thrown away. It makes sales as a merchant does, and afterwards holds all that is written about them together.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keys } from '../actors/keys.ts';
import { bucketIds } from '../actors/buckets.ts';
import { createStockStore, type StockStore } from '../actors/stock-store.ts';
import { sleep, systemClock } from '../core/clock.ts';
import type { Config, RuntimeConfig } from '../core/config.ts';
import { messageOf } from '../core/errors.ts';
import { partitionOf } from '../core/ids.ts';
import { openPostgres, type Postgres } from '../core/postgres/postgres.ts';
import { connectRedis, type Redis, whenReady } from '../core/redis/redis.ts';
import { mintTokens } from '../scripts/tokens/mint.ts';
import { startSystem, type System } from '../scripts/start/system.ts';
import { runAudit } from '../shop/admin/admin.ts';
import { createEpochRecord } from '../shop/orders/orders.ts';
import { sumCounts } from '../shop/sales/sales.ts';

export interface Offer {
  readonly saleId: string;
  readonly sku: string;
  readonly stock: number;
}

export interface Stage {
  readonly url: string;
  readonly config: RuntimeConfig;
  readonly postgres: Postgres;
  readonly redis: Redis;
  readonly stock: StockStore;
  /** Those of the system, for their processor time. */
  processes(): readonly { name: string; pid: number }[];
  /** An open sale of one SKU. Payments start when asked for: what is measured is the sale, not the provider. */
  openSale(name: string, stock: number, terms?: Readonly<Record<string, unknown>>): Promise<Offer>;
  /** Outbox records of the sale's partition that are not in Postgres yet. */
  backlog(offer: Offer): Promise<number>;
  /**
   * What contradicts that exactly `acknowledged` purchases hold a unit each, or up to `unanswered` more; empty when all is
   * well. Waits for the relay.
   */
  inspect(offer: Offer, acknowledged: number, unanswered?: number): Promise<string[]>;
  close(): Promise<void>;
}

const REDIS_READY_MS = 10_000;
const PENDING_TRIES = 5;
const PENDING_PAUSE_MS = 500;

/** All that were opened or are about to be: a run that is stopped in the middle leaves no process behind. */
const opened: Promise<Stage>[] = [];

export async function closeStages(): Promise<void> {
  await Promise.allSettled(opened.map(async (opening) => (await opening).close()));
}

export function openStage(
  say: (line: string) => void,
  signal: AbortSignal,
  choices: Partial<Config> = {},
): Promise<Stage> {
  const opening = open(say, signal, choices);
  opened.push(opening);
  return opening;
}

async function open(say: (line: string) => void, signal: AbortSignal, choices: Partial<Config>): Promise<Stage> {
  const dataDir = mkdtempSync(join(tmpdir(), 'doorbuster-bench-'));
  const forget = (): void => rmSync(dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  // One API process against one bare server: the ratio is that of two processes.
  const ports = { port: 0, apiProcesses: 1, sandboxPort: 0, sandboxHost: '127.0.0.1' };
  const own: Config = { environment: 'development', ...ports, dataDir, logLevel: 'warn', stripe: {}, ...choices };
  try {
    const system = await startSystem(own, { say, env: process.env, isQuiet: true, signal });
    try {
      return await furnish(system, async () => {
        await system.stop();
        forget();
      });
    } catch (error) {
      await system.stop();
      throw error;
    }
  } catch (error) {
    forget();
    throw error;
  }
}

async function furnish(system: System, leave: () => Promise<void>): Promise<Stage> {
  const { url, config } = system;
  const postgres = openPostgres(config.databaseUrl, { max: 4, name: 'doorbuster-bench' });
  const redis = connectRedis(config.redisUrl, 'scripts');
  await whenReady(redis, REDIS_READY_MS);
  const stock = createStockStore({ redis });
  await stock.attach(createEpochRecord(postgres));
  const [token = ''] = await mintTokens(['u_bench-merchant'], 'ADMIN', config.jwtSecret);
  let sales = 0;
  let isClosed = false;

  async function post(path: string, body: unknown): Promise<unknown> {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const answer = await fetch(`${url}/api/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`POST ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  return {
    ...{ url, config, postgres, redis, stock },
    processes: () => system.processes(),
    async openSale(name, stock, terms) {
      sales += 1;
      const sku = `BENCH-${sales}`;
      const items = [{ sku, stock, price: 499, currency: 'INR' }];
      const usual = { opensAt: null, holdSeconds: 3_600, perBuyerLimit: 1, paymentStart: 'on_demand' };
      // As the contract says; anything else shows in the next call.
      const { saleId } = (await post('/sales', { name, ...usual, ...terms, items })) as { saleId: string };
      await post(`/sales/${saleId}/open`, {});
      return { saleId, sku, stock };
    },
    async backlog({ saleId }) {
      const fences = bucketIds(saleId).map((id) => keys.fence(partitionOf(id) ?? 0));
      const positions = await Promise.all(fences.map((fence) => redis.hmget(fence, 'seq', 'applied')));
      return positions.reduce((sum, [seq, applied]) => sum + Number(seq ?? 0) - Number(applied ?? 0), 0);
    },
    async inspect(offer, acknowledged, unanswered = 0) {
      const audited = await audit({ postgres, redis, stock }, offer.saleId);
      // After the audit, which waits for the relay: by now every answer that was given is a row.
      return [...audited, ...(await compare({ postgres, stock }, offer, acknowledged, unanswered))];
    },
    async close() {
      // Once, whoever asks: the bench at its end, and the run at its own.
      if (isClosed) return;
      isClosed = true;
      redis.disconnect();
      await postgres.close();
      await leave();
    },
  };
}

async function audit(deps: { postgres: Postgres; redis: Redis; stock: StockStore }, saleId: string): Promise<string[]> {
  try {
    for (let tries = 1; ; tries += 1) {
      const report = await runAudit({ ...deps, clock: systemClock }, { saleId });
      if (!report.ok) return report.differences.map(({ code, message }) => `${code}: ${message}`);
      if (report.pending === 0) return [];
      if (tries === PENDING_TRIES) return [`${report.pending} things could not be judged by the audit`];
      await sleep(PENDING_PAUSE_MS);
    }
  } catch (error) {
    return [`the audit could not be made: ${messageOf(error)}`];
  }
}

/** Independent of the audit: what the crowd was told, against Redis' counts and Postgres' rows. */
async function compare(
  { postgres, stock }: { postgres: Postgres; stock: StockStore },
  { saleId, sku, stock: loaded }: Offer,
  acknowledged: number,
  unanswered: number,
): Promise<string[]> {
  const ids = bucketIds(saleId);
  const snapshots = await stock.snapshot(ids);
  const counts = sumCounts(snapshots.flatMap((snapshot) => snapshot?.items ?? [])).get(sku);
  if (counts === undefined) return [`Redis does not know ${sku} of ${saleId}`];
  const { rows } = await postgres.query<{ orders: number; tickets: number }>(
    `SELECT (SELECT count(*) FROM orders WHERE sale_id = ANY($1)) AS orders,
            (SELECT count(DISTINCT (sale_id, ticket)) FROM purchases WHERE sale_id = ANY($1)) AS tickets`,
    [ids],
  );
  // Who got no answer may have a unit or not; whatever it is, all records must say the same.
  const bought = Math.min(acknowledged + unanswered, Math.max(acknowledged, counts.held));
  const expected = { held: bought, available: loaded - bought, orders: bought, tickets: bought };
  const found: Record<string, number> = { held: counts.held, available: counts.available, ...rows[0] };
  const told = unanswered === 0 ? `${acknowledged}` : `${acknowledged} to ${acknowledged + unanswered}`;
  return Object.entries(expected)
    .filter(([name, value]) => found[name] !== value)
    .map(([name, value]) => `${saleId}: ${name} is ${found[name]}, ${told} were acknowledged: it must be ${value}`);
}
