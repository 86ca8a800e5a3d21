// One SKU split into buckets on a real Redis and a real Postgres, with a balancer that may be made to die after any of its
// steps, and a record of everything that anybody was told: what tests of buckets act on and judge by.
import { newPurchaseId } from '../../actors/purchase-ids.ts';
import { bucketFor, bucketIds } from '../../actors/buckets.ts';
import type { SkuCounters } from '../../actors/records.ts';
import { systemClock } from '../../core/clock.ts';
import { partitionOf, randomId } from '../../core/ids.ts';
import { type BucketBalancerDependencies, createBucketBalancer } from '../../shop/sales/bucket-balance.ts';
import { isNews, unsoldIn } from '../../shop/sales/bucket-plan.ts';
import { createSales } from '../../shop/sales/sales.ts';
import { quietLog } from './api.ts';
import type { TestOutbox } from './outbox.ts';

export const SKU = 'HOT';

export interface SplitSale {
  readonly saleId: string;
  buckets(): Promise<SkuCounters[]>;
  /** Units in no bucket: taken, not given yet, by what the buckets have themselves. */
  unsold(): Promise<number>;
  /** The code of a refusal, or the status; throws for a false SOLD_OUT. */
  buy(buyer: string, quantity?: number): Promise<{ told: string; purchaseId: string }>;
  confirm(purchaseId: string): Promise<void>;
  release(purchaseId: string, reason: 'BUYER' | 'REFUND'): Promise<void>;
  restock(by: number): Promise<void>;
  /** Everything in the outboxes goes to Postgres. */
  relay(): Promise<void>;
  /** One look of the balancer. `afterRead`: between its readings of two buckets. */
  balance(
    hook?: BucketBalancerDependencies['stepHook'],
    afterRead?: (bucketId: string) => Promise<void>,
  ): Promise<void>;
  /** Until nothing moves, nothing is under way and every bucket knows what is left. */
  settle(): Promise<void>;
}

export async function openSplitSale(
  outbox: TestOutbox,
  terms: { buckets: number; stock: number; perBuyerLimit?: number },
): Promise<SplitSale> {
  const { postgres, stock } = outbox;
  const sales = createSales({ postgres, stock, clock: systemClock, log: quietLog });
  const sku = `${SKU}-${randomId('sku').slice(4, 12)}`;
  const { sale } = await sales.create(
    {
      ...{ name: 'Hot', opensAt: null, closesAt: null, holdSeconds: 600, lineLimit: 10_000, admissionPerSecond: null },
      ...{ perBuyerLimit: terms.perBuyerLimit ?? 3, paymentStart: 'on_demand', buckets: terms.buckets },
      items: [{ sku, stock: terms.stock, unitPrice: 100, currency: 'INR' }],
    },
    { userId: 'u_admin', key: undefined },
  );
  const { saleId } = sale.row;
  await sales.move(saleId, 'open');
  let loaded = terms.stock;
  let operations = 0;
  /** The least that was unsold since every bucket knew the truth: who was told SOLD_OUT must have asked for more than that. */
  let lowest = terms.stock;
  const waiting = new Set<string>();

  async function buckets(): Promise<SkuCounters[]> {
    const snapshots = await stock.snapshot(bucketIds(saleId));
    return snapshots.map((snapshot) => {
      const item = snapshot?.items[0];
      if (item === undefined) throw new Error('a bucket is missing');
      return item;
    });
  }

  async function unsold(): Promise<number> {
    const sold = (await buckets()).reduce((sum, bucket) => sum + bucket.sold, 0);
    lowest = Math.min(lowest, loaded - sold);
    return loaded - sold;
  }

  async function balance(
    stepHook?: BucketBalancerDependencies['stepHook'],
    afterRead: (bucketId: string) => Promise<void> = async () => undefined,
  ): Promise<void> {
    await unsold();
    let reading: Promise<unknown> = Promise.resolve();
    const halting: BucketBalancerDependencies['stock'] = {
      ...stock,
      async snapshot(saleIds) {
        // One bucket after the other, however they are asked for.
        const read = reading.then(async () => {
          const snapshots = await stock.snapshot(saleIds);
          for (const id of saleIds) await afterRead(id);
          return snapshots;
        });
        reading = read.catch(() => undefined);
        return read;
      },
    };
    await createBucketBalancer({ postgres, stock: halting, clock: systemClock, log: quietLog, stepHook }).run();
    await judgeEnded();
    await forgetLowest();
  }

  /** Who waited and was told SOLD_OUT meanwhile. */
  async function judgeEnded(): Promise<void> {
    await unsold();
    const views = await stock.look([...waiting.keys()]);
    for (const view of views) {
      if (view === undefined || view.status === 'WAITING') continue;
      waiting.delete(view.purchaseId);
      if (view.status === 'SOLD_OUT' && view.quantity <= lowest)
        throw new Error(`SOLD_OUT for one who waited for ${view.quantity}, ${lowest} were left`);
    }
  }

  /** Once every bucket knows what is left, what was left before excuses nobody. */
  async function forgetLowest(): Promise<void> {
    const now = await buckets();
    if ((await isUnderWay()) || now.some((bucket) => isNews(bucket, unsoldIn(now)))) return;
    lowest = loaded;
    await unsold();
  }

  async function relay(): Promise<void> {
    const apply = outbox.apply();
    for (const id of bucketIds(saleId)) {
      const partition = partitionOf(id) ?? 0;
      const entryIds = await outbox.read(partition);
      if (entryIds.length > 0) await apply({ partition, entryIds });
    }
  }

  async function isUnderWay(): Promise<boolean> {
    const { rows } = await postgres.query('SELECT FROM transfers WHERE done_at IS NULL AND sale_id = $1', [saleId]);
    return rows.length > 0;
  }

  return {
    ...{ saleId, buckets, unsold, balance, relay },
    async buy(buyer, quantity = 1) {
      const bucketId = bucketFor(saleId, buyer);
      const purchaseId = newPurchaseId(bucketId, buyer);
      await unsold();
      const { outcomes } = await stock.reserve(bucketId, sku, [{ purchaseId, buyer, quantity, fingerprint: 'f' }]);
      const [outcome] = outcomes;
      const told = outcome?.kind === 'purchase' ? outcome.purchase.status : (outcome?.code ?? '');
      if (told === 'WAITING') waiting.add(purchaseId);
      if (told === 'SOLD_OUT' && quantity <= lowest) throw new Error(`SOLD_OUT for ${quantity}, ${lowest} were left`);
      return { told, purchaseId };
    },
    async confirm(purchaseId) {
      await stock.confirm([{ purchaseId, paymentRef: 'pi' }]);
      await unsold();
    },
    async release(purchaseId, reason) {
      await unsold();
      await stock.release([{ purchaseId, reason }]);
    },
    async restock(by) {
      operations += 1;
      for (const [bucket, id] of bucketIds(saleId).entries()) {
        if (bucket !== operations % terms.buckets) continue;
        await stock.restock({ saleId: id, sku, by, operationId: `${saleId}-${operations}`, reason: 'more' });
      }
      loaded += by;
    },
    async settle() {
      for (let round = 0; round < 100; round += 1) {
        await relay();
        await balance();
        const now = await buckets();
        const isKnown = now.every((bucket) => !isNews(bucket, unsoldIn(now)));
        const versions = now.map(({ version }) => version).join(' ');
        if (
          isKnown &&
          !(await isUnderWay()) &&
          versions === (await buckets()).map(({ version }) => version).join(' ')
        ) {
          await balance();
          if ((await buckets()).map(({ version }) => version).join(' ') === versions) {
            return;
          }
        }
      }
      throw new Error(`the buckets do not come to rest: ${JSON.stringify(await buckets())}`);
    },
  };
}
