// A Redis of a bench's own, durable as the real one, with a stock store on it and no workers: what is measured is what the
// scripts cost it. Nothing reads its outbox, so that is emptied, and called applied, where it would stand in the way.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keys } from '../actors/keys.ts';
import { unownedPurchaseId } from '../actors/purchase-ids.ts';
import { createStockStore, type ReserveItem, type StockStore } from '../actors/stock-store.ts';
import { RESERVE_BATCH_MAX } from '../core/constants.ts';
import { randomId } from '../core/ids.ts';
import { connectRedis, type Redis, whenReady } from '../core/redis/redis.ts';
import { startRedis } from '../core/services/redis.ts';
import { ensureRedis } from '../core/services/redis-binary.ts';

export const OWN_PARTITION = 3;
export const OWN_SKU = 'TSHIRT-RED-M';

export interface OwnRedis {
  readonly redis: Redis;
  readonly stock: StockStore;
  /** Processor time of the server itself, in µs; not that of a child that rewrites the append-only file. */
  processorUs(): Promise<number>;
  /** Bytes of data, the tables of the dictionaries included. */
  dataBytes(): Promise<number>;
  forgetOutbox(): Promise<void>;
  /** A sale with one SKU; not yet open: whoever comes waits in its room. */
  createSale(stock: number, isOpen: boolean): Promise<string>;
  /** Buyers nobody has seen before, 512 a call; answers how many got the status that was expected. */
  buy(saleId: string, count: number, status: 'RESERVED' | 'WAITING'): Promise<number>;
  close(): Promise<void>;
}

const READY_MS = 10_000;
const HOLD_MS = 3_600_000;
/** Far below OUTBOX_BACKLOG_MAX_RECORDS, and a small part of what is measured. */
const FORGET_EVERY_PURCHASES = 20_480;

/** Ids as the door makes them: of a buyer and of a purchase, 28 and 30 characters. */
export function newWishes(count: number): ReserveItem[] {
  return Array.from({ length: count }, () => ({
    ...{
      purchaseId: unownedPurchaseId(OWN_PARTITION),
      buyer: randomId('u'),
      quantity: 1,
      fingerprint: '0123456789abcdef',
    },
  }));
}

export async function openOwnRedis(say: (line: string) => void): Promise<OwnRedis> {
  const directory = mkdtempSync(join(tmpdir(), 'doorbuster-bench-redis-'));
  const args = ['--auto-aof-rewrite-percentage', '0'];
  const service = await startRedis({ program: await ensureRedis(say), directory, say, args });
  const redis = connectRedis(service.url, 'scripts');
  await whenReady(redis, READY_MS);
  const stock = createStockStore({ redis });
  await stock.attach({ read: async () => [], write: async () => undefined, witness: async () => undefined });

  async function numberOf(section: string, name: string): Promise<number> {
    return Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(await redis.info(section))?.[1]);
  }

  async function forgetOutbox(): Promise<void> {
    const fence = keys.fence(OWN_PARTITION);
    await redis.del(keys.outbox(OWN_PARTITION));
    await redis.hset(fence, 'applied', (await redis.hget(fence, 'seq')) ?? '0');
  }

  return {
    ...{ redis, stock, forgetOutbox },
    async processorUs() {
      return 1e6 * ((await numberOf('cpu', 'used_cpu_user')) + (await numberOf('cpu', 'used_cpu_sys')));
    },
    dataBytes: () => numberOf('memory', 'used_memory_dataset'),
    async createSale(units, isOpen) {
      const saleId = randomId('sale', OWN_PARTITION);
      const terms = {
        opensAt: isOpen ? null : Date.now() + HOLD_MS,
        closesAt: null,
        holdMs: HOLD_MS,
        perBuyerLimit: 1,
      };
      const items = [{ sku: OWN_SKU, stock: units, unitPrice: 49_900, currency: 'INR' }];
      const payments = { paymentStart: 'on_demand', startBacklogLimit: 0, admissionPerSecond: null } as const;
      await stock.createSale({ saleId, ...terms, ...payments, lineLimit: null, startNow: isOpen, items });
      return saleId;
    },
    async buy(saleId, count, status) {
      let answered = 0;
      for (let done = 0; done < count; done += RESERVE_BATCH_MAX) {
        if (done % FORGET_EVERY_PURCHASES === 0) await forgetOutbox();
        const wishes = newWishes(Math.min(RESERVE_BATCH_MAX, count - done));
        const { outcomes } = await stock.reserve(saleId, OWN_SKU, wishes);
        for (const o of outcomes) if (o.kind === 'purchase' && o.purchase.status === status) answered += 1;
      }
      await forgetOutbox();
      return answered;
    },
    async close() {
      redis.disconnect();
      await service.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
