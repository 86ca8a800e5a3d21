// A SKU that is split over several partitions: nobody is told SOLD_OUT while a unit is left anywhere, no unit is lost or sold
// twice, each bucket's line is in order, whatever the balancer dies of and whatever happens between its steps.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bucketFor, bucketIds } from '../../actors/buckets.ts';
import { partitionOf } from '../../core/ids.ts';
import { findOvertaken, sumLedgerAt } from '../../shop/admin/store.ts';
import { createRandom, type Random } from '../sim/random.ts';
import { openTestOutbox, type TestOutbox } from '../support/outbox.ts';
import { openSplitSale, type SplitSale } from '../support/split-sale.ts';

let outbox: TestOutbox;
beforeAll(async () => {
  outbox = await openTestOutbox();
});
afterAll(() => outbox.close());

/** A buyer whose bucket it is. */
function buyerOf(sale: SplitSale, bucket: number, number: number): string {
  const wanted = bucketIds(sale.saleId)[bucket];
  for (let i = 0; ; i += 1) {
    const buyer = `u_${bucket}_${number}_${i}`;
    if (bucketFor(sale.saleId, buyer) === wanted) return buyer;
  }
}

describe('a split sale', () => {
  it('has its stock in as many partitions as buckets', async () => {
    const sale = await openSplitSale(outbox, { buckets: 3, stock: 8 });
    const partitions = bucketIds(sale.saleId).map(partitionOf);
    expect(new Set(partitions).size).toBe(3);
    expect((await sale.buckets()).map(({ loaded }) => loaded)).toEqual([3, 3, 2]);
  });

  it('sells the units of every bucket to buyers of one, who wait meanwhile', async () => {
    const sale = await openSplitSale(outbox, { buckets: 3, stock: 6 });
    const answers: string[] = [];
    for (let i = 0; i < 7; i += 1) answers.push((await sale.buy(buyerOf(sale, 1, i))).told);
    expect(answers).toEqual(['RESERVED', 'RESERVED', 'WAITING', 'WAITING', 'WAITING', 'WAITING', 'WAITING']);
    await sale.settle();
    expect(await sale.buckets()).toMatchObject([
      { loaded: 0, waiting: 0 },
      { loaded: 6, held: 6, waiting: 1 },
      { loaded: 0, waiting: 0 },
    ]);
  });

  it('says SOLD_OUT everywhere once the last unit of all is sold, and not before', async () => {
    const sale = await openSplitSale(outbox, { buckets: 2, stock: 2 });
    const first = await sale.buy(buyerOf(sale, 0, 1));
    const second = await sale.buy(buyerOf(sale, 1, 1));
    const waiting = await sale.buy(buyerOf(sale, 0, 2));
    await sale.confirm(first.purchaseId);
    await sale.settle();
    expect((await sale.buy(buyerOf(sale, 0, 3))).told).toBe('WAITING');
    await sale.confirm(second.purchaseId);
    await sale.settle();
    expect((await outbox.stock.look([waiting.purchaseId]))[0]).toMatchObject({ status: 'SOLD_OUT' });
    expect((await sale.buy(buyerOf(sale, 0, 4))).told).toBe('SOLD_OUT');
    expect((await sale.buy(buyerOf(sale, 1, 4))).told).toBe('SOLD_OUT');
    // What comes back is for whoever comes next, in any bucket.
    await sale.release(second.purchaseId, 'REFUND');
    await sale.settle();
    expect((await sale.buy(buyerOf(sale, 0, 5))).told).toBe('WAITING');
    await sale.settle();
    expect(await sale.buckets()).toMatchObject([{ held: 1, waiting: 0 }, { held: 0 }]);
  });

  it('gathers the last units for a head that asks for more than any bucket has', async () => {
    const sale = await openSplitSale(outbox, { buckets: 2, stock: 2 });
    const wide = await sale.buy(buyerOf(sale, 0, 1), 2);
    const other = await sale.buy(buyerOf(sale, 1, 1), 2);
    expect([wide.told, other.told]).toEqual(['WAITING', 'WAITING']);
    await sale.settle();
    const statuses = (await outbox.stock.look([wide.purchaseId, other.purchaseId])).map((view) => view?.status);
    expect(statuses).toEqual(expect.arrayContaining(['RESERVED', 'WAITING']));
    // Who asks for more than is left anywhere is told so.
    expect((await sale.buy(buyerOf(sale, 0, 2), 3)).told).toBe('SOLD_OUT');
  });
});

describe('the balancer', () => {
  it('believes no reading during which a unit came back', async () => {
    const sale = await openSplitSale(outbox, { buckets: 2, stock: 2 });
    const sold = await sale.buy(buyerOf(sale, 0, 1));
    const held = await sale.buy(buyerOf(sale, 1, 1));
    await sale.confirm(sold.purchaseId);
    const waiting = await sale.buy(buyerOf(sale, 1, 2));
    await sale.settle();
    // It has read the first bucket, where nothing is left; then its unit comes back, and the second one's is sold.
    let hasHappened = false;
    await sale.balance(undefined, async (bucketId) => {
      if (hasHappened || bucketId !== bucketIds(sale.saleId)[0]) return;
      hasHappened = true;
      await sale.release(sold.purchaseId, 'REFUND');
      await sale.confirm(held.purchaseId);
    });
    expect(hasHappened).toBe(true);
    await sale.settle();
    expect((await outbox.stock.look([waiting.purchaseId]))[0]).toMatchObject({ status: 'RESERVED' });
  });

  it('shares among the buckets that answer, and says nothing of what is left while one does not', async () => {
    const sale = await openSplitSale(outbox, { buckets: 3, stock: 3 });
    const away = bucketIds(sale.saleId)[2];
    const buyers = [1, 2, 3].map((number) => buyerOf(sale, 0, number));
    const bought = [];
    for (const buyer of buyers) bought.push(await sale.buy(buyer));
    for (let turn = 0; turn < 6; turn += 1) {
      const look = sale.balance(undefined, async (bucketId) => {
        if (bucketId === away) throw new Error('its Redis is away');
      });
      await expect(look).rejects.toThrow('its Redis is away');
      await sale.relay();
    }
    expect(await sale.buckets()).toMatchObject([{ held: 2, waiting: 1 }, { loaded: 0 }, { loaded: 1 }]);
    for (const { purchaseId } of bought.slice(0, 2)) await sale.confirm(purchaseId);
    expect((await sale.buy(buyerOf(sale, 1, 9))).told).toBe('WAITING');
    await sale.settle();
    expect(await sale.unsold()).toBe(1);
  });

  it('finishes what another began, once', async () => {
    for (const lastStep of ['written', 'taken', 'given'] as const) {
      const sale = await openSplitSale(outbox, { buckets: 2, stock: 2 });
      await sale.buy(buyerOf(sale, 0, 1));
      const waiting = await sale.buy(buyerOf(sale, 0, 2));
      const die: Hook = (step) => {
        if (step === lastStep) throw new Error(`dead after ${step}`);
      };
      for (let turn = 0; turn < 3; turn += 1) {
        await sale.balance(die).catch(() => undefined);
        await sale.relay();
      }
      expect(await sale.unsold()).toBe(2);
      await sale.settle();
      expect((await outbox.stock.look([waiting.purchaseId]))[0], lastStep).toMatchObject({ status: 'RESERVED' });
      expect(await sale.buckets()).toMatchObject([{ loaded: 2, held: 2 }, { loaded: 0 }]);
    }
  });
});

type Hook = NonNullable<Parameters<SplitSale['balance']>[0]>;

/** Whatever buyers, payments and operators do, at random. */
function createBustle(sale: SplitSale, random: Random, buckets: number) {
  const alive: string[] = [];
  let buyers = 0;
  return async function act(): Promise<void> {
    const verb = random.pickWeighted({ buy: 8, confirm: 5, leave: 2, refund: 2, restock: 0.3, relay: 3 });
    const purchaseId = alive.length > 0 ? random.pick(alive) : '';
    if (verb === 'buy') {
      // Most go to one bucket: there the stock is short first.
      const bucket = random.isLucky(0.6) ? 0 : random.integer(0, buckets - 1);
      const answer = await sale.buy(buyerOf(sale, bucket, ++buyers), random.pick([1, 1, 1, 2, 3]));
      if (answer.told === 'RESERVED' || answer.told === 'WAITING') alive.push(answer.purchaseId);
    } else if (verb === 'confirm' && purchaseId) await sale.confirm(purchaseId);
    else if (verb === 'leave' && purchaseId) await sale.release(purchaseId, 'BUYER');
    else if (verb === 'refund' && purchaseId) await sale.release(purchaseId, 'REFUND');
    else if (verb === 'restock') await sale.restock(random.integer(1, 3));
    else if (verb === 'relay') await sale.relay();
  };
}

async function checkBooks(sale: SplitSale): Promise<void> {
  await sale.relay();
  const buckets = await sale.buckets();
  expect(buckets.reduce((sum, { loaded, sold }) => sum + loaded - sold, 0)).toBe(await sale.unsold());
  for (const bucket of buckets) {
    const { saleId, sku, loaded, available, held, sold, waiting, everywhere = 0 } = bucket;
    expect(Math.min(available, held, sold)).toBeGreaterThanOrEqual(0);
    expect(available + held + sold).toBe(loaded);
    const ledger = await sumLedgerAt(outbox.postgres, saleId, [{ sku, seq: null }]);
    expect(ledger.get(sku)).toEqual({ loaded, available, held, sold });
    expect(await findOvertaken(outbox.postgres, saleId)).toEqual([]);
    // Nobody waits for one unit while there is one here; and nobody waits for what can never come.
    const census = await outbox.stock.census(saleId, sku, 1);
    const line = (census?.purchases ?? []).filter(({ status }) => status === 'WAITING');
    expect(line.reduce((sum, { quantity }) => sum + quantity, 0)).toBe(waiting);
    for (const { quantity } of line) expect(quantity).toBeLessThanOrEqual(Math.max(loaded - sold, everywhere - 1));
    const [head] = line;
    if (head !== undefined) expect(head.quantity).toBeGreaterThan(available);
  }
  // No unit lies idle where nobody waits while somebody waits elsewhere.
  const isIdle = buckets.some(({ available, waiting }) => waiting === 0 && available > 0);
  const isWaiting = buckets.some(({ available, waiting }) => waiting > available);
  expect(isIdle && isWaiting).toBe(false);
}

describe('random histories', () => {
  const seeds = Array.from({ length: Number(process.env['BUCKET_HISTORIES'] ?? 3) }, (_, i) => i + 1);

  it.each(seeds)('keep every promise, whatever the balancer dies of (seed %i)', async (seed) => {
    const random = createRandom(seed);
    const buckets = random.integer(2, 4);
    const sale = await openSplitSale(outbox, { buckets, stock: random.integer(1, 8) });
    const act = createBustle(sale, random, buckets);
    const hook: Hook = async () => {
      while (random.isLucky(0.6)) await act();
      if (random.isLucky(0.3)) throw new Error('the balancer dies');
    };
    for (let turn = 0; turn < 20; turn += 1) {
      for (let acts = random.integer(0, 3); acts > 0; acts -= 1) await act();
      await sale.balance(random.isLucky(0.8) ? hook : undefined).catch((error: unknown) => {
        if (!(error instanceof Error) || error.message !== 'the balancer dies') throw error;
      });
    }
    await sale.settle();
    await checkBooks(sale);
  });
});
