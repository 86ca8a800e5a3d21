// Orders over HTTP, from the answer of a purchase to its refund, with the outbox applied by a real relay and queue. The
// jobs of payments are only written down here: what they do is payments' own test.
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import { systemClock } from '../../core/clock.ts';
import { connectRedis } from '../../core/redis/redis.ts';
import { openJobQueues, runJobQueues } from '../../shop/job-queues.ts';
import { createEpochRecord, createOrderJobs, createOrders, createSaleTerms } from '../../shop/orders/orders.ts';
import { takeBack } from '../../shop/orders/taken-back-store.ts';
import { createRelay, type Relay } from '../../workers/relay.ts';
import { newBuyer, openSale, quietLog, startTestApi, type TestApi, tokenOf } from '../support/api.ts';

let t: TestApi;
let stock: StockStore;
let relay: Relay;
let queue: ReturnType<typeof openJobQueues>;
let runner: { close(): Promise<void> };
const refunds: string[] = [];

beforeAll(async () => {
  t = await startTestApi();
  await t.api.attached;
  const { postgres } = t.database;
  const { redis, url } = t.testRedis;
  stock = createStockStore({ redis });
  await stock.attach(createEpochRecord(postgres));
  queue = openJobQueues(url);
  const deps = { postgres, redis, stock, queue, terms: createSaleTerms(postgres), clock: systemClock, log: quietLog };
  const handlers = {
    ...createOrderJobs(deps),
    'payment.start': async () => undefined,
    'payment.cancel': async () => undefined,
    'payment.refund': async ({ keys }: { keys: string[] }) => void refunds.push(...keys),
  };
  runner = runJobQueues(url, handlers, { concurrency: 2, log: quietLog });
  relay = createRelay({ redis: connectRedis(url, 'blocking'), queue, log: quietLog });
});
afterAll(async () => {
  await relay.stop();
  await runner.close();
  await queue.close();
  await t.close();
});
beforeEach(() => {
  refunds.length = 0;
});

type Buyer = Awaited<ReturnType<typeof newBuyer>>;
interface Bought {
  purchaseId: string;
  orderId: string;
  saleId: string;
}

async function buy(buyer: Buyer, sale?: { saleId: string; sku: string }): Promise<Bought> {
  const { saleId, sku } = sale ?? (await openSale(t));
  const answer = await t.call('POST', `/api/v1/sales/${saleId}/purchases`, { token: buyer.token, body: { sku } });
  expect(answer.status).toBe(201);
  return { ...answer.body, saleId };
}
const pay = ({ purchaseId }: Bought) => stock.confirm([{ purchaseId, paymentRef: 'pi_1' }]);
const read = (orderId: string, token: string) => t.call('GET', `/api/v1/orders/${orderId}`, { token });
const cancel = (orderId: string, token: string) => t.call('POST', `/api/v1/orders/${orderId}/cancel`, { token });
const refund = (orderId: string, token: string) => t.call('POST', `/api/v1/orders/${orderId}/refund`, { token });
const stored = async (orderId: string) =>
  (await t.database.postgres.query<{ status: string }>('SELECT status FROM orders WHERE order_id = $1', [orderId]))
    .rows[0]?.status;
const untilStored = (orderId: string, status: string) =>
  vi.waitFor(async () => expect(await stored(orderId)).toBe(status), { timeout: 20_000, interval: 10 });
const refundsOf = ({ purchaseId }: Bought) => refunds.filter((key) => key === purchaseId);
const statusIn = async ({ purchaseId }: Bought) => (await stock.look([purchaseId]))[0]?.status;

describe('orders', () => {
  it('can be read the moment the purchase is answered, and the same once they are written', async () => {
    const buyer = await newBuyer();
    const bought = await buy(buyer);
    const before = await read(bought.orderId, buyer.token);
    expect(await stored(bought.orderId)).toBeUndefined();
    expect(before.status).toBe(200);
    expect(before.body).toMatchObject({
      orderId: bought.orderId,
      userId: buyer.userId,
      status: 'CREATED',
      totalAmount: 499.5,
      items: [{ quantity: 1, unitPrice: 499.5, totalPrice: 499.5 }],
    });
    relay.start();
    await untilStored(bought.orderId, 'CREATED');
    expect((await read(bought.orderId, buyer.token)).body).toEqual(before.body);
  });

  it("are the caller's alone, whatever the id looks like", async () => {
    const [buyer, stranger] = [await newBuyer(), await newBuyer()];
    const bought = await buy(buyer);
    await untilStored(bought.orderId, 'CREATED');
    for (const id of [bought.orderId, 'ord_zz', 'x', '%F0%9F%A6%8A', `ord_${'9'.repeat(120)}`]) {
      expect((await read(id, stranger.token)).body).toMatchObject({ code: 'NOT_FOUND', status: 404 });
      expect((await cancel(id, stranger.token)).status).toBe(404);
    }
    expect((await read('a%00b', stranger.token)).status).toBeLessThan(500);
    expect((await read(bought.orderId, await tokenOf('u_admin', 'ADMIN'))).status).toBe(200);
    expect((await refund(bought.orderId, buyer.token)).status).toBe(403);
  });

  it('are listed newest first, page by page', async () => {
    const buyer = await newBuyer();
    const mine: string[] = [];
    for (let i = 0; i < 3; i++) {
      const { orderId } = await buy(buyer);
      await untilStored(orderId, 'CREATED');
      mine.unshift(orderId);
    }
    const first = await t.call('GET', '/api/v1/orders?limit=2', { token: buyer.token });
    const second = await t.call('GET', `/api/v1/orders?limit=2&after=${first.body.next}`, { token: buyer.token });
    expect([...first.body.items, ...second.body.items].map((order) => order.orderId)).toEqual(mine);
    expect(second.body.next).toBeNull();
    expect((await t.call('GET', '/api/v1/orders?limit=0', { token: buyer.token })).status).toBe(422);
  });

  it('that are not paid give their hold back, once', async () => {
    const buyer = await newBuyer();
    const bought = await buy(buyer);
    for (const _ of [1, 2])
      expect((await cancel(bought.orderId, buyer.token)).body).toMatchObject({ status: 'CANCELLED' });
    await untilStored(bought.orderId, 'CANCELLED');
    expect((await cancel(bought.orderId, buyer.token)).body).toMatchObject({ status: 'CANCELLED' });
    expect(await statusIn(bought)).toBe('CANCELLED');
    expect((await refund(bought.orderId, await tokenOf('u_admin', 'ADMIN'))).status).toBe(409);
    expect(refunds).not.toContain(bought.purchaseId);
  });

  it('that are paid give their unit to the next in line, and the money back', async () => {
    const [buyer, next] = [await newBuyer(), await newBuyer()];
    const sale = await openSale(t, { stock: 1 });
    const bought = await buy(buyer, sale);
    const waiting = await t.call('POST', `/api/v1/sales/${sale.saleId}/purchases`, {
      token: next.token,
      body: { sku: sale.sku },
    });
    expect(waiting.status).toBe(202);
    await pay(bought);
    await untilStored(bought.orderId, 'CONFIRMED');
    expect((await cancel(bought.orderId, buyer.token)).body).toMatchObject({ status: 'REFUNDED' });
    expect((await cancel(bought.orderId, buyer.token)).status).toBe(200);
    await untilStored(bought.orderId, 'REFUNDED');
    await vi.waitFor(() => expect(refundsOf(bought)).toHaveLength(1), { timeout: 20_000 });
    // Sold out by then: who waited was told so. A newcomer gets the unit.
    expect((await buy(await newBuyer(), sale)).orderId).toMatch(/^ord_/);
  });

  it('that were paid a moment ago are cancelled as paid ones', async () => {
    const buyer = await newBuyer();
    const bought = await buy(buyer);
    await untilStored(bought.orderId, 'CREATED');
    await t.database.postgres.query('UPDATE purchases SET version = 1000 WHERE purchase_id = $1', [bought.purchaseId]);
    await pay(bought); // which Postgres does not get to hear
    expect((await cancel(bought.orderId, buyer.token)).body).toMatchObject({ status: 'REFUNDED' });
    await vi.waitFor(() => expect(refundsOf(bought)).toHaveLength(1), { timeout: 20_000 });
  });

  /** As a process leaves it that dies between Postgres and Redis. */
  async function takeBackHalfway(): Promise<Bought> {
    const bought = await buy(await newBuyer());
    await pay(bought);
    await untilStored(bought.orderId, 'CONFIRMED');
    expect(await takeBack(t.database.postgres, bought.purchaseId, 'CONFIRMED')).toBe(true);
    expect(await statusIn(bought)).toBe('CONFIRMED');
    return bought;
  }

  it('that were claimed and then left by a crash are finished by the next attempt', async () => {
    const bought = await takeBackHalfway();
    expect((await refund(bought.orderId, await tokenOf('u_admin', 'ADMIN'))).body).toMatchObject({
      status: 'REFUNDED',
    });
    await untilStored(bought.orderId, 'REFUNDED');
  });

  it('that were claimed and then left by a crash are finished though nobody asks again', async () => {
    const bought = await takeBackHalfway();
    const orders = createOrders({ postgres: t.database.postgres, stock });
    // Who took it back may still be at it.
    expect(await orders.finishTakenBack()).toBe(0);
    expect(await statusIn(bought)).toBe('CONFIRMED');
    expect(await orders.finishTakenBack({ minAgeMs: 0 })).toBeGreaterThan(0);
    expect(await statusIn(bought)).toBe('REFUNDED');
    await untilStored(bought.orderId, 'REFUNDED');
    await vi.waitFor(() => expect(refundsOf(bought)).toHaveLength(1), { timeout: 20_000 });
    expect(await orders.finishTakenBack({ minAgeMs: 0 })).toBe(0);
  });

  it('that were left by a crash longer than Redis remembers their sale get their money back all the same', async () => {
    const bought = await takeBackHalfway();
    const forgetful: Pick<StockStore, 'look' | 'release' | 'releaseOrder'> = {
      ...stock,
      look: async (ids) => ids.map(() => undefined),
    };
    const orders = createOrders({ postgres: t.database.postgres, stock: forgetful, queue });
    expect(await orders.finishTakenBack({ minAgeMs: 0 })).toBe(1);
    expect(await stored(bought.orderId)).toBe('REFUNDED');
    await vi.waitFor(() => expect(refundsOf(bought)).toHaveLength(1), { timeout: 20_000 });
    expect(await orders.finishTakenBack({ minAgeMs: 0 })).toBe(0);
  });

  it('that are refunded stay so for whoever asks again before Postgres has heard of it', async () => {
    const buyer = await newBuyer();
    const bought = await buy(buyer);
    await pay(bought);
    await untilStored(bought.orderId, 'CONFIRMED');
    await t.database.postgres.query('UPDATE purchases SET version = 1000 WHERE purchase_id = $1', [bought.purchaseId]);
    const admin = await tokenOf('u_admin', 'ADMIN');
    for (const _ of [1, 2]) expect((await refund(bought.orderId, admin)).body).toMatchObject({ status: 'REFUNDED' });
    expect((await cancel(bought.orderId, buyer.token)).body).toMatchObject({ status: 'REFUNDED' });
    expect(await stored(bought.orderId)).toBe('CANCELLED');
    // Refunds of the tests before may still come in; this purchase's comes once.
    await vi.waitFor(() => expect(refundsOf(bought)).toHaveLength(1), { timeout: 20_000 });
  });

  it('that are shipped stay sold', async () => {
    const buyer = await newBuyer();
    const bought = await buy(buyer);
    await pay(bought);
    await untilStored(bought.orderId, 'CONFIRMED');
    const orders = createOrders({ postgres: t.database.postgres, stock });
    await orders.move(bought.orderId, 'PACKED');
    await orders.move(bought.orderId, 'SHIPPED');
    await expect(orders.move(bought.orderId, 'PACKED')).rejects.toMatchObject({ code: 'ILLEGAL_TRANSITION' });
    const answer = await cancel(bought.orderId, buyer.token);
    expect([answer.status, answer.body.code]).toEqual([409, 'ILLEGAL_TRANSITION']);
    expect(await statusIn(bought)).toBe('CONFIRMED');
    expect(refunds).not.toContain(bought.purchaseId);
  });
});
