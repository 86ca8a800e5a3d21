// Sales: defined in Postgres, lived in Redis. Creating writes the definition first and then installs it in Redis, so that
// what a crash leaves between the two is found by `installMissing`. Counts are Redis' while it knows the sale, else the ledger's.
import type { SaleStatus, SkuCounters } from '../../actors/records.ts';
import type { SkuBlock } from '../../actors/block-verbs.ts';
import type { SaleDefinition, SaleSnapshot } from '../../actors/sale-verbs.ts';
import type { StockStore } from '../../actors/stock-store.ts';
import { type Clock, sleep } from '../../core/clock.ts';
import { PARTITIONS, PAYMENT_STARTS_PER_SECOND, RESCUE_INTERVAL_MS } from '../../core/constants.ts';
import { fault, hasCode } from '../../core/errors.ts';
import { fingerprint, hashedId, randomId } from '../../core/ids.ts';
import type { Log } from '../../core/log.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import { insertSale } from './insert-store.ts';
import { sumLedger } from './purchase-store.ts';
import { findSale, listSales, markInstalled, notInstalled, type SaleRow } from './store.ts';
import { type CreateSale, isSaleId } from './wire.ts';

export { isHolding, isLiving } from './purchase-states.ts';
export { listPurchases } from './purchase-store.ts';
export type { Purchases } from './purchases.ts';
export { findSales, type SaleRow } from './store.ts';
export { instantSchema, isSaleId, printable, saleIdSchema, saleStatusSchema, skuSchema, toLine } from './wire.ts';
export { orderIdOf, type PurchaseReply, toPurchaseReply } from './wire-purchase.ts';

export type SkuCounts = Pick<SkuCounters, 'loaded' | 'available' | 'held' | 'sold' | 'waiting'>;

/** A sale as it is now. */
export interface LiveSale {
  row: SaleRow;
  status: SaleStatus;
  counts: ReadonlyMap<string, SkuCounts>;
  /** SKUs that are stopped though their sale may go on. */
  blocks: ReadonlyMap<string, SkuBlock>;
}

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

export function toDefinition(row: SaleRow): SaleDefinition {
  return {
    saleId: row.saleId,
    opensAt: row.opensAt,
    closesAt: row.closesAt,
    holdMs: row.holdSeconds * 1000,
    perBuyerLimit: row.perBuyerLimit,
    lineLimit: row.lineLimit,
    admissionPerSecond: row.admissionPerSecond,
    paymentStart: row.paymentStart,
    startBacklogLimit: Math.max(
      START_BACKLOG_MIN,
      Math.floor(row.holdSeconds * START_BACKLOG_SHARE * PAYMENT_STARTS_PER_SECOND),
    ),
    items: row.items.map(({ sku, stock, unitPrice, currency }) => ({ sku, stock, unitPrice, currency })),
  };
}

/** Sales are spread over the partitions by their id's own hash. */
function spread(text: string): number {
  return Number.parseInt(fingerprint([text]).slice(0, 4), 36) % PARTITIONS;
}

function newSaleId(by: { userId: string; key: string | undefined }): string {
  if (by.key === undefined) return randomId('sale', spread(randomId('sale')));
  return hashedId('sale', spread(`${by.userId} ${by.key}`), [by.userId, by.key]);
}

/** Whether the stored sale is what this request asks for: the same key with another body is refused. */
function isSameSale(row: SaleRow, input: CreateSale): boolean {
  const shape = (sale: SaleRow | CreateSale): string =>
    JSON.stringify([
      sale.name,
      sale.opensAt,
      sale.closesAt,
      sale.holdSeconds,
      sale.perBuyerLimit,
      sale.lineLimit,
      sale.admissionPerSecond,
      sale.paymentStart,
      sale.items.map(({ sku, stock, unitPrice, currency }) => [sku, stock, unitPrice, currency]),
    ]);
  return shape(row) === shape(input);
}

const NO_BLOCKS: LiveSale['blocks'] = new Map();

function liveFromRedis(row: SaleRow, snapshot: SaleSnapshot, blocks: LiveSale['blocks']): LiveSale {
  return { row, status: snapshot.status, counts: new Map(snapshot.items.map((item) => [item.sku, item])), blocks };
}

/** The counts of an open sale show by themselves that a SKU of it is stopped; a sale that is not open hides it. */
const mayBeBlocked = ({ status, items }: SaleSnapshot): boolean =>
  status === 'OPEN' ? items.some((item) => item.saleStatus === 'PAUSED') : status !== 'CLOSED';

export function createSales(dependencies: SalesDependencies): Sales {
  const { postgres, stock, clock, log } = dependencies;

  async function install(row: SaleRow): Promise<void> {
    await stock.createSale(toDefinition(row));
    await markInstalled(postgres, row.saleId);
  }

  /** Adds what is known now; one call each to Redis and, for what it has forgotten, to the ledger. */
  async function enliven(rows: readonly SaleRow[]): Promise<LiveSale[]> {
    if (rows.length === 0) return [];
    const snapshots = await stock.snapshot(rows.map((row) => row.saleId));
    const forgotten = rows.filter((row, i) => snapshots[i] === undefined && row.isInstalled);
    const ledger =
      forgotten.length === 0
        ? []
        : await sumLedger(
            postgres,
            forgotten.map((row) => row.saleId),
          );
    // Of a page of sales, those that are not open would cost a call each, for what hardly ever is.
    const isAsked = (snapshot: SaleSnapshot): boolean =>
      mayBeBlocked(snapshot) && (rows.length === 1 || snapshot.status === 'OPEN');
    const sales = rows.map(async (row, i): Promise<LiveSale> => {
      const snapshot = snapshots[i];
      if (snapshot !== undefined) {
        const blocks = isAsked(snapshot) ? await stock.blocksOf(row.saleId) : [];
        return liveFromRedis(row, snapshot, new Map(blocks.map((block) => [block.sku, block])));
      }
      const counts = ledger.filter((item) => item.saleId === row.saleId);
      return { row, status: row.status, counts: new Map(counts.map((item) => [item.sku, item])), blocks: NO_BLOCKS };
    });
    return Promise.all(sales);
  }

  async function find(saleId: string): Promise<SaleRow> {
    const row = isSaleId(saleId) ? await findSale(postgres, saleId) : undefined;
    if (row === undefined) throw fault('SALE_NOT_FOUND', 'there is no such sale');
    return row;
  }

  async function get(saleId: string): Promise<LiveSale> {
    const [sale] = await enliven([await find(saleId)]);
    if (sale === undefined) throw fault('SALE_NOT_FOUND', 'there is no such sale');
    return sale;
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
      const saleId = newSaleId(by);
      const isPast = input.closesAt !== null && input.closesAt <= clock.now();
      if (isPast && (await findSale(postgres, saleId)) === undefined) {
        const fields = [{ field: 'closesAt', message: 'must be in the future' }];
        throw fault('VALIDATION_FAILED', 'not valid: closesAt', { fields });
      }
      const isNew = await insert(saleId, input, by.userId);
      const row = await find(saleId);
      if (!isNew && !isSameSale(row, input)) throw fault('KEY_REUSED', 'this key created another sale');
      if (!row.isInstalled) await install(row);
      return { sale: await get(saleId), isNew };
    },

    async list(page) {
      return enliven(await listSales(postgres, page));
    },

    async move(saleId, verb) {
      const row = await find(saleId);
      if (!row.isInstalled) await install(row);
      const { outcome, status } = await stock.setSaleState(saleId, verb);
      if (outcome === 'OK' || outcome === 'REPLAY') return get(saleId);
      // Redis forgets a sale a day after it closed; closing it once more is then a repetition too.
      if (outcome === 'SALE_NOT_FOUND' && row.status === 'CLOSED' && verb === 'close') return get(saleId);
      const now = status ?? row.status;
      throw fault('ILLEGAL_TRANSITION', `a sale that is ${now} cannot ${verb}`, { members: { saleStatus: now } });
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
