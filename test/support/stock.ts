// A stock store on a Redis of its own, with a clock that the test moves. Times start at a round moment, so that a failing
// expectation reads well.
import { keys } from '../../actors/keys.ts';
import type { SaleDefinition } from '../../actors/sale-verbs.ts';
import type { EpochRecord } from '../../actors/script-call.ts';
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import { PARTITIONS } from '../../core/constants.ts';
import { randomId } from '../../core/ids.ts';
import { openTestRedis, type TestRedis } from './stack.ts';

export const START_MS = 1_800_000_000_000;

/** What Postgres would know of the partitions, for tests of Redis alone. */
export function createEpochRecord(): EpochRecord & { rows: Map<number, { epoch: number; seq: number }> } {
  const rows = new Map<number, { epoch: number; seq: number }>();
  return {
    rows,
    read: async () => [...rows].map(([partition, row]) => ({ partition, ...row })),
    write: async (partition, epoch) => {
      rows.set(partition, { epoch, seq: 0 });
    },
  };
}

export interface TestStock {
  readonly stock: StockStore;
  readonly testRedis: TestRedis;
  readonly clock: { now(): number; advance(ms: number): void };
  close(): Promise<void>;
}

export async function openTestStock(): Promise<TestStock> {
  const testRedis = await openTestRedis();
  let nowMs = START_MS;
  const clock = {
    now: () => nowMs,
    advance: (ms: number) => {
      nowMs += ms;
    },
  };
  const stock = createStockStore({ redis: testRedis.redis, testNow: clock.now });
  await stock.attach(createEpochRecord());
  for (let partition = 0; partition < PARTITIONS; partition++) {
    await testRedis.redis.hset(keys.fence(partition), 'testClock', '1');
  }
  return { stock, testRedis, clock, close: () => testRedis.close() };
}

/** A sale of one SKU that is open at once, unless told otherwise. */
export function saleOf(overrides: Partial<SaleDefinition> & { stock?: number } = {}): SaleDefinition {
  const { stock = 10, ...rest } = overrides;
  return {
    saleId: randomId('sale', 3),
    opensAt: null,
    closesAt: null,
    holdMs: 60_000,
    perBuyerLimit: 1,
    lineLimit: null,
    admissionPerSecond: null,
    paymentStart: 'on_demand',
    startBacklogLimit: 0,
    startNow: true,
    items: [{ sku: 'SHIRT', stock, unitPrice: 49_900, currency: 'INR' }],
    ...rest,
  };
}
