// Redis is killed while buyers are being answered, and comes back with its disk: whoever was answered keeps what they were
// told, whoever was not gets the truth on asking again, and nothing is lost or doubled.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newPurchaseId } from '../../actors/purchase-ids.ts';
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import { type Counter, createCounter } from '../../actors/sku-actor.ts';
import { sleep, systemClock } from '../../core/clock.ts';
import { connectRedis, type Redis, whenReady } from '../../core/redis/redis.ts';
import type { Service } from '../../core/services/service.ts';
import { checkCounts, readTrail } from '../lua/model/invariants.ts';
import { startRedis, temporaryDirectory } from '../support/stack.ts';
import { createEpochRecord, outboxOf, PARTITION, readCensus, saleOf } from '../support/stock.ts';

let service: Service;
let directory: string;
let redis: Redis;
let stock: StockStore;
let counter: Counter;
let record: ReturnType<typeof createEpochRecord>;

beforeEach(async () => {
  directory = temporaryDirectory('redis-kill');
  service = await startRedis({ dir: directory });
  redis = connectRedis(service.url, 'scripts');
  await whenReady(redis, 10_000);
  stock = createStockStore({ redis });
  record = createEpochRecord();
  await stock.attach(record);
  counter = createCounter({ stock, clock: systemClock });
});
afterEach(async () => {
  await counter.drain();
  redis.disconnect();
  await service.stop();
});

async function kill(): Promise<void> {
  service.kill('SIGKILL');
  await service.ended;
}
async function restart(): Promise<void> {
  const { port } = service;
  service = await startRedis({ dir: directory, port });
  expect(service.port).toBe(port);
  await whenReady(redis, 30_000);
  await stock.attach(record); // as each process does within a second
}

type Answer = { ticket: number; status: string } | { code: string };
async function ask(wish: ReturnType<typeof wishOf>, deadlineMs: number): Promise<Answer> {
  try {
    const outcome = await counter.buy(wish, systemClock.now() + deadlineMs);
    if (outcome.kind === 'refused') return { code: outcome.code };
    return { ticket: outcome.purchase.ticket, status: outcome.purchase.status };
  } catch (error) {
    // Only coded errors come out of a counter; anything else fails the comparison below.
    return { code: error instanceof Error && 'code' in error ? String(error.code) : String(error) };
  }
}
const wishOf = (saleId: string, i: number) => ({
  ...{ saleId, sku: 'SHIRT', buyer: `u_${i}`, quantity: 1, fingerprint: 'f', hasKey: true },
  purchaseId: newPurchaseId(saleId, `u_${i}`),
});

async function checkNothingLost(saleId: string, ids: readonly string[], answers: readonly Answer[]): Promise<void> {
  const { counters, purchases, missing } = await readCensus(stock, saleId);
  expect(missing).toEqual([]);
  checkCounts(counters, purchases);
  const trail = readTrail(await outboxOf(redis, PARTITION)).get(`${saleId} SHIRT`);
  expect(trail).toMatchObject({ available: counters.available, held: counters.held, sold: counters.sold });
  const byId = new Map(purchases.map((p) => [p.purchaseId, p]));
  expect(byId.size).toBe(purchases.length);
  answers.forEach((answer, i) => {
    if ('ticket' in answer) expect(byId.get(ids[i] ?? '')).toMatchObject(answer);
  });
}

describe('a Redis that is killed in the middle of batches', () => {
  it('loses no answer and doubles none, and a retry gets the first answer', async () => {
    const sale = saleOf({ stock: 300, lineLimit: 10_000, holdMs: 600_000 });
    await stock.createSale(sale);
    const wishes = Array.from({ length: 3_000 }, (_, i) => wishOf(sale.saleId, i));
    const asked: Promise<Answer>[] = [];
    let killed: Promise<void> | undefined;
    for (const [i, wish] of wishes.entries()) {
      asked.push(ask(wish, 30_000));
      if (i % 50 === 49) await sleep(0); // several batches, some of them in flight when it dies
      if (i === 1_500) {
        await asked[100];
        killed = kill();
      }
    }
    await killed;
    await restart();
    const answers = await Promise.all(asked);
    // The deadline was far: every batch was sent again until it was answered.
    expect(answers.filter((a) => 'code' in a)).toEqual([]);
    const tickets = answers.map((a) => ('ticket' in a ? a.ticket : 0));
    expect(tickets).toEqual(Array.from({ length: wishes.length }, (_, i) => i + 1));
    expect(answers.filter((a) => 'status' in a && a.status === 'RESERVED').length).toBe(300);
    await checkNothingLost(
      sale.saleId,
      wishes.map((w) => w.purchaseId),
      answers,
    );
    expect(await Promise.all(wishes.map((wish) => ask(wish, 30_000)))).toEqual(answers);
  });

  it('leaves nobody without an answer at their deadline, and tells the truth afterwards', async () => {
    const sale = saleOf({ stock: 100, lineLimit: 10_000, holdMs: 600_000 });
    await stock.createSale(sale);
    const wishes = Array.from({ length: 1_000 }, (_, i) => wishOf(sale.saleId, i));
    const early = await Promise.all(wishes.slice(0, 200).map((wish) => ask(wish, 30_000)));
    const pending = wishes.slice(200).map((wish) => ask(wish, 1_000));
    await sleep(0);
    await kill();
    const late = await Promise.all(pending);
    const codes = new Set(late.map((a) => ('code' in a ? a.code : 'answered')));
    for (const code of codes) expect(['answered', 'OUTCOME_UNKNOWN', 'UNAVAILABLE']).toContain(code);
    expect(await ask(wishOf(sale.saleId, 5_000), 100)).toMatchObject({
      code: expect.stringMatching(/UNAVAILABLE|OUTCOME_UNKNOWN/),
    });
    await restart();
    const answers = [...early, ...late];
    const ids = wishes.map((w) => w.purchaseId);
    await checkNothingLost(sale.saleId, ids, answers);
    const again = await Promise.all(wishes.map((wish) => ask(wish, 30_000)));
    again.forEach((answer, i) => {
      const first = answers[i];
      if (first && 'ticket' in first) expect(answer).toEqual(first);
      else expect(answer).toMatchObject({ ticket: expect.any(Number) });
    });
    await checkNothingLost(sale.saleId, ids, again);
    expect(again.filter((a) => 'status' in a && a.status === 'RESERVED').length).toBe(100);
  });
});
