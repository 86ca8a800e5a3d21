// A small shop at rest, whose books are in order: a sale of two SKUs in a real Redis and a real Postgres, with purchases
// that are paid, held, waiting, cancelled, sold out, refunded. Tests of the audit plant one difference at a time.
import { newPurchaseId } from '../../actors/purchase-ids.ts';
import type { ReserveItem } from '../../actors/stock-store.ts';
import { systemClock } from '../../core/clock.ts';
import { randomId } from '../../core/ids.ts';
import { insertSale } from '../../shop/sales/insert-store.ts';
import { markInstalled } from '../../shop/sales/store.ts';
import { type AuditReport, type AuditStep, runAudit } from '../../shop/admin/admin.ts';
import { openTestOutbox, type TestOutbox } from './outbox.ts';

export const PRICE = 49_900;

export interface AuditedShop {
  readonly outbox: TestOutbox;
  readonly partition: number;
  /** A new sale, open, with the given stock of each SKU. */
  openSale(stock: Record<string, number>, terms?: { perBuyerLimit?: number; holdMs?: number }): Promise<string>;
  /** Purchases in this order, one buyer each. Returns their ids. */
  buy(saleId: string, sku: string, count: number, quantity?: number): Promise<string[]>;
  /** What the settlement of a payment writes: the purchase is confirmed, the payment succeeded. */
  pay(purchaseIds: readonly string[]): Promise<void>;
  /** Everything in the outbox goes to Postgres. */
  relay(): Promise<void>;
  audit(
    saleId?: string,
    options?: { relayPatienceMs?: number; onStep?: (step: AuditStep) => void },
  ): Promise<AuditReport>;
}

export async function openAuditedShop(): Promise<AuditedShop> {
  const outbox = await openTestOutbox();
  const { postgres, redis, stock } = outbox;
  const partition = 5;
  let buyers = 0;

  return {
    outbox,
    partition,
    async openSale(stockOf, { perBuyerLimit = 1, holdMs = 600_000 } = {}) {
      const saleId = randomId('sale', partition);
      const items = Object.entries(stockOf).map(([sku, units]) => ({
        sku,
        stock: units,
        unitPrice: PRICE,
        currency: 'INR',
      }));
      const terms = {
        opensAt: null,
        closesAt: null,
        perBuyerLimit,
        lineLimit: null,
        admissionPerSecond: null,
      } as const;
      const sale = {
        ...terms,
        saleId,
        name: 'Noon drop',
        holdSeconds: holdMs / 1000,
        paymentStart: 'eager',
        createdBy: 'u_admin',
        items,
      } as const;
      const inserted = await insertSale(postgres, sale);
      if (inserted.kind !== 'inserted') throw new Error(`the sale was not inserted: ${inserted.kind}`);
      await stock.createSale({
        ...terms,
        saleId,
        holdMs,
        paymentStart: 'eager',
        startBacklogLimit: 0,
        startNow: true,
        items,
      });
      await markInstalled(postgres, saleId);
      return saleId;
    },
    async buy(saleId, sku, count, quantity = 1) {
      const items = Array.from({ length: count }, (): ReserveItem => {
        buyers += 1;
        const buyer = `u_${buyers}`;
        return { purchaseId: newPurchaseId(saleId, buyer), buyer, quantity, fingerprint: 'f' };
      });
      for (let from = 0; from < items.length; from += 512) {
        const { outcomes } = await stock.reserve(saleId, sku, items.slice(from, from + 512));
        const refused = outcomes.find((outcome) => outcome.kind === 'refused');
        if (refused) throw new Error(`a purchase was refused: ${JSON.stringify(refused)}`);
      }
      return items.map((item) => item.purchaseId);
    },
    async pay(purchaseIds) {
      const answers = await stock.confirm(purchaseIds.map((purchaseId) => ({ purchaseId, paymentRef: 'pi_test' })));
      if (answers.some(({ decision }) => decision !== 'CONFIRMED')) throw new Error('a payment was not confirmed');
      await postgres.query(
        `INSERT INTO payments (payment_id, purchase_id, order_id, provider_payment_id, attempt, amount, currency, status)
         SELECT 'pay_' || substr(id, 5), id, 'ord_' || substr(id, 5), 'pi_' || substr(id, 5), 1, amount, 'INR', 'succeeded'
           FROM unnest($1::text[], $2::bigint[]) AS p (id, amount)`,
        [purchaseIds, answers.map(({ purchase }) => (purchase?.quantity ?? 0) * PRICE)],
      );
    },
    async relay() {
      const apply = outbox.apply();
      const entryIds = await outbox.read(partition);
      for (let from = 0; from < entryIds.length; from += 50) {
        await apply({ partition, entryIds: entryIds.slice(from, from + 50) });
      }
    },
    audit: (saleId, options = {}) =>
      runAudit(
        { postgres, redis, stock, clock: systemClock },
        { saleId, relayPatienceMs: 1_000, roundPauseMs: 50, ...options },
      ),
  };
}
