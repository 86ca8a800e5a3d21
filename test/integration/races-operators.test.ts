// Operators, services and buyers at the same moment, on two real API processes: what each of them is told must fit one
// order of one thing after the other, and the books must agree.
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { hasCode } from '../../core/errors.ts';
import { randomId } from '../../core/ids.ts';
import { createOrders, type Orders } from '../../shop/orders/orders.ts';
import { newBuyer, openSale, type TestAnswer, tokenOf } from '../support/api.ts';
import { type LiveShop, startLiveShop } from '../support/live-shop.ts';
import {
  booksOf,
  buy,
  buyPayable,
  comesToRest,
  countsOf,
  createStarters,
  pay,
  type Sale,
  type Starters,
  tally,
} from '../support/race.ts';

const ROUNDS = 8;
const PAID_ROUNDS = 8;

// On a machine that is busy with other tests each of these takes many times as long.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

let shop: LiveShop;
let starters: Starters;
let admin: string;
let checkout: string;
let orders: Orders;

beforeAll(async () => {
  shop = await startLiveShop({ apiProcesses: 2 });
  starters = createStarters(shop, 2);
  admin = await tokenOf('u_operator', 'ADMIN');
  checkout = await tokenOf('u_checkout', 'INTERNAL');
  orders = createOrders({ postgres: shop.database.postgres, stock: shop.stock });
});
afterAll(() => shop?.close());

const close = ({ saleId }: Sale) => starters.door().call('POST', `/api/v1/sales/${saleId}/close`, { token: admin });
const adjust = ({ sku }: Sale, quantity: number) =>
  starters.door().call('POST', '/api/v1/inventory/adjust', { token: admin, body: { sku, quantity } });
const buyNew = async (sale: Sale) => buy(starters.door(), sale, await newBuyer());
const reserveOrder = (orderId: string, items: { sku: string; quantity: number }[]) =>
  starters.door().call('POST', '/api/v1/inventory/reserve', { token: checkout, body: { orderId, items } });
const releaseOrder = (orderId: string) =>
  starters.door().call('POST', '/api/v1/inventory/release', { token: checkout, body: { orderId } });

const times = <T>(count: number, run: () => Promise<T>): (() => Promise<T>)[] =>
  Array.from({ length: count }, () => run);
const accepted = (answers: readonly TestAnswer[]): TestAnswer[] => answers.filter(({ status }) => status < 300);

async function statusesOf(answers: readonly TestAnswer[]): Promise<string[]> {
  const purchases = await shop.stock.look(answers.map(({ body }) => body.purchaseId));
  return purchases.map((purchase) => purchase?.status ?? 'unknown');
}

describe('the end of a sale', () => {
  it('and its buyers: who was accepted before it keeps the hold, who waited is let go', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const sale = await openSale(starters.door(), { stock: 4, lineLimit: 100 });
      const [closed, ...bought] = await starters.race([() => close(sale), ...times(10, () => buyNew(sale))]);
      expect(closed?.status).toBe(200);
      const counts = tally(bought);
      expect(Object.keys(counts).filter((kind) => !['201', '202', '409 SALE_CLOSED'].includes(kind))).toEqual([]);
      expect(counts['201'] ?? 0).toBeLessThanOrEqual(4);
      const reserved = bought.filter(({ status }) => status === 201);
      expect(new Set(await statusesOf(reserved))).toEqual(new Set(reserved.length > 0 ? ['RESERVED'] : []));
      // The line is let go in slices, in the call that closes and in those that look.
      const waited = bought.filter(({ status }) => status === 202);
      await expect
        .poll(async () => new Set(await statusesOf(waited)), { timeout: 120_000 })
        .toEqual(new Set(waited.length > 0 ? ['CANCELLED'] : []));
      expect(await countsOf(starters.door(), sale)).toMatchObject({
        held: reserved.length,
        available: 4 - reserved.length,
        waiting: 0,
      });
    }
  });

  it('and a delivery: it is counted before, or refused after', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const sale = await openSale(starters.door(), { stock: 2, lineLimit: 100 });
      const first = await Promise.all(times(5, () => buyNew(sale)).map((run) => run()));
      const [closed, more] = await starters.race([() => close(sale), () => adjust(sale, 3)]);
      expect(closed?.status).toBe(200);
      expect([200, 409]).toContain(more?.status);
      const isCounted = more?.status === 200;
      if (!isCounted) expect(more?.body.code).toBe('SALE_CLOSED');
      const counts = await countsOf(starters.door(), sale);
      expect(counts).toMatchObject({ loaded: isCounted ? 5 : 2, waiting: 0 });
      // Those in the line get all of it, or none.
      const statuses = (await statusesOf(first)).sort();
      const isGiven = statuses.filter((status) => status === 'RESERVED').length;
      expect([2, 5]).toContain(isGiven);
      if (!isCounted) expect(isGiven).toBe(2);
      expect((counts['held'] ?? 0) + (counts['available'] ?? 0)).toBe(counts['loaded']);
    }
  });
});

describe('stock that is taken away', () => {
  it('while buyers reach for it: never below what is held', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const sale = await openSale(starters.door(), { stock: 5, lineLimit: 100 });
      const [less, ...bought] = await starters.race([() => adjust(sale, -3), ...times(4, () => buyNew(sale))]);
      const isTaken = less?.status === 200;
      if (!isTaken) expect([less?.status, less?.body.code]).toEqual([409, 'ADJUST_BELOW_COMMITTED']);
      expect(accepted(bought).length).toBe(4);
      // After it two are left; before it a hold in excess makes it a refusal.
      const reserved = bought.filter(({ status }) => status === 201).length;
      expect(reserved).toBe(isTaken ? 2 : 4);
      expect(await countsOf(starters.door(), sale)).toMatchObject({
        loaded: isTaken ? 2 : 5,
        held: reserved,
        waiting: 4 - reserved,
      });
    }
  });

  it('and brought back: the line gets it in its order', async () => {
    const sale = await openSale(starters.door(), { stock: 1, lineLimit: 1_000 });
    expect((await buyNew(sale)).status).toBe(201);
    const waiting = await Promise.all(times(40, () => buyNew(sale)).map((run) => run()));
    expect(tally(waiting)).toEqual({ 202: 40 });
    const [, ...bought] = await starters.race(
      [() => adjust(sale, 3), ...times(10, () => buyNew(sale)), ...times(9, () => adjust(sale, 3))],
      40,
    );
    expect(tally(bought)).toEqual({ 200: 9, 202: 10 });
    const byTicket = waiting.toSorted((a, b) => a.body.ticket - b.body.ticket);
    const statuses = await statusesOf(byTicket);
    expect(statuses).toEqual(statuses.map((_, i) => (i < 30 ? 'RESERVED' : 'WAITING')));
    await shop.audit(sale.saleId);
  });
});

describe('two operators', () => {
  it('with one SKU have one sale', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const skus = [randomId('sku'), randomId('sku')];
      // In both orders: whoever locks one after the other must not wait for ever.
      const create = (items: string[]) =>
        starters.door().call('POST', '/api/v1/sales', {
          token: admin,
          body: { name: 'Race', items: items.map((sku) => ({ sku, stock: 1, price: 1, currency: 'INR' })) },
        });
      const answers = await starters.race(
        [() => create(skus), () => create(skus.toReversed()), () => create(skus), () => create(skus.toReversed())],
        3,
      );
      expect(tally(answers)).toEqual({ 201: 1, '409 SKU_IN_ANOTHER_SALE': 3 });
    }
  });

  it('who open, pause and close at once leave a sale in one of these states, for good', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const sale = await openSale(starters.door(), { stock: 5 });
      const move = (verb: string) =>
        starters.door().call('POST', `/api/v1/sales/${sale.saleId}/${verb}`, { token: admin });
      const answers = await starters.race([
        () => move('pause'),
        () => move('open'),
        () => move('close'),
        () => buyNew(sale),
      ]);
      expect(answers[2]?.status).toBe(200);
      for (const { status, body } of answers.slice(0, 2))
        if (status !== 200) expect([status, body.code]).toEqual([409, 'ILLEGAL_TRANSITION']);
      const bought = answers[3];
      if (bought !== undefined && bought.status >= 300) expect(bought.body.code).toMatch(/^SALE_(PAUSED|CLOSED)$/);
      expect((await starters.door().call('GET', `/api/v1/sales/${sale.saleId}`)).body.status).toBe('CLOSED');
    }
  });
});

describe('the checkout', () => {
  it('and buyers: an order gets all of its lines or none, and nobody gets what is not there', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const [one, two] = [await openSale(starters.door(), { stock: 3 }), await openSale(starters.door(), { stock: 3 })];
      const orderId = randomId('ord');
      const items = [one, two].map(({ sku }) => ({ sku, quantity: 2 }));
      const [held, ...bought] = await starters.race([
        () => reserveOrder(orderId, items),
        ...times(2, () => buyNew(one)),
        ...times(2, () => buyNew(two)),
      ]);
      const isHeld = held?.status === 201;
      if (!isHeld) expect([held?.status, held?.body.code]).toEqual([409, 'INSUFFICIENT_STOCK']);
      const ofOrder = isHeld ? 2 : 0;
      for (const [sale, mine] of [
        [one, bought.slice(0, 2)],
        [two, bought.slice(2)],
      ] as const) {
        // Who waits while the order is being refused elsewhere gets the unit a moment later.
        const reserved = (await statusesOf(mine)).filter((status) => status === 'RESERVED').length;
        expect(await countsOf(starters.door(), sale)).toMatchObject({ held: ofOrder + reserved });
        // No more than there is, and nobody is refused a unit that nobody has.
        expect(reserved).toBe(Math.min(2, 3 - ofOrder));
      }
    }
  });

  it('that holds and gives back at once has one or the other, on every line', async () => {
    const [one, two] = [randomId('sku'), randomId('sku')];
    const both = [one, two].map((sku) => ({ sku, stock: 500, price: 1, currency: 'INR' }));
    const sale = await openSale(starters.door(), { items: both });
    const items = [one, two].map((sku) => ({ sku, quantity: 1 }));
    for (let round = 0; round < ROUNDS; round += 1) {
      const orderId = randomId('ord');
      const [first, released, again] = await starters.race([
        () => reserveOrder(orderId, items),
        () => releaseOrder(orderId),
        () => reserveOrder(orderId, items),
      ]);
      if (released?.status !== 200) expect([released?.status, released?.body.code]).toEqual([404, 'NOT_FOUND']);
      const answered = [first?.status, again?.status].map(String).sort().join();
      expect(['200,201', '201,201']).toContain(answered);
      // Given back last, it is gone; first, it is held by who came after. Between the two, it goes on until nothing is left,
      // and may meet the second as well.
      const isGone = released?.status === 200 && answered === '200,201';
      if (answered === '201,201') expect(released?.status).toBe(200);
      const ids = [first, released, again].flatMap((one) => (one?.body.items ?? []) as { purchaseId: string }[]);
      const purchases = await shop.stock.look([...new Set(ids.map(({ purchaseId }) => purchaseId))]);
      const live = purchases
        .filter((purchase) => purchase?.status === 'RESERVED')
        .map((purchase) => String(purchase?.sku));
      const isMet = answered === '201,201' && live.length === 0;
      expect(live.sort()).toEqual(isGone || isMet ? [] : [one, two].sort());
    }
    await shop.audit(sale.saleId);
  });

  it('that holds in two sales and gives back at once: all of it is held, or nothing', async () => {
    const sales = await Promise.all(times(4, () => openSale(starters.door(), { stock: 500 })).map((run) => run()));
    const items = sales.map(({ sku }) => ({ sku, quantity: 1 }));
    for (let round = 0; round < ROUNDS; round += 1) {
      const orderId = randomId('ord');
      const [held, released] = await starters.race([() => reserveOrder(orderId, items), () => releaseOrder(orderId)]);
      // Several partitions are no single moment, but an order is all there or not at all, whatever was in between.
      if (held?.status !== 201) expect([held?.status, held?.body.code]).toEqual([409, 'INSUFFICIENT_STOCK']);
      expect([200, 404]).toContain(released?.status);
      const units = await Promise.all(sales.map(async (sale) => (await countsOf(starters.door(), sale))['held']));
      expect(new Set(units).size).toBe(1);
      if (units[0] === 1) expect([held?.status, released?.status]).toEqual([201, 404]);
      await releaseOrder(orderId);
    }
    for (const sale of sales) {
      expect(await countsOf(starters.door(), sale)).toMatchObject({ available: 500, held: 0 });
      await shop.audit(sale.saleId);
    }
  });

  it('that gives back what is being paid for: all of it is sold, or none', async () => {
    const [one, two] = [
      await openSale(starters.door(), { stock: 500 }),
      await openSale(starters.door(), { stock: 500 }),
    ];
    const items = [one, two].map(({ sku }) => ({ sku, quantity: 1 }));
    for (let round = 0; round < ROUNDS; round += 1) {
      const orderId = randomId('ord');
      const held = await reserveOrder(orderId, items);
      const purchaseIds: string[] = held.body.items.map((item: { purchaseId: string }) => item.purchaseId);
      // What the settlement of the order's one payment does.
      const confirm = () =>
        shop.stock.confirm(purchaseIds.map((purchaseId) => ({ purchaseId, paymentRef: 'pi_race' })));
      let answers: Awaited<ReturnType<typeof confirm>> = [];
      const [released] = await starters.race(
        [() => releaseOrder(orderId), async () => void (answers = await confirm())],
        4,
      );
      const statuses = await Promise.all(purchaseIds.map(async (id) => (await shop.stock.look([id]))[0]?.status));
      const decisions = answers.map(({ decision }) => decision);
      expect([released?.status, decisions.length]).toEqual([200, 2]);
      for (const [i, status] of statuses.entries())
        expect(status).toBe(decisions[i] === 'CONFIRMED' ? 'CONFIRMED' : 'CANCELLED');
    }
    const [first, second] = [await countsOf(starters.door(), one), await countsOf(starters.door(), two)];
    for (const counts of [first, second]) expect((counts['available'] ?? 0) + (counts['sold'] ?? 0)).toBe(500);
  });
});

describe('an order that is sent', () => {
  /** As whoever packs does it. */
  async function ship(orderId: string): Promise<boolean> {
    try {
      await orders.move(orderId, 'PACKED');
      await orders.move(orderId, 'SHIPPED');
      return true;
    } catch (error) {
      if (hasCode(error, 'ILLEGAL_TRANSITION')) return false;
      throw error;
    }
  }

  async function paidOrder(sale: Sale): Promise<{ orderId: string; purchaseId: string; token: string }> {
    const payable = await buyPayable(starters.door(), sale);
    await pay(shop, payable);
    expect(await comesToRest(shop, payable.purchaseId)).toBe('CONFIRMED');
    const orderId = `ord_${payable.purchaseId.slice(4)}`;
    await expect.poll(async () => (await orders.find(orderId))?.status, { timeout: 120_000 }).toBe('CONFIRMED');
    return { orderId, purchaseId: payable.purchaseId, token: payable.buyer.token };
  }

  it('while its buyer takes it back: the parcel or the money, never both', async () => {
    const sale = await openSale(starters.door(), { stock: PAID_ROUNDS });
    const runs = times(PAID_ROUNDS, async () => {
      const { orderId, purchaseId, token } = await paidOrder(sale);
      const cancel = async () => starters.door().call('POST', `/api/v1/orders/${orderId}/cancel`, { token });
      let answer: TestAnswer | undefined;
      const [isShipped] = await starters.race([() => ship(orderId), async () => void (answer = await cancel())], 10);
      const isTaken = answer?.status === 200;
      if (!isTaken) expect([answer?.status, answer?.body.code]).toEqual([409, 'ILLEGAL_TRANSITION']);
      expect(isTaken).toBe(!isShipped);
      expect(await comesToRest(shop, purchaseId)).toBe(isTaken ? 'REFUNDED' : 'CONFIRMED');
      expect(booksOf(shop, purchaseId).refunds).toBe(isTaken ? 1 : 0);
      const final = isTaken ? 'REFUNDED' : 'SHIPPED';
      await expect.poll(async () => (await orders.find(orderId))?.status, { timeout: 120_000 }).toBe(final);
    });
    await Promise.all(runs.map((run) => run()));
    await shop.audit(sale.saleId);
  });

  it('while an operator returns its money: once, and its unit only if it is still here', async () => {
    const sale = await openSale(starters.door(), { stock: PAID_ROUNDS });
    let shipped = 0;
    const runs = times(PAID_ROUNDS, async () => {
      const { orderId, purchaseId } = await paidOrder(sale);
      const refund = () => starters.door().call('POST', `/api/v1/orders/${orderId}/refund`, { token: admin });
      const answers: TestAnswer[] = [];
      const refunds = times(2, async () => void answers.push(await refund()));
      const [isShipped] = await starters.race([() => ship(orderId), ...refunds], 10);
      if (isShipped === true) shipped += 1;
      for (const { status, body } of answers)
        if (status !== 200) expect(`${status} ${body.code}`).toMatch(/^409 (CONFLICT|ILLEGAL_TRANSITION)$/);
      // Whoever was told that it has moved on asks again.
      expect((await refund()).status).toBe(200);
      await expect
        .poll(() => booksOf(shop, purchaseId), { timeout: 120_000 })
        .toEqual({ kept: 0, charges: 1, refunds: 1 });
      await expect.poll(async () => (await orders.find(orderId))?.status, { timeout: 120_000 }).toBe('REFUNDED');
    });
    await Promise.all(runs.map((run) => run()));
    expect(await countsOf(starters.door(), sale)).toMatchObject({ sold: shipped, available: PAID_ROUNDS - shipped });
    await shop.audit(sale.saleId);
  });
});

it('afterwards no process of the operators has ended or complained', async () => {
  for (const door of shop.doors) expect(await door.isAlive()).toBe(true);
  expect(shop.doors.map((door) => door.log())).toEqual(['', '']);
});
