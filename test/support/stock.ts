// A stock store on a Redis of its own, with a clock that the test moves, and what tests of the scripts need beside it: a
// dump of all keys, the outbox as records, a script called with whatever input. Times start at a round moment, so that a
// failing expectation reads well.
import { keys } from '../../actors/keys.ts';
import { decodeOutbox } from '../../actors/outbox.ts';
import { newPurchaseId, unownedPurchaseId } from '../../actors/purchase-ids.ts';
import type { OutboxRecord, Purchase, SkuCounters } from '../../actors/records.ts';
import type { SaleDefinition } from '../../actors/sale-verbs.ts';
import type { EpochRecord } from '../../actors/script-call.ts';
import { scripts } from '../../actors/scripts.ts';
import { type BuyOutcome, createStockStore, type StockStore } from '../../actors/stock-store.ts';
import { PARTITIONS } from '../../core/constants.ts';
import { partitionOf, randomId } from '../../core/ids.ts';
import { pack, unpack } from '../../core/redis/msgpack.ts';
import type { Redis } from '../../core/redis/redis.ts';
import { runScript } from '../../core/redis/scripts.ts';
import { connectTestRedis, startRedis } from './stack.ts';

export const START_MS = 1_800_000_000_000;
/** Where the sales of `saleOf` live. */
export const PARTITION = 3;

/** What Postgres would know of the partitions, for tests of Redis alone. */
export function createEpochRecord(): EpochRecord & { rows: Map<number, { epoch: number; seq: number }> } {
  const rows = new Map<number, { epoch: number; seq: number }>();
  return {
    rows,
    read: async () => [...rows].map(([partition, row]) => ({ partition, ...row })),
    write: async (partition, epoch) => {
      rows.set(partition, { epoch, seq: 0 });
    },
    witness: async (seen) => {
      for (const { partition, epoch, seq } of seen) {
        const row = rows.get(partition);
        if (row?.epoch === epoch) row.seq = Math.max(row.seq, seq);
      }
    },
  };
}

export interface Wish {
  quantity?: number;
  buyer?: string;
  purchaseId?: string;
}

export interface TestStock {
  readonly stock: StockStore;
  readonly redis: Redis;
  readonly url: string;
  readonly clock: { now(): number; advance(ms: number): void };
  /** An empty Redis, a new store and the clock at its start again. */
  reset(): Promise<void>;
  /** One reserve call; buyers are new ones and ids random unless told. */
  buy(saleId: string, wishes: readonly Wish[], sku?: string): Promise<BuyOutcome[]>;
  /** The body of a script's reply, for input that the typed store would never send. */
  run(name: keyof typeof scripts, input: unknown, partition?: number): Promise<unknown>;
  outbox(partition?: number): Promise<{ id: string; records: OutboxRecord[] }[]>;
  /** Every key with its serialized value. */
  dump(): Promise<Map<string, string>>;
  close(): Promise<void>;
}

async function dumpOf(redis: Redis): Promise<Map<string, string>> {
  const names = (await redis.keys('*')).sort();
  const values = await Promise.all(names.map((name) => redis.dumpBuffer(name)));
  return new Map(names.map((name, i) => [name, values[i]?.toString('hex') ?? '']));
}

export async function outboxOf(redis: Redis, partition: number): Promise<{ id: string; records: OutboxRecord[] }[]> {
  const entries = await redis.xrangeBuffer(keys.outbox(partition), '-', '+');
  return entries.map(([id, fields]) => ({ id: id.toString(), records: decodeOutbox(fields[1] ?? Buffer.alloc(0)) }));
}

/** Nothing reaches the disk, unless `isDurable`: this Redis is asked very often and never restarted. */
export async function openTestStock({ isDurable = false } = {}): Promise<TestStock> {
  const service = await startRedis(isDurable ? {} : { args: ['--appendonly', 'no'] });
  const redis = await connectTestRedis(service.url);
  let nowMs = START_MS;
  let buyers = 0;
  let stock = createStockStore({ redis, testNow: () => nowMs });

  async function reset(): Promise<void> {
    await redis.flushall();
    nowMs = START_MS;
    stock = createStockStore({ redis, testNow: () => nowMs });
    await stock.attach(createEpochRecord());
    for (let partition = 0; partition < PARTITIONS; partition++)
      await redis.hset(keys.fence(partition), 'testClock', '1');
  }
  await reset();

  return {
    get stock() {
      return stock;
    },
    redis,
    url: service.url,
    clock: {
      now: () => nowMs,
      advance: (ms) => {
        nowMs += ms;
      },
    },
    reset,
    async buy(saleId, wishes, sku = 'SHIRT') {
      const named = wishes.map(({ buyer, ...wish }) => ({ ...wish, buyer: buyer ?? `u_${++buyers}` }));
      const items = named.map(({ purchaseId, buyer, quantity = 1 }) => ({
        purchaseId:
          purchaseId ?? (partitionOf(saleId) === undefined ? unownedPurchaseId(0) : newPurchaseId(saleId, buyer)),
        buyer,
        quantity,
        fingerprint: `${sku}x${quantity}`,
      }));
      return (await stock.reserve(saleId, sku, items)).outcomes;
    },
    async run(name, input, partition = PARTITION) {
      const args = ['1', '0', String(nowMs), pack(input)];
      const reply = await runScript(redis, scripts[name], [keys.fence(partition)], args, 10_000);
      return (unpack(reply as Buffer) as unknown[])[4];
    },
    outbox: (partition = PARTITION) => outboxOf(redis, partition),
    dump: () => dumpOf(redis),
    async close() {
      redis.disconnect();
      await service.stop();
    },
  };
}

/** `RESERVED 1` for a purchase with its ticket, the code for a refusal. */
export const told = (outcomes: readonly BuyOutcome[]): string[] =>
  outcomes.map((o) => (o.kind === 'purchase' ? `${o.purchase.status} ${o.purchase.ticket}` : o.code));

export const idOf = (outcome: BuyOutcome | undefined): string =>
  outcome?.kind === 'purchase' ? outcome.purchase.purchaseId : '';

/** Every purchase of a SKU by ticket, then the holds of orders; the counts as the first page gave them. */
export async function readCensus(
  stock: StockStore,
  saleId: string,
  sku = 'SHIRT',
): Promise<{ counters: SkuCounters; purchases: Purchase[]; missing: string[] }> {
  const first = await stock.census(saleId, sku, 1);
  if (!first) throw new Error(`no census of ${sku}`);
  const purchases = [...first.purchases];
  const missing = [...first.missing];
  for (let from = first.next; from > 0; ) {
    const page = await stock.census(saleId, sku, from);
    purchases.push(...(page?.purchases ?? []));
    missing.push(...(page?.missing ?? []));
    from = page?.next ?? 0;
  }
  return { counters: first.counters, purchases, missing };
}

/** A sale of one SKU that is open at once, unless told otherwise. */
export function saleOf(
  overrides: Partial<SaleDefinition> & { stock?: number; partition?: number } = {},
): SaleDefinition {
  const { stock = 10, partition = PARTITION, ...rest } = overrides;
  return {
    saleId: randomId('sale', partition),
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
