// An outbox between a Redis and a database of its own: records written by hand or by the scripts, and what became of them.
import { keys, OUTBOX_GROUP } from '../../actors/keys.ts';
import { encodeOutbox } from '../../actors/outbox.ts';
import type { OutboxRecord, PurchaseRecord, SaleRecord, StockRecord } from '../../actors/records.ts';
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import { systemClock } from '../../core/clock.ts';
import { PARTITIONS } from '../../core/constants.ts';
import { createLog } from '../../core/log.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import type { Redis } from '../../core/redis/redis.ts';
import { ensureGroup, fetchEntries, readNew } from '../../core/redis/stream.ts';
import type { JobMap } from '../../shop/job-map.ts';
import { type ApplyDependencies, createApply } from '../../shop/orders/apply.ts';
import { createEpochRecord, createSaleTerms } from '../../shop/orders/orders.ts';
import { insertSale } from '../../shop/sales/insert-store.ts';
import { openTestDatabase, openTestRedis, type TestDatabase, type TestRedis } from './stack.ts';

export const quietLog = createLog({ logLevel: 'silent' }, 'test');

export interface AskedJob {
  name: keyof JobMap;
  payload: unknown;
  jobId: string | undefined;
  delayMs: number | undefined;
}

export interface TestOutbox {
  readonly database: TestDatabase;
  readonly testRedis: TestRedis;
  readonly postgres: Postgres;
  readonly redis: Redis;
  readonly stock: StockStore;
  /** Jobs that the applied batches asked for. */
  readonly jobs: AskedJob[];
  /** Appends one entry as a script would. Returns its id. */
  write(partition: number, records: readonly OutboxRecord[]): Promise<string>;
  writeBytes(partition: number, seq: number, records: number, bytes: Buffer): Promise<string>;
  /** Hands out everything unread, as the relay does. Returns the ids. */
  read(partition: number): Promise<string[]>;
  apply(overrides?: Partial<ApplyDependencies>): (job: JobMap['outbox.apply']) => Promise<void>;
  /** Entries that are still in the outbox. */
  left(partition: number): Promise<string[]>;
  close(): Promise<void>;
}

/** The handler of outbox.apply, as the workers have it. */
export function applyOf(
  parts: Pick<ApplyDependencies, 'postgres' | 'redis' | 'stock' | 'queue'> & Partial<ApplyDependencies>,
): (job: JobMap['outbox.apply']) => Promise<void> {
  return createApply({ terms: createSaleTerms(parts.postgres), clock: systemClock, log: quietLog, ...parts });
}

/** Applies whatever is in the outbox, where there are no workers; the jobs that it asks for are dropped. */
export async function drainOutbox(parts: Pick<ApplyDependencies, 'postgres' | 'redis' | 'stock'>): Promise<void> {
  const apply = applyOf({ ...parts, queue: { addBulk: async () => undefined } });
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const entries = await parts.redis.xrange(keys.outbox(partition), '-', '+');
    if (entries.length > 0) await apply({ partition, entryIds: entries.map(([id]) => id) });
  }
}

export async function openTestOutbox(): Promise<TestOutbox> {
  const [database, testRedis] = await Promise.all([openTestDatabase(), openTestRedis()]);
  const { postgres } = database;
  const { redis } = testRedis;
  const stock = createStockStore({ redis });
  await stock.attach(createEpochRecord(postgres));
  const jobs: AskedJob[] = [];
  const queue: ApplyDependencies['queue'] = {
    async addBulk(name, asked) {
      jobs.push(...asked.map(({ payload, jobId, delayMs }) => ({ name, payload, jobId, delayMs })));
    },
  };
  const writeBytes: TestOutbox['writeBytes'] = async (partition, seq, records, bytes) => {
    const id = `${seq}-${records}`;
    await redis.hset(keys.fence(partition), 'seq', seq);
    await redis.xadd(keys.outbox(partition), id, 'b', bytes);
    return id;
  };
  return {
    database,
    testRedis,
    postgres,
    redis,
    stock,
    jobs,
    writeBytes,
    write: (partition, records) =>
      writeBytes(partition, Math.max(...records.map((r) => r.seq)), records.length, encodeOutbox(records)),
    async read(partition) {
      await ensureGroup(redis, keys.outbox(partition), OUTBOX_GROUP);
      const read = await readNew(redis, OUTBOX_GROUP, [keys.outbox(partition)], { count: 10_000, blockMs: 1 });
      return [...read.values()].flat().map((entry) => entry.id);
    },
    // Records that a test writes by hand have whatever positions it gives them.
    apply: (overrides = {}) => applyOf({ postgres, redis, stock, queue, crossesGaps: true, ...overrides }),
    async left(partition) {
      const ids = (await redis.xrange(keys.outbox(partition), '-', '+')).map(([id]) => id);
      return (await fetchEntries(redis, keys.outbox(partition), ids)).map((entry) => entry.id);
    },
    async close() {
      await database.drop();
      await testRedis.close();
    },
  };
}

export async function insertTestSale(
  postgres: Postgres,
  saleId: string,
  overrides: { paymentStart?: 'eager' | 'on_demand'; sku?: string } = {},
) {
  const { paymentStart = 'eager', sku = 'SHIRT' } = overrides;
  return insertSale(postgres, {
    saleId,
    name: 'Noon drop',
    opensAt: null,
    closesAt: null,
    holdSeconds: 600,
    perBuyerLimit: 1,
    lineLimit: null,
    admissionPerSecond: null,
    paymentStart,
    createdBy: 'u_admin',
    items: [{ sku, stock: 10, unitPrice: 49_900, currency: 'INR' }],
  });
}

const NO_MOVEMENT = { available: 0, held: 0, sold: 0, loaded: 0 };
const AT_MS = 1_800_000_000_000;

/** A purchase that just got its hold, unless told otherwise. */
export function purchaseRecord(
  overrides: Partial<PurchaseRecord> & { purchaseId: string; seq: number },
): PurchaseRecord {
  const status = overrides.status ?? 'RESERVED';
  return {
    kind: 'purchase',
    version: 1,
    status,
    buyer: 'u_buyer',
    saleId: 'sale_03test',
    sku: 'SHIRT',
    quantity: 1,
    ticket: overrides.seq,
    expiresAt: status === 'WAITING' ? 0 : AT_MS + 600_000,
    unitPrice: 49_900,
    currency: 'INR',
    createdAt: AT_MS,
    updatedAt: AT_MS + overrides.seq,
    reason: '',
    orderRef: '',
    fingerprint: 'f',
    isRefundDue: false,
    hadHold: status !== 'WAITING' && status !== 'SOLD_OUT',
    movement: status === 'RESERVED' ? { ...NO_MOVEMENT, available: -1, held: 1 } : NO_MOVEMENT,
    ...overrides,
  };
}

export const HELD_TO_SOLD = { available: 0, held: -1, sold: 1, loaded: 0 };
export const HELD_TO_AVAILABLE = { available: 1, held: -1, sold: 0, loaded: 0 };

export function stockRecord(
  overrides: Partial<StockRecord> & { movementId: string; seq: number; by: number },
): StockRecord {
  const { by, ...rest } = overrides;
  return {
    kind: 'stock',
    saleId: 'sale_03test',
    sku: 'SHIRT',
    movement: { available: by, held: 0, sold: 0, loaded: by },
    reason: 'LOAD',
    at: AT_MS,
    ...rest,
  };
}

export function saleRecord(overrides: Partial<SaleRecord> & { seq: number; version: number }): SaleRecord {
  return { kind: 'sale', saleId: 'sale_03test', status: 'OPEN', at: AT_MS, ...overrides };
}
