// What an operator has stopped stays stopped when Redis is lost and built again; what the operator lets go, sells.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { createRebuild } from '../../shop/admin/admin.ts';
import { createSkuBlocks } from '../../shop/admin/sku-blocks.ts';
import { createEpochRecord } from '../../shop/orders/orders.ts';
import { type AuditedShop, openAuditedShop } from '../support/audited-shop.ts';
import { quietLog } from '../support/outbox.ts';

let shop: AuditedShop;
beforeAll(async () => {
  shop = await openAuditedShop();
});
afterAll(() => shop.outbox.close());

async function loseRedis(): Promise<void> {
  const { postgres, redis, stock } = shop.outbox;
  await redis.flushall();
  const queue = { addBulk: async () => undefined };
  await createRebuild({ postgres, redis, queue, clock: systemClock, log: quietLog, settleMs: 0 }).run();
  await stock.attach(createEpochRecord(postgres));
}

it('is told again to a Redis that was built again', async () => {
  const { postgres, stock } = shop.outbox;
  const blocks = createSkuBlocks({ postgres, stock, log: quietLog });
  const [a, b] = [`A${Math.random()}`, `B${Math.random()}`];
  const saleId = await shop.openSale({ [a]: 5, [b]: 5 });
  await shop.relay();
  await blocks.block(saleId, a, { userId: 'u_op', note: 'torn seams' });
  await loseRedis();
  expect(await stock.blocksOf(saleId)).toMatchObject([{ sku: a, reason: 'OPERATOR', note: 'torn seams' }]);
  const wish = { purchaseId: 'pur_05blocked', buyer: 'u_b', quantity: 1, fingerprint: 'f' };
  expect((await stock.reserve(saleId, a, [wish])).outcomes).toMatchObject([{ code: 'SALE_PAUSED' }]);
  expect(await shop.buy(saleId, b, 1)).toHaveLength(1);

  await blocks.unblock(saleId, a, { userId: 'u_op' });
  await shop.relay();
  await loseRedis();
  expect(await stock.blocksOf(saleId)).toEqual([]);
  expect(await shop.buy(saleId, a, 1)).toHaveLength(1);
});
