// The checkout, buyers, and whoever sends or takes back an order, at the same moment, on two real API processes: an order has all
// of its lines or none, and a parcel or its money, whatever came first.
import { beforeAll, describe, expect, it } from 'vitest';
import { hasCode } from '../../core/errors.ts';
import { randomId } from '../../core/ids.ts';
import { createOrders, type Orders } from '../../shop/orders/orders.ts';
import { newBuyer, openSale, type TestAnswer, tokenOf } from '../support/api.ts';
import { buy, countsOf, expectCalm, type Sale, statusesOf, times, useStarters } from '../support/race.ts';
import { booksOf, buyPayable, comesToRest, pay } from '../support/race-money.ts';

const ROUNDS = 8;
const PAID_ROUNDS = 8;

const starters = useStarters(3);
let admin: string;
let checkout: string;
let orders: Orders;

beforeAll(async () => {
  admin = await tokenOf('u_operator', 'ADMIN');
  checkout = await tokenOf('u_checkout', 'INTERNAL');
  orders = createOrders({ postgres: starters.shop.database.postgres, stock: starters.shop.stock });
});

const buyNew = async (sale: Sale) => buy(starters.door(), sale, await newBuyer());
const reserveOrder = (orderId: string, items: { sku: string; quantity: number }[]) =>
  starters.door().call('POST', '/api/v1/inventory/reserve', { token: checkout, body: { orderId, items } });
const releaseOrder = (orderId: string) =>
  starters.door().call('POST', '/api/v1/inventory/release', { token: checkout, body: { orderId } });

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
        const reserved = (await statusesOf(starters.shop, mine)).filter((status) => status === 'RESERVED').length;
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
      const purchases = await starters.shop.stock.look([...new Set(ids.map(({ purchaseId }) => purchaseId))]);
      const live = purchases
        .filter((purchase) => purchase?.status === 'RESERVED')
        .map((purchase) => String(purchase?.sku));
      const isMet = answered === '201,201' && live.length === 0;
      expect(live.sort()).toEqual(isGone || isMet ? [] : [one, two].sort());
    }
    await starters.shop.audit(sale.saleId);
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
      await starters.shop.audit(sale.saleId);
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
        starters.shop.stock.confirm(purchaseIds.map((purchaseId) => ({ purchaseId, paymentRef: 'pi_race' })));
      let answers: Awaited<ReturnType<typeof confirm>> = [];
      const [released] = await starters.race(
        [() => releaseOrder(orderId), async () => void (answers = await confirm())],
        4,
      );
      const statuses = await Promise.all(
        purchaseIds.map(async (id) => (await starters.shop.stock.look([id]))[0]?.status),
      );
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
    await pay(starters.shop, payable);
    expect(await comesToRest(starters.shop, payable.purchaseId)).toBe('CONFIRMED');
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
      expect(await comesToRest(starters.shop, purchaseId)).toBe(isTaken ? 'REFUNDED' : 'CONFIRMED');
      expect(booksOf(starters.shop, purchaseId).refunds).toBe(isTaken ? 1 : 0);
      const final = isTaken ? 'REFUNDED' : 'SHIPPED';
      await expect.poll(async () => (await orders.find(orderId))?.status, { timeout: 120_000 }).toBe(final);
    });
    await Promise.all(runs.map((run) => run()));
    await starters.shop.audit(sale.saleId);
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
        .poll(() => booksOf(starters.shop, purchaseId), { timeout: 120_000 })
        .toEqual({ kept: 0, charges: 1, refunds: 1 });
      await expect.poll(async () => (await orders.find(orderId))?.status, { timeout: 120_000 }).toBe('REFUNDED');
    });
    await Promise.all(runs.map((run) => run()));
    expect(await countsOf(starters.door(), sale)).toMatchObject({ sold: shipped, available: PAID_ROUNDS - shipped });
    await starters.shop.audit(sale.saleId);
  });
});

it('afterwards no process of the checkout has ended or complained', () => expectCalm(starters.shop));
