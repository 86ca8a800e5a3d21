// Sales: defined in Postgres, lived in Redis. Creating writes the definition first and then installs it in Redis, so that
// what a crash leaves between the two is found by `installMissing`. Counts are Redis' while it knows the sale, else the ledger's.
import { bucketIds, publicSaleId, splitId } from '../../actors/buckets.ts';
import type { SaleStatus } from '../../actors/records.ts';
import type { SaleDefinition } from '../../actors/sale-verbs.ts';
import type { StockStore } from '../../actors/stock-store.ts';
import { type Clock, sleep } from '../../core/clock.ts';
import { PARTITIONS, PAYMENT_STARTS_PER_SECOND, RESCUE_INTERVAL_MS } from '../../core/constants.ts';
import { fault, hasCode } from '../../core/errors.ts';
import { fingerprint, hashedId, randomId } from '../../core/ids.ts';
import type { Log } from '../../core/log.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import { insertSale } from './insert-store.ts';
import { enliven, type LiveSale } from './live-sales.ts';
import { findSale, findSales, listSales, markInstalled, notInstalled, type SaleRow } from './store.ts';
import { type CreateSale, isSaleId } from './wire.ts';

export { createBucketBalancer } from './bucket-balance.ts';
export { sumCounts } from './live-sales.ts';
export { isHolding, isLiving } from './purchase-states.ts';
export { listPurchases } from './purchase-store.ts';
export type { Purchases } from './purchases.ts';
export { findSales, type SaleRow } from './store.ts';
export { findBrokenTransfers } from './transfer-store.ts';
export { instantSchema, isSaleId, printable, saleIdSchema, saleStatusSchema, skuSchema, toLine } from './wire.ts';
export { orderIdOf, type PurchaseReply, toPurchaseReply } from './wire-purchase.ts';

export interface Sales {
  create(
    input: CreateSale,
    by: { userId: string; key: string | undefined },
  ): Promise<{ sale: LiveSale; isNew: boolean }>;
  list(page: { after?: string | undefined; limit: number; status?: SaleStatus | undefined }): Promise<LiveSale[]>;
  get(saleId: string): Promise<LiveSale>;
  move(saleId: string, verb: 'open' | 'pause' | 'close'): Promise<LiveSale>;
  /** Gives Redis the sales it has not heard of; answers how many. Safe to call from anywhere at any time. */
  installMissing(): Promise<number>;
}

export interface SalesDependencies {
  postgres: Postgres;
  stock: StockStore;
  clock: Clock;
  log: Log;
}

const INSTALL_PAGE = 50;
/** A tenth of the hold may pass before its payment is started; admission stops while more than that waits. */
const START_BACKLOG_SHARE = 0.1;
const START_BACKLOG_MIN = 50;
/** How long a SKU's former sale, closed in Redis, may take to be known as closed in Postgres. */
const CLOSE_LAG_TRIES = 20;
const CLOSE_LAG_PAUSE_MS = 100;

/**
 * A bucket's own: "twice the stock" is of its share of the whole, whatever it has at the moment. One purchase may wait in each at
 * least, or nobody would ask for the units that are elsewhere.
 */
function lineLimitOf({ lineLimit, buckets, items, perBuyerLimit }: SaleRow): number | null {
  if (buckets === 1) return lineLimit;
  const ofAll = lineLimit ?? 2 * Math.max(...items.map((item) => item.totalStock));
  return Math.max(perBuyerLimit, Math.ceil(ofAll / buckets));
}

/** What Redis needs to know of a sale, or of one bucket of it, whose row has the terms of the whole. */
export function toDefinition(row: SaleRow): SaleDefinition {
  return {
    saleId: row.saleId,
    opensAt: row.opensAt,
    closesAt: row.closesAt,
    holdMs: row.holdSeconds * 1000,
    perBuyerLimit: row.perBuyerLimit,
    lineLimit: lineLimitOf(row),
    admissionPerSecond: row.admissionPerSecond === null ? null : row.admissionPerSecond / row.buckets,
    paymentStart: row.paymentStart,
    startBacklogLimit: Math.max(
      START_BACKLOG_MIN,
      Math.floor((row.holdSeconds * START_BACKLOG_SHARE * PAYMENT_STARTS_PER_SECOND) / row.buckets),
    ),
    items: row.items.map(({ sku, stock, unitPrice, currency }) => ({ sku, stock, unitPrice, currency })),
  };
}

/** Sales are spread over the partitions by their id's own hash. */
function spread(text: string): number {
  return Number.parseInt(fingerprint([text]).slice(0, 4), 36) % PARTITIONS;
}

/** Without what tells of buckets. */
function newSaleId(by: { userId: string; key: string | undefined }): string {
  if (by.key === undefined) return randomId('sale', spread(randomId('sale')));
  return hashedId('sale', spread(`${by.userId} ${by.key}`), [by.userId, by.key]);
}

/** Whether the stored sale is what this request asks for: the same key with another body is refused. */
function isSameSale(row: SaleRow, input: CreateSale): boolean {
  const shape = (sale: Omit<SaleRow, 'items'> | Omit<CreateSale, 'items'>, items: CreateSale['items']): string =>
    JSON.stringify([
      sale.name,
      sale.opensAt,
      sale.closesAt,
      sale.holdSeconds,
      sale.perBuyerLimit,
      sale.lineLimit,
      sale.admissionPerSecond,
      sale.paymentStart,
      sale.buckets,
      items.map(({ sku, stock, unitPrice, currency }) => [sku, stock, unitPrice, currency]),
    ]);
  const whole = row.items.map((item) => ({ ...item, stock: item.totalStock }));
  return shape(row, whole) === shape(input, input.items);
}

export function createSales(dependencies: SalesDependencies): Sales {
  const { postgres, stock, clock, log } = dependencies;

  async function install(row: SaleRow): Promise<void> {
    await stock.createSale(toDefinition(row));
    await markInstalled(postgres, row.saleId);
  }

  /** Every bucket that Redis has not heard of; the one that the public knows last, so that it stands for all of them. */
  async function installAll(row: SaleRow): Promise<void> {
    const rows = row.buckets === 1 ? [row] : await findSales(postgres, bucketIds(row.saleId));
    for (const bucket of rows.sort((a, b) => (a.saleId === row.saleId ? 1 : 0) - (b.saleId === row.saleId ? 1 : 0))) {
      if (!bucket.isInstalled) await install(bucket);
    }
  }

  async function find(saleId: string): Promise<SaleRow> {
    const row = isSaleId(saleId) ? await findSale(postgres, publicSaleId(saleId)) : undefined;
    if (row === undefined) throw fault('SALE_NOT_FOUND', 'there is no such sale');
    return row;
  }

  async function get(saleId: string): Promise<LiveSale> {
    const [sale] = await enliven(dependencies, [await find(saleId)]);
    if (sale === undefined) throw fault('SALE_NOT_FOUND', 'there is no such sale');
    return sale;
  }

  /** The number of buckets is part of the id: another one under the same key would be another sale. */
  async function refuseOtherBuckets(plainId: string, saleId: string): Promise<void> {
    const others = Array.from({ length: PARTITIONS }, (_, i) => splitId(plainId, i + 1)).filter((id) => id !== saleId);
    const [other] = await findSales(postgres, others);
    if (other !== undefined) throw fault('KEY_REUSED', 'this key created another sale');
  }

  /** Inserts; waits for the close of a SKU's former sale, which reaches Postgres after Redis. */
  async function insert(saleId: string, input: CreateSale, userId: string): Promise<boolean> {
    for (let tries = 0; ; tries += 1) {
      const outcome = await insertSale(postgres, { ...input, saleId, createdBy: userId });
      if (outcome.kind !== 'sku_taken') return outcome.kind === 'inserted';
      const [owner] = outcome.saleId === '' ? [] : await stock.snapshot([outcome.saleId]);
      if (owner?.status !== 'CLOSED' || tries >= CLOSE_LAG_TRIES) {
        throw fault('SKU_IN_ANOTHER_SALE', `${outcome.sku} is in another sale that is not closed`, {
          members: { sku: outcome.sku, saleId: outcome.saleId },
        });
      }
      await sleep(CLOSE_LAG_PAUSE_MS);
    }
  }

  return {
    get,

    async create(input, by) {
      const plainId = newSaleId(by);
      const saleId = splitId(plainId, input.buckets);
      if (by.key !== undefined) await refuseOtherBuckets(plainId, saleId);
      const isPast = input.closesAt !== null && input.closesAt <= clock.now();
      if (isPast && (await findSale(postgres, saleId)) === undefined) {
        const fields = [{ field: 'closesAt', message: 'must be in the future' }];
        throw fault('VALIDATION_FAILED', 'not valid: closesAt', { fields });
      }
      const isNew = await insert(saleId, input, by.userId);
      const row = await find(saleId);
      if (!isNew && !isSameSale(row, input)) throw fault('KEY_REUSED', 'this key created another sale');
      await installAll(row);
      return { sale: await get(saleId), isNew };
    },

    async list(page) {
      return enliven(dependencies, await listSales(postgres, page));
    },

    async move(saleId, verb) {
      const row = await find(saleId);
      await installAll(row);
      for (const bucketId of bucketIds(row.saleId)) {
        const { outcome, status } = await stock.setSaleState(bucketId, verb);
        if (outcome === 'OK' || outcome === 'REPLAY') continue;
        // Redis forgets a sale a day after it closed; closing it once more is then a repetition too.
        if (outcome === 'SALE_NOT_FOUND' && row.status === 'CLOSED' && verb === 'close') continue;
        const now = status ?? row.status;
        throw fault('ILLEGAL_TRANSITION', `a sale that is ${now} cannot ${verb}`, { members: { saleStatus: now } });
      }
      return get(row.saleId);
    },

    async installMissing() {
      const rows = await notInstalled(postgres, INSTALL_PAGE, RESCUE_INTERVAL_MS);
      let refused: Error | undefined;
      for (const row of rows) {
        try {
          await install(row);
          log.warn({ saleId: row.saleId }, 'a sale that Redis had not heard of was installed');
        } catch (error) {
          // One that Redis refuses must not keep the others out; when Redis is away, all of them come again.
          if (!hasCode(error, 'INTERNAL')) throw error;
          refused ??= fault('INTERNAL', `${row.saleId} cannot be installed: ${error.detail}`, { cause: error });
        }
      }
      if (refused !== undefined) throw refused;
      return rows.length;
    },
  };
}
