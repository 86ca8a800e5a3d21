// After the rush: waits until everything is written, reads the servers' records, and runs the audit of the shop. What
// is merely late is waited for; what is wrong is still wrong afterwards.
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import { sleep, systemClock } from '../../core/clock.ts';
import type { RuntimeConfig } from '../../core/config.ts';
import { messageOf } from '../../core/errors.ts';
import { openPostgres, type Postgres } from '../../core/postgres/postgres.ts';
import { connectRedis, type Redis, whenReady } from '../../core/redis/redis.ts';
import { runAudit } from '../../shop/admin/admin.ts';
import { createEpochRecord } from '../../shop/orders/orders.ts';
import { type Records, readRecords } from './record-store.ts';
import { judge, type Verdict } from './verdict.ts';
import type { Witness } from './witness.ts';

export interface Inspection {
  records: Records;
  verdict: Verdict;
  audit: { isOk: boolean; findings: readonly string[] };
}

/** A process that was killed a moment ago, or a relay with a backlog, gets this long to make up for it. */
const PATIENCE_MS = 45_000;
const PAUSE_MS = 500;
const REDIS_READY_MS = 10_000;

export interface Suspect {
  saleId: string;
  stock: number;
  witness: Witness;
  headSteppedBack: number;
}

export async function inspect(config: RuntimeConfig, suspect: Suspect, signal: AbortSignal): Promise<Inspection> {
  const postgres = openPostgres(config.databaseUrl, { max: 2, name: 'doorbuster-rush' });
  const redis = connectRedis(config.redisUrl, 'scripts');
  try {
    await whenReady(redis, REDIS_READY_MS);
    const stock = createStockStore({ redis });
    const giveUpAt = systemClock.now() + PATIENCE_MS;
    for (;;) {
      const found = await look({ postgres, redis, stock }, suspect);
      // What the system knows nothing of any more does not come back by waiting.
      const { oversold, lost, outOfOrder } = found.verdict;
      const isKept = oversold + outOfOrder === 0 && lost === suspect.witness.lost.size;
      if ((found.audit.isOk && isKept) || signal.aborted || systemClock.now() > giveUpAt) return found;
      await sleep(PAUSE_MS, signal);
    }
  } finally {
    redis.disconnect();
    await postgres.close();
  }
}

interface Stores {
  postgres: Postgres;
  redis: Redis;
  stock: StockStore;
}

async function look(stores: Stores, suspect: Suspect): Promise<Inspection> {
  const { postgres } = stores;
  const audit = await auditOf(stores, suspect.saleId);
  // After the audit, which waits for the relay: by now every answer that was given is in Postgres.
  const records = await readRecords(postgres, suspect.saleId);
  return { records, audit, verdict: judge(records, suspect.witness, suspect.stock, suspect.headSteppedBack) };
}

async function auditOf({ postgres, redis, stock }: Stores, saleId: string): Promise<Inspection['audit']> {
  try {
    await stock.attach(createEpochRecord(postgres));
    const report = await runAudit({ postgres, redis, stock, clock: systemClock }, { saleId });
    const isOk = report.ok && report.pending === 0;
    const pending = report.pending > 0 ? [`${report.pending} things could not be judged yet`] : [];
    return { isOk, findings: [...report.differences.map(({ code, message }) => `${code}: ${message}`), ...pending] };
  } catch (error) {
    return { isOk: false, findings: [`the audit could not be made: ${messageOf(error)}`] };
  }
}
