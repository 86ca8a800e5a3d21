// The rebuild: a partition of Redis is fenced off, what its outbox still tells goes to Postgres, and everything is built again
// from there: sales, lines with their places, holds, what is sold. What was acknowledged and never reached Postgres is lost
// with its Redis, and counted; what was paid is not. Run twice, or after a crash in the middle, it starts from the beginning.
import { bucketIds } from '../../actors/buckets.ts';
import type { SkuCounters } from '../../actors/records.ts';
import { LAYOUT_FORM } from '../../actors/scripts.ts';
import { createStockStore } from '../../actors/stock-store.ts';
import { type Clock, sleep } from '../../core/clock.ts';
import { REBUILD_SETTLE_MS, RETENTION_AFTER_CLOSE_MS } from '../../core/constants.ts';
import { fault } from '../../core/errors.ts';
import { partitionOf, randomId } from '../../core/ids.ts';
import type { Log } from '../../core/log.ts';
import type { Postgres, Queryable } from '../../core/postgres/postgres.ts';
import type { JobQueue } from '../../core/queue/queue.ts';
import type { Redis } from '../../core/redis/redis.ts';
import type { JobMap } from '../job-map.ts';
import { createDrain, createSaleTerms } from '../orders/orders.ts';
import { type FenceState, readFence, removeKeys } from './rebuild-keys.ts';
import { buildSales } from './rebuild-sale.ts';
import {
  type Built,
  claimPartition,
  finishRebuild,
  flushWriters,
  holdPartition,
  insertRebuild,
  listSalesToBuild,
  type PartitionRow,
  raiseEpoch,
  readPartitions,
  releasePartition,
} from './rebuild-store.ts';

export interface RebuildDependencies {
  readonly postgres: Postgres;
  readonly redis: Redis;
  readonly queue: Pick<JobQueue<JobMap>, 'addBulk'>;
  readonly clock: Clock;
  readonly log: Log;
  /** How long other processes get to notice the new epoch; nothing where there is no other Redis that they could use. */
  readonly settleMs?: number;
  readonly testNow?: () => number;
}

export interface RebuildProgress {
  readonly partition: number;
  readonly step: 'waiting' | 'draining' | 'building';
  readonly done: number;
  readonly of: number;
}

export interface RebuildRequest {
  /** Only this sale; its partition is fenced meanwhile, the others in it are left as they are. */
  readonly saleId?: string;
  /** Also where Redis needs none. */
  readonly isAll?: boolean;
  readonly onProgress?: (progress: RebuildProgress) => void;
}

export interface RebuiltPartition extends Built {
  readonly partition: number;
  readonly epoch: number;
  readonly reason: string;
  /** SKUs whose counts do not add up even so: they are for somebody to look at. */
  readonly unsound: readonly SkuCounters[];
}

export interface Rebuild {
  /** What Redis lacks, by partition; empty where it agrees with Postgres. */
  examine(): Promise<{ partition: number; reason: string }[]>;
  run(request?: RebuildRequest): Promise<RebuiltPartition[]>;
}

const ASKED_FOR = 'asked for';
const FOREIGN = 'Redis belongs to another database';
const OTHER_FORM = 'Redis was written by another version';
/** Redis has all that it was told, and gets a new place for it. */
const WITHOUT_LOSS = new Set([ASKED_FOR, OTHER_FORM]);

export function createRebuild(deps: RebuildDependencies): Rebuild {
  const { postgres, redis, settleMs = REBUILD_SETTLE_MS } = deps;

  async function examine(): Promise<{ partition: number; reason: string }[]> {
    const rows = await readPartitions(postgres);
    const states = await Promise.all(rows.map(({ partition }) => readFence(redis, partition)));
    return rows.flatMap((row, i) => {
      const reason = whatIsWrong(row, states[i]);
      return reason === undefined ? [] : [{ partition: row.partition, reason }];
    });
  }

  async function chosen({ saleId, isAll }: RebuildRequest): Promise<{ partition: number; reason: string }[]> {
    const wrong = await examine();
    if (saleId !== undefined) {
      const partition = partitionOf(saleId);
      if (partition === undefined) throw fault('SALE_NOT_FOUND', `${saleId} is not a sale's id`);
      const other = wrong.find((one) => one.partition === partition);
      // One sale cannot be built into what is missing altogether.
      if (other !== undefined)
        throw fault('FENCED', `Partition ${partition}: ${other.reason}. Rebuild without a sale's id.`);
      return [{ partition, reason: ASKED_FOR }];
    }
    const foreign = wrong.find((one) => one.reason === FOREIGN);
    // Its own Postgres would miss it. Only who says so replaces it.
    if (!isAll && foreign !== undefined)
      throw fault('FENCED', `Partition ${foreign.partition}: ${FOREIGN}. Rebuild everything if it is to be replaced.`);
    if (!isAll) return wrong;
    const known = new Map(wrong.map((one) => [one.partition, one.reason]));
    return (await readPartitions(postgres)).map(({ partition }) => ({
      partition,
      reason: known.get(partition) ?? ASKED_FOR,
    }));
  }

  return {
    examine,
    async run(request = {}) {
      const rebuilt: RebuiltPartition[] = [];
      let hasSettled = false;
      const settle = async (): Promise<void> => {
        if (!hasSettled) await sleep(settleMs);
        hasSettled = true;
      };
      const { saleId, ...rest } = request;
      // Of a sale that is split, each bucket in its own partition.
      const parts = saleId === undefined ? [request] : bucketIds(saleId).map((id) => ({ ...rest, saleId: id }));
      for (const part of parts) {
        for (const { partition, reason } of await chosen(part)) {
          rebuilt.push(await rebuildPartition(deps, part, { partition, reason, settle }));
        }
      }
      return rebuilt;
    },
  };
}

function whatIsWrong(row: PartitionRow, fence: FenceState | undefined): string | undefined {
  if (fence === undefined || (fence.epoch === undefined && fence.seq === undefined)) return 'Redis is empty';
  if (fence.isRebuilding) return 'a rebuild was not finished';
  if (fence.epoch === undefined || fence.seq === undefined) return 'the fence of Redis is damaged';
  if (fence.epoch < row.epoch) return 'Redis is of an older epoch';
  if (fence.epoch > row.epoch) return FOREIGN;
  if (fence.seq < row.seq) return 'Redis is behind Postgres';
  return fence.form === LAYOUT_FORM ? undefined : OTHER_FORM;
}

interface Task {
  readonly partition: number;
  readonly reason: string;
  settle(): Promise<void>;
}

async function rebuildPartition(
  deps: RebuildDependencies,
  request: RebuildRequest,
  { partition, reason, settle }: Task,
): Promise<RebuiltPartition> {
  const { postgres, redis, clock, log } = deps;
  const { saleId } = request;
  const tell = (step: RebuildProgress['step'], done: number, of: number): void =>
    request.onProgress?.({ partition, step, done, of });
  const stock = createStockStore({ redis, ...(deps.testNow === undefined ? {} : { testNow: deps.testNow }) });
  const rebuildId = randomId('rb', partition);

  const built = await postgres.transaction(async (tx) => {
    if (!(await claimPartition(tx, partition)))
      throw fault('UNAVAILABLE', `Partition ${partition} is being rebuilt already`);
    const row = (await readPartitions(postgres)).find((one) => one.partition === partition);
    const fence = await readFence(redis, partition);
    const epoch = Math.max(row?.epoch ?? 0, fence?.epoch ?? 0) + 1;
    // Its own statement: from here on nobody writes for the old epoch, though this transaction lasts.
    await raiseEpoch(postgres, partition, epoch);
    await insertRebuild(postgres, { rebuildId, partition, epoch, saleId: saleId ?? null, reason });
    log.warn({ partition, epoch, reason, saleId }, 'the partition is fenced and rebuilt');
    tell('waiting', 0, 1);
    await settle();

    const applied = await flushWriters(postgres, partition);
    const seq = await stock.beginRebuild(partition, epoch, Math.max(row?.seq ?? 0, applied));
    const drain = createDrain({ ...deps, stock, terms: createSaleTerms(postgres) });
    const drained = await drain(partition, (done, of) => tell('draining', done, of));
    await holdPartition(tx, partition);
    if (saleId === undefined) await removeKeys(redis, partition);

    const saleIds = saleId === undefined ? await salesOf(tx, partition) : [saleId];
    const hasLost = !WITHOUT_LOSS.has(reason);
    const sales = await buildSales({ tx, stock, clock, partition, epoch, seq, hasLost, saleIds, tell });
    await releasePartition(tx, partition, seq);
    await finishRebuild(tx, rebuildId, { ...sales, drained });
    return { ...sales, drained, epoch };
  });
  // Only what is committed may be sold from.
  await stock.endRebuild(partition);
  log.warn({ partition, ...built, unsound: built.unsound.length }, 'the partition is rebuilt');
  return { partition, reason, ...built };
}

async function salesOf(tx: Queryable, partition: number): Promise<string[]> {
  const sales = await listSalesToBuild(tx, partition, RETENTION_AFTER_CLOSE_MS);
  return sales.map((sale) => sale.saleId);
}
