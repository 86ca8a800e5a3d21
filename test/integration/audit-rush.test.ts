// A rush over the public API, with real workers and payments, audited again and again while it is in full swing: whatever
// moves between the pages and the stores, nothing is found, and nobody's sale is stopped.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sleep, systemClock } from '../../core/clock.ts';
import { createOnlineAudit } from '../../shop/admin/admin.ts';
import { listChecks } from '../../shop/admin/audit-store.ts';
import { listFindings } from '../../shop/admin/finding-store.ts';
import { openSale, tokenOf } from '../support/api.ts';
import { type Door, type LiveShop, startLiveShop } from '../support/live-shop.ts';
import { quietLog } from '../support/outbox.ts';
import { sdkFor } from '../support/payments.ts';

const BUYERS = 2_000;
const STOCK = 1_000;

let shop: LiveShop;
beforeAll(async () => {
  shop = await startLiveShop();
});
afterAll(() => shop?.close());

/** One buyer: buys, and may give it back. Answers how the purchase was answered. */
async function visit(door: Door, sale: { saleId: string; sku: string }, nth: number): Promise<string> {
  const token = await tokenOf(`u_rush_${nth}`);
  const body = { sku: sale.sku, quantity: 1 };
  const bought = await door.call('POST', `/api/v1/sales/${sale.saleId}/purchases`, { token, body });
  const purchaseId = bought.body?.purchaseId;
  if (typeof purchaseId !== 'string') return `${bought.status} ${bought.body?.code}`;
  if (nth % 5 === 0) await door.call('DELETE', `/api/v1/purchases/${purchaseId}`, { token });
  return String(bought.status);
}

/** Two of three who may pay do so at once, the others never will. Answers how many were taken at their word. */
async function payMany({ sandbox, database }: LiveShop): Promise<number> {
  const stripe = sdkFor(sandbox.url, 'sk_test_live_shop');
  const { rows } = await database.postgres.query<{ id: string }>(
    `SELECT provider_payment_id AS id FROM payments
      WHERE status = 'requires_payment_method' AND hashtext(purchase_id) % 3 <> 0 ORDER BY created_at LIMIT 50`,
  );
  const paid = rows.map(({ id }) => stripe.paymentIntents.confirm(id, { payment_method: 'pm_card_visa' }));
  return (await Promise.allSettled(paid)).filter(({ status }) => status === 'fulfilled').length;
}

it('gives no false alarm while thousands buy, pay, give back and let their holds end', async () => {
  const { postgres } = shop.database;
  const [door] = shop.doors;
  if (door === undefined) throw new Error('no API');
  const { saleId, sku } = await openSale(door, { stock: STOCK, holdSeconds: 2, paymentStart: 'eager' });
  const audit = createOnlineAudit({
    postgres,
    redis: shop.testRedis.redis,
    redisUrl: shop.testRedis.url,
    stock: shop.stock,
    clock: systemClock,
    log: quietLog,
    pace: { slicesPerSecond: 1_000, timeShare: 0.5, confirmPauseMs: 50 },
  });
  // The shop's own worker audits too, at its own pace; here it is done as fast as it goes.
  await postgres.query("UPDATE audit_leases SET until = now() - interval '1 second'");
  let isOver = false;
  const states: string[] = [];
  const auditing = (async () => {
    while (!isOver) {
      await Promise.all([audit.round(), audit.look()]);
      const [check] = await listChecks(postgres, saleId);
      states.push(`${check?.state} ${check?.position}`);
    }
  })();
  const outcomes = new Map<string, number>();
  let next = 0;
  let paid = 0;
  const walkers = Array.from({ length: 40 }, async () => {
    for (let nth = next++; nth < BUYERS; nth = next++) {
      const outcome = await visit(door, { saleId, sku }, nth);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  });
  const paying = (async () => {
    while (next < BUYERS || paid < 50) {
      paid += await payMany(shop);
      await sleep(20);
    }
  })();
  await Promise.all([...walkers, paying]);
  isOver = true;
  await auditing;
  await audit.round();
  await audit.stop();

  const open = await listFindings(postgres, saleId);
  expect(open.map(({ code, message }) => `${code} ${message}`)).toEqual([]);
  expect(await shop.stock.blocksOf(saleId)).toEqual([]);
  // It was moving: the checks that came to an end did so at many positions.
  const positions = new Set(states.filter((state) => state.startsWith('AGREES')));
  expect(positions.size).toBeGreaterThan(1);
  const [check] = await listChecks(postgres, saleId);
  expect(check?.state).toBe('AGREES');
  expect(check?.sums?.['redis']?.['lastTicket']).toBeGreaterThan(500);
}, 180_000);
