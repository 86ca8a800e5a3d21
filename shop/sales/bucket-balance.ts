// The balancer of split sales: moves units to the buckets where somebody waits, and tells each what is unsold in all of them,
// so that none says SOLD_OUT while another has a unit. Every step is idempotent and written down before it is taken: it may
// die anywhere, and run twice. It decides about units that nobody waits for only; the rest is the scripts' (ADR 20).
import { bucketIds } from '../../actors/buckets.ts';
import type { SkuCounters } from '../../actors/records.ts';
import type { StockStore } from '../../actors/stock-store.ts';
import type { Clock } from '../../core/clock.ts';
import { BUCKET_IDLE_INTERVAL_MS, BUCKET_TRANSFERS_MAX } from '../../core/constants.ts';
import { hasCode, messageOf } from '../../core/errors.ts';
import { randomId } from '../../core/ids.ts';
import type { Log } from '../../core/log.ts';
import { counter } from '../../core/metrics.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import { isNews, planMoves, unsoldIn } from './bucket-plan.ts';
import { findMovement } from './purchase-store.ts';
import { listSplitSales } from './store.ts';
import {
  claimBalance,
  endTransfer,
  insertTransfers,
  openTransfers,
  openTransfersOf,
  type Transfer,
} from './transfer-store.ts';

export interface BucketBalancer {
  /** One look at every split sale; does nothing while another process does. */
  run(): Promise<void>;
}

export interface BucketBalancerDependencies {
  postgres: Postgres;
  stock: Pick<StockStore, 'snapshot' | 'takeFromBucket' | 'giveToBucket' | 'tellBucket'>;
  clock: Clock;
  log: Log;
  /** Crash tests only: throwing here is dying after the step. */
  stepHook?: ((step: 'written' | 'taken' | 'given' | 'read') => void | Promise<void>) | undefined;
}

interface Reading {
  readonly skus: ReadonlyMap<string, readonly SkuCounters[]>;
  readonly failure: Error | undefined;
}

/** All at once and to the end; then the first failure is thrown. */
async function inEach<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const results = await Promise.allSettled(items.map(act));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

const movedUnits = counter('doorbuster_bucket_moved_units_total', 'Units moved between the buckets of split sales');

export function createBucketBalancer(deps: BucketBalancerDependencies): BucketBalancer {
  const { postgres, stock, clock, log, stepHook = () => undefined } = deps;
  let idleUntil = 0;

  /** A half that is not in the ledger may be lost with its Redis; what follows from it waits. */
  async function finish(transfer: Transfer): Promise<void> {
    const { transferId, sku, fromSale, toSale } = transfer;
    const [out, back] = [`${transferId}-out`, `${transferId}-in`];
    const taken = await findMovement(postgres, out);
    if (taken === undefined) {
      const units = await stock.takeFromBucket({ ...transfer, saleId: fromSale, operationId: out });
      await stepHook('taken');
      if (units === 0) await endTransfer(postgres, transferId, 0);
      return;
    }
    const units = -taken.loaded;
    if ((await findMovement(postgres, back)) === undefined) {
      await stock.giveToBucket({ saleId: toSale, sku, units, operationId: back });
      await stepHook('given');
      return;
    }
    await endTransfer(postgres, transferId, units);
    movedUnits.inc(units);
  }

  /** Side by side: one whose Redis does not answer must not keep the others waiting. */
  async function finishAll(transfers: readonly Transfer[]): Promise<void> {
    await inEach(transfers, async (transfer) => {
      await finish(transfer).catch(async (error: unknown) => {
        // Redis has forgotten the sale, a day after its close: nobody misses the units.
        if (!hasCode(error, 'SALE_NOT_FOUND', 'SKU_NOT_FOUND')) throw error;
        log.warn({ ...transfer, reason: messageOf(error) }, 'a transfer ends: its sale is no more');
        await endTransfer(postgres, transfer.transferId, 0);
      });
    });
  }

  /** Of the buckets that can be read now; `failure` where some cannot. */
  async function read(saleId: string): Promise<Reading> {
    let failure: Error | undefined;
    const own = bucketIds(saleId).map(async (id) => {
      const [bucket] = await stock.snapshot([id]).catch((error: unknown) => {
        failure ??= error instanceof Error ? error : new Error(messageOf(error));
        return [];
      });
      return bucket?.items ?? [];
    });
    const items = (await Promise.all(own)).flat();
    return { skus: Map.groupBy(items, (item) => item.sku), failure };
  }

  /** Moves between buckets that are in no other transfer of this SKU. Answers whether there was any. */
  async function begin(saleId: string, { skus }: Reading, open: readonly Transfer[]): Promise<boolean> {
    const transfers = [...skus].flatMap(([sku, buckets]) => {
      const busy = new Set(open.flatMap((t) => (t.sku === sku ? [t.fromSale, t.toSale] : [])));
      const free = buckets.filter((bucket) => !busy.has(bucket.saleId));
      return planMoves(free).map((move) => ({ transferId: randomId('mov'), saleId, sku, ...move }));
    });
    if (transfers.length === 0) return false;
    await insertTransfers(postgres, transfers);
    await stepHook('written');
    await finishAll(transfers);
    return true;
  }

  /**
   * Between two readings with the same `everywhere` nothing came back in any bucket, so at the moment between them no more was
   * unsold than the first one says, unless units were on their way: then there is an open transfer.
   */
  async function tell(saleId: string, first: Reading['skus']): Promise<void> {
    const second = (await read(saleId)).skus;
    await stepHook('read');
    if ((await openTransfersOf(postgres, saleId)).length > 0) return;
    const ids = bucketIds(saleId);
    const isSteady = (sku: string, buckets: readonly SkuCounters[]): boolean => {
      const now = new Map(second.get(sku)?.map((bucket) => [bucket.saleId, bucket.everywhere]));
      return (
        buckets.length === ids.length && buckets.every((b) => now.has(b.saleId) && now.get(b.saleId) === b.everywhere)
      );
    };
    const steady = [...first].filter(([sku, buckets]) => isSteady(sku, buckets));
    await inEach(ids, async (id) => {
      const items = steady.flatMap(([sku, buckets]) => {
        const own = buckets.find((bucket) => bucket.saleId === id);
        const unsold = unsoldIn(buckets);
        return own !== undefined && isNews(own, unsold) ? [{ sku, was: own.everywhere ?? 0, now: unsold + 1 }] : [];
      });
      if (items.length > 0) await stock.tellBucket(id, items);
    });
  }

  async function balance(saleId: string): Promise<void> {
    const open = await openTransfersOf(postgres, saleId);
    const reading = await read(saleId);
    const hasBegun = await begin(saleId, reading, open);
    // What cannot be read may have unsold units: nobody is told anything, but the others go on sharing theirs.
    if (reading.failure !== undefined) throw reading.failure;
    const isDue = [...reading.skus.values()].some((buckets) => buckets.some((b) => isNews(b, unsoldIn(buckets))));
    if (isDue && !hasBegun && open.length === 0) await tell(saleId, reading.skus);
  }

  async function balanceAll(): Promise<void> {
    const saleIds = await listSplitSales(postgres);
    if (saleIds.length === 0) idleUntil = clock.now() + BUCKET_IDLE_INTERVAL_MS;
    const works = [async () => finishAll(await openTransfers(postgres, BUCKET_TRANSFERS_MAX))];
    // A partition that is fenced, or whose Redis is away, keeps its own buckets waiting.
    await inEach([...works, ...saleIds.map((saleId) => () => balance(saleId))], (work) => work());
  }

  return {
    async run() {
      if (clock.now() < idleUntil) return;
      await postgres.transaction(async (tx) => {
        if (await claimBalance(tx)) await balanceAll();
      });
    },
  };
}
