// What does a batch buy? stock.reserve with 1 to 512 purchases a call, one call in flight as an actor has it, on a Redis
// that writes to the disk before it answers (appendfsync always); beside it as many bare SETs in one pipeline. A Redis of
// its own without workers, so that nothing but the script is measured; its counts are checked at the end.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unownedPurchaseId } from '../actors/purchase-ids.ts';
import { createStockStore, type StockStore } from '../actors/stock-store.ts';
import { PARTITIONS } from '../core/constants.ts';
import { randomId } from '../core/ids.ts';
import { connectRedis, type Redis, whenReady } from '../core/redis/redis.ts';
import { startRedis } from '../core/services/redis.ts';
import { ensureRedis } from '../core/services/redis-binary.ts';
import type { Bench, Finding, Row } from './bench.ts';
import { latenciesOf } from './load/tally.ts';

/** Calls a size is measured over; small batches get more, so that each runs about as long. */
const SIZES = [
  { batch: 1, calls: 3_000, soldOutCalls: 3_000 },
  { batch: 8, calls: 2_000, soldOutCalls: 2_000 },
  { batch: 32, calls: 1_000, soldOutCalls: 1_500 },
  { batch: 128, calls: 400, soldOutCalls: 1_000 },
  { batch: 512, calls: 100, soldOutCalls: 300 },
] as const;
const QUICK_SHARE = 0.05;
const SPARE_UNITS = 10;
const SKU = 'BENCH';

export const batchSizes: Bench = {
  name: 'batch-sizes',
  question: 'stock.reserve by batch size, appendfsync always, beside as many bare SETs in a pipeline',
  async run({ isQuick, say }) {
    const directory = mkdtempSync(join(tmpdir(), 'doorbuster-bench-redis-'));
    const service = await startRedis({ program: await ensureRedis(say), directory, say });
    const redis = connectRedis(service.url, 'scripts');
    try {
      await whenReady(redis, 10_000);
      const stock = createStockStore({ redis });
      await stock.attach({ read: async () => [], write: async () => undefined, witness: async () => undefined });
      await runBatches(stock, PARTITIONS - 1, 128, isQuick ? 2 : 100, true);
      const findings: Finding[] = [];
      for (const [partition, { batch, calls, soldOutCalls }] of SIZES.entries()) {
        const share = (count: number): number => Math.max(2, Math.round(count * (isQuick ? QUICK_SHARE : 1)));
        say(`batches of ${batch}`);
        const sets = await runSets(redis, batch, share(calls));
        const bought = await runBatches(stock, partition, batch, share(calls), true);
        const refused = await runBatches(stock, partition, batch, share(soldOutCalls), false);
        findings.push(...[bought, refused].map((finding) => overSets(finding, sets.perSecond ?? 1)));
        findings.push({ rows: [sets], problems: [] });
      }
      return {
        rows: findings.flatMap(({ rows }) => rows),
        notes: ['The ratio is over as many bare SETs in a pipeline, one round trip and one fsync like the script.'],
        problems: findings.flatMap(({ problems }) => problems),
      };
    } finally {
      redis.disconnect();
      await service.stop();
      rmSync(directory, { recursive: true, force: true });
    }
  },
};

const overSets = ({ rows, problems }: Finding, setsPerSecond: number): Finding => ({
  rows: rows.map((row) => ({ ...row, ratio: (row.perSecond ?? 0) / setsPerSecond })),
  problems,
});

/** Purchases by as many buyers; with stock for all of them, or with none. */
async function runBatches(
  stock: StockStore,
  partition: number,
  batch: number,
  calls: number,
  hasStock: boolean,
): Promise<Finding> {
  const saleId = randomId('sale', partition);
  const loaded = hasStock ? batch * calls + SPARE_UNITS : 0;
  const terms = { opensAt: null, closesAt: null, holdMs: 3_600_000, perBuyerLimit: 1, lineLimit: null };
  const items = [{ sku: SKU, stock: loaded, unitPrice: 49_900, currency: 'INR' }];
  const payments = { paymentStart: 'on_demand', startBacklogLimit: 0, admissionPerSecond: null } as const;
  await stock.createSale({ saleId, ...terms, ...payments, startNow: true, items });
  // Ids and buyers before the clock starts: the door has them too when it calls.
  const batches = Array.from({ length: calls }, (_, call) =>
    Array.from({ length: batch }, (_, i) => ({
      ...{ purchaseId: unownedPurchaseId(partition), buyer: `u_${call}-${i}`, quantity: 1, fingerprint: 'bench' },
    })),
  );
  const expected = hasStock ? 'RESERVED' : 'SOLD_OUT';
  let answers = 0;
  const { seconds, latencies } = await timed(batches, async (wishes) => {
    const { outcomes } = await stock.reserve(saleId, SKU, wishes);
    for (const o of outcomes) if ((o.kind === 'purchase' ? o.purchase.status : o.code) === expected) answers += 1;
  });
  const asked = batch * calls;
  const counts = (await stock.snapshot([saleId]))[0]?.items[0];
  const held = hasStock ? asked : 0;
  const isRight = answers === asked && counts?.held === held && counts.available === loaded - held;
  const what = `${hasStock ? 'reserve' : 'sold out'}, ${batch} a call`;
  const problem = `${what}: ${answers} of ${asked} were ${expected}, and the counts are ${JSON.stringify(counts)}`;
  const row: Row = { what, perSecond: asked / seconds, count: asked, latencies };
  return { rows: [row], problems: isRight ? [] : [problem] };
}

async function runSets(redis: Redis, batch: number, calls: number): Promise<Row> {
  const numbers = Array.from({ length: calls }, (_, call) => call);
  const { seconds, latencies } = await timed(numbers, async (call) => {
    const pipeline = redis.pipeline();
    for (let i = 0; i < batch; i++) pipeline.set(`bench:${batch}:${call}:${i}`, 'u_0-0 1 bench');
    await pipeline.exec();
  });
  return {
    what: `bare SET, ${batch} a pipeline`,
    perSecond: (batch * calls) / seconds,
    count: batch * calls,
    latencies,
  };
}

/** One after the other, and how long each call took. */
async function timed<T>(inputs: readonly T[], call: (input: T) => Promise<void>) {
  const times = new Float64Array(inputs.length);
  const startedAt = performance.now();
  for (const [i, input] of inputs.entries()) {
    const sentAt = performance.now();
    await call(input);
    times[i] = performance.now() - sentAt;
  }
  return { seconds: (performance.now() - startedAt) / 1_000, latencies: latenciesOf(times) };
}
