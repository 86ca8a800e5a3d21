// What the tests of a rebuild stand on: a shop, sales with something of everything in them, and what can be seen of them before and
// after. It plants losses; it judges nothing but the books.
import { afterAll, beforeAll, expect } from 'vitest';
import { keys } from '../../actors/keys.ts';
import { systemClock } from '../../core/clock.ts';
import { createRebuild, type Rebuild } from '../../shop/admin/admin.ts';
import { createEpochRecord } from '../../shop/orders/orders.ts';
import { type AuditedShop, openAuditedShop } from './audited-shop.ts';
import { quietLog } from './outbox.ts';

export const fenced = { code: 'FENCED' };

export function useRebuildStand() {
  let shop: AuditedShop;
  let rebuild: Rebuild;

  beforeAll(async () => {
    shop = await openAuditedShop();
    const { postgres, redis } = shop.outbox;
    const queue = { addBulk: async () => undefined };
    rebuild = createRebuild({ postgres, redis, queue, clock: systemClock, log: quietLog, settleMs: 0 });
  });
  afterAll(() => shop.outbox.close());

  /** Of one SKU 4 paid, 5 held, one given back and 2 in line; of another both units paid by one buyer. */
  async function busySale() {
    const saleId = await shop.openSale({ [`A${Math.random()}`]: 8, [`B${Math.random()}`]: 2 }, { perBuyerLimit: 3 });
    const [snapshot] = await shop.outbox.stock.snapshot([saleId]);
    const [a = '', b = ''] = snapshot?.items.map(({ sku }) => sku) ?? [];
    const ids = await shop.buy(saleId, a, 12);
    const [other = ''] = await shop.buy(saleId, b, 1, 2);
    await shop.pay([...ids.slice(0, 4), other]);
    await shop.outbox.stock.mark([{ purchaseId: ids[5] ?? '', status: 'PAYMENT_PENDING' }]);
    await shop.outbox.stock.release([{ purchaseId: ids[6] ?? '', reason: 'BUYER' }]); // its unit goes to the 9th
    await shop.outbox.stock.restock({ saleId, sku: a, by: 1, operationId: `op-${saleId}`, reason: 'found one' });
    return { saleId, a, b, ids: [...ids, other] };
  }

  async function seen(saleId: string, ids: readonly string[]) {
    const [snapshot] = await shop.outbox.stock.snapshot([saleId]);
    const views = await shop.outbox.stock.look(ids);
    return {
      status: snapshot?.status,
      counts: snapshot?.items.map((counters) => ({ ...counters, version: 0 })),
      purchases: views.map((view) => {
        if (view === undefined) return undefined;
        // Newer than whatever was told before, and the same otherwise.
        const { counters: _, estimatedWaitSeconds: __, version: ___, ...purchase } = view;
        return purchase;
      }),
    };
  }

  async function expectAgreement(): Promise<void> {
    const report = await shop.audit();
    expect(report.differences).toEqual([]);
    expect(report.ok).toBe(true);
  }

  /** Somebody deletes entries of the outbox, and a rebuild drains what is left: it is in Postgres, they are nowhere. */
  async function loseAllButTheLast(): Promise<void> {
    const { redis } = shop.outbox;
    const entries = await shop.outbox.read(shop.partition);
    await redis.xdel(keys.outbox(shop.partition), ...entries.slice(0, -1));
    await shop.outbox.apply()({ partition: shop.partition, entryIds: entries.slice(-1) });
  }

  return {
    ...{ busySale, seen, expectAgreement, loseAllButTheLast },
    get shop() {
      return shop;
    },
    get rebuild() {
      return rebuild;
    },
    attach: () => shop.outbox.stock.attach(createEpochRecord(shop.outbox.postgres)),
  };
}
