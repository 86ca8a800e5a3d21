// What the authorisation matrix asks about: a running shop with a sale, and purchases, orders, holds and payments of one
// buyer, made through the API and the real relay, and everybody who may ask about them.
import { unownedPurchaseId } from '../../actors/purchase-ids.ts';
import { createStockStore } from '../../actors/stock-store.ts';
import { sleep, systemClock } from '../../core/clock.ts';
import { randomId } from '../../core/ids.ts';
import { connectRedis } from '../../core/redis/redis.ts';
import { openJobQueues, runJobQueues } from '../../shop/job-queues.ts';
import { createEpochRecord, createOrderJobs, createSaleTerms } from '../../shop/orders/orders.ts';
import { createRelay } from '../../workers/relay.ts';
import { openSale, quietLog, startTestApi, type TestApi, tokenOf } from './api.ts';

export const ASKERS = ['none', 'forged', 'expired', 'owner', 'other', 'admin', 'internal'] as const;
export type Asker = (typeof ASKERS)[number];

/** What a path or a body may name. */
export interface Things {
  saleId: string;
  sku: string;
  purchaseId: string;
  orderId: string;
  paymentId: string;
  /** A hold of /inventory/reserve. */
  holdId: string;
}

export interface MatrixWorld {
  readonly api: TestApi;
  tokenOf(asker: Asker): Promise<string | undefined>;
  /** The owner's, fresh. `isPaid`: the order is confirmed and in Postgres, with its payment. */
  make(options?: { isPaid?: boolean }): Promise<Things>;
  /** Nobody's: of the same form, and never made. */
  missing(): Things;
  close(): Promise<void>;
}

export async function openMatrixWorld(): Promise<MatrixWorld> {
  const api = await startTestApi(undefined, { trustedProxies: ['127.0.0.1'] });
  await api.api.attached;
  const { postgres } = api.database;
  const { redis, url } = api.testRedis;
  const stock = createStockStore({ redis });
  await stock.attach(createEpochRecord(postgres));
  const queue = openJobQueues(url);
  const deps = { postgres, redis, stock, queue, terms: createSaleTerms(postgres), clock: systemClock, log: quietLog };
  const nothing = async () => undefined;
  const payments = { 'payment.start': nothing, 'payment.cancel': nothing, 'payment.refund': nothing };
  const runner = runJobQueues(url, { ...createOrderJobs(deps), ...payments }, { concurrency: 2, log: quietLog });
  const relay = createRelay({ redis: connectRedis(url, 'blocking'), queue, log: quietLog });
  relay.start();
  const [owner, other] = [randomId('u_owner'), randomId('u_other')];

  async function waitForOrder(orderId: string): Promise<void> {
    for (;;) {
      const { rows } = await postgres.query('SELECT 1 FROM orders WHERE order_id = $1 AND status = $2', [
        orderId,
        'CONFIRMED',
      ]);
      if (rows.length > 0) return;
      await sleep(5);
    }
  }

  async function pay(purchaseId: string): Promise<void> {
    await stock.confirm([{ purchaseId, paymentRef: `pi_${purchaseId}` }]);
    await waitForOrder(`ord_${purchaseId.slice(4)}`);
    await postgres.query(
      `INSERT INTO payments (payment_id, purchase_id, order_id, provider_payment_id, attempt, amount, currency, status)
       VALUES ('pay_' || $1, 'pur_' || $1, 'ord_' || $1, 'pi_' || $1, 1, 49950, 'INR', 'succeeded')`,
      [purchaseId.slice(4)],
    );
  }

  return {
    api,
    async tokenOf(asker) {
      if (asker === 'none') return undefined;
      if (asker === 'forged') return `${await tokenOf(owner)}x`;
      if (asker === 'expired') return tokenOf(owner, 'USER', -60);
      if (asker === 'owner') return tokenOf(owner);
      if (asker === 'other') return tokenOf(other);
      return asker === 'admin' ? tokenOf('u_operator', 'ADMIN') : tokenOf('u_service', 'INTERNAL');
    },
    async make({ isPaid = false } = {}) {
      const { saleId, sku } = await openSale(api, { stock: 100, perBuyerLimit: 50 });
      const [token, internal] = [await tokenOf(owner), await tokenOf('u_service', 'INTERNAL')];
      const bought = await api.call('POST', `/api/v1/sales/${saleId}/purchases`, { token, body: { sku } });
      const { purchaseId } = bought.body;
      const holdId = randomId('hold');
      const body = { orderId: holdId, items: [{ sku, quantity: 1 }] };
      await api.call('POST', '/api/v1/inventory/reserve', { token: internal, body });
      if (isPaid) await pay(purchaseId);
      const id = purchaseId.slice(4);
      return { saleId, sku, purchaseId, orderId: `ord_${id}`, paymentId: `pay_${id}`, holdId };
    },
    missing() {
      const id = unownedPurchaseId(3).slice(4);
      return {
        saleId: randomId('sale', 3),
        sku: 'NEVER-SOLD',
        purchaseId: `pur_${id}`,
        orderId: `ord_${id}`,
        paymentId: `pay_${id}`,
        holdId: randomId('hold'),
      };
    },
    async close() {
      await relay.stop();
      await runner.close();
      await queue.close();
      await api.close();
    },
  };
}
