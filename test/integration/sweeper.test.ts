// The sweeper by the real clock: holds end, lines move and sales open without anybody asking.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newPurchaseId } from '../../actors/purchase-ids.ts';
import { createAgenda } from '../../actors/agenda.ts';
import { createHoldSweeper, type HoldSweeper } from '../../actors/hold-sweeper.ts';
import { keys } from '../../actors/keys.ts';
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import { systemClock } from '../../core/clock.ts';
import { createLog } from '../../core/log.ts';
import { openTestRedis, type TestRedis } from '../support/stack.ts';
import { createEpochRecord, saleOf } from '../support/stock.ts';

const log = createLog({ logLevel: 'silent' }, 'test');
/** That no sweeper sweeps. */
const OTHER_PARTITION = 99;
let testRedis: TestRedis;
let stock: StockStore;
let sweepers: HoldSweeper[];

beforeAll(async () => {
  testRedis = await openTestRedis();
  stock = createStockStore({ redis: testRedis.redis });
  // Two of them, as in two processes; they begin before the store is attached.
  sweepers = [
    createHoldSweeper({
      stock,
      clock: systemClock,
      log,
      findDue: createAgenda({ redis: testRedis.redis, redisUrl: testRedis.url }),
    }),
    createHoldSweeper({
      stock,
      clock: systemClock,
      log,
      findDue: createAgenda({ redis: testRedis.redis, redisUrl: testRedis.url }),
    }),
  ];
  for (const sweeper of sweepers) sweeper.start();
  await stock.attach(createEpochRecord());
});
afterAll(async () => {
  await Promise.all(sweepers.map((sweeper) => sweeper.stop()));
  await testRedis.close();
});

async function buy(saleId: string, buyer: string): Promise<string> {
  const purchaseId = newPurchaseId(saleId, buyer);
  await stock.reserve(saleId, 'SHIRT', [{ purchaseId, buyer, quantity: 1, fingerprint: 'f' }]);
  return purchaseId;
}
const becomes = (purchaseId: string, status: string) =>
  expect.poll(async () => (await stock.look([purchaseId]))[0]?.status, { timeout: 30_000, interval: 50 }).toBe(status);

describe('the sweeper', () => {
  it('ends a hold, and the next in line gets it', async () => {
    const sale = saleOf({ stock: 1, holdMs: 300 });
    await stock.createSale(sale);
    const [one, two] = [await buy(sale.saleId, 'u_1'), await buy(sale.saleId, 'u_2')];
    await becomes(one, 'EXPIRED');
    await becomes(two, 'EXPIRED');
    const [first, second] = await stock.look([one, two]);
    expect(second?.hadHold).toBe(true);
    expect(second?.expiresAt).toBeGreaterThan(first?.expiresAt ?? 0);
  });

  it('opens a sale at its time, admits its room, and closes it', async () => {
    const opensAt = systemClock.now() + 400;
    const sale = saleOf({ stock: 1, holdMs: 600_000, startNow: false, opensAt, closesAt: opensAt + 600 });
    await stock.createSale(sale);
    const [one, two] = [await buy(sale.saleId, 'u_1'), await buy(sale.saleId, 'u_2')];
    await becomes(one, 'RESERVED');
    await becomes(two, 'CANCELLED');
    expect((await stock.snapshot([sale.saleId]))[0]?.status).toBe('CLOSED');
  });

  it('is told by the agenda where something is due, by the clock of Redis', async () => {
    const findDue = createAgenda({ redis: testRedis.redis, redisUrl: testRedis.url });
    const agendas = keys.agendas(OTHER_PARTITION);
    const partitions = [OTHER_PARTITION - 1, OTHER_PARTITION, OTHER_PARTITION + 1];
    expect(agendas).toHaveLength(3);
    for (const agenda of agendas) {
      await testRedis.redis.zadd(agenda, systemClock.now() + 3_600_000, 'later');
      expect(await findDue?.(partitions)).toEqual(new Set());
      await testRedis.redis.zadd(agenda, systemClock.now() - 1, 'sale_x sku');
      expect(await findDue?.(partitions)).toEqual(new Set([OTHER_PARTITION]));
      await testRedis.redis.set(agenda, 'no sorted set');
      expect(await findDue?.(partitions)).toEqual(new Set([OTHER_PARTITION]));
      await testRedis.redis.del(agenda);
      expect(await findDue?.(partitions)).toEqual(new Set());
    }
    expect(createAgenda({ redis: testRedis.redis, redisUrl: 'redis://a:1,redis://b:1' })).toBeUndefined();
  });

  it('admits a throttled line at its pace', async () => {
    const sale = saleOf({ stock: 10, holdMs: 600_000, admissionPerSecond: 10 });
    await stock.createSale(sale);
    const ids = await Promise.all(['u_1', 'u_2', 'u_3'].map((buyer) => buy(sale.saleId, buyer)));
    for (const id of ids) await becomes(id, 'RESERVED');
  });
});
