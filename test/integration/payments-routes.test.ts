// The shop's payment endpoints, as the door calls them: whose payment it is, what it costs, and what is told while it is
// being made.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomId } from '../../core/ids.ts';
import { createPaymentRoutes } from '../../shop/payments/routes.ts';
import type { Caller, Route, RouteReply } from '../../shop/route.ts';
import { openTestPayments, type TestPayments, until } from '../support/payments.ts';

let t: TestPayments;
let routes: Route[];
beforeAll(async () => {
  t = await openTestPayments();
  routes = createPaymentRoutes({ payments: t.payments, stock: t.stock });
});
afterAll(() => t.close());

async function call(
  key: string,
  userId: string,
  input: { params?: unknown; body?: unknown; role?: Caller['role'] },
): Promise<RouteReply> {
  const route = routes.find((one) => `${one.method} ${one.path}` === key);
  if (route === undefined) throw new Error(`no route ${key}`);
  return route.handle({
    caller: { userId, role: input.role ?? 'USER' },
    params: route.params?.parse(input.params),
    query: undefined,
    body: route.body?.parse(input.body),
    idempotencyKey: undefined,
    rawBody: Buffer.alloc(0),
    headers: { get: () => undefined },
    path: route.path,
    address: '127.0.0.1',
    requestId: 'req',
    deadlineAt: Date.now() + 5000,
  });
}
const initiate = (userId: string, body: unknown) => call('POST /api/v1/payments/initiate', userId, { body });
const read = (userId: string, paymentId: string, role?: Caller['role']) =>
  call('GET /api/v1/payments/{paymentId}', userId, { params: { paymentId }, ...(role === undefined ? {} : { role }) });

const statusIn = (reply: RouteReply): unknown => (reply.body as { status?: unknown }).status;

describe('POST /payments/initiate', () => {
  it('begins the payment of a sale on demand and answers 202 until it is there', async () => {
    const sale = await t.openSale({ paymentStart: 'on_demand' });
    const buyer = randomId('u');
    const purchaseId = await t.buy(sale, buyer);
    await t.drain();
    const orderId = `ord_${purchaseId.slice(4)}`;
    const first = await initiate(buyer, { orderId, amount: 499, currency: 'INR', paymentProvider: 'RAZORPAY' });
    expect(first).toMatchObject({ status: 202, body: { orderId, paymentId: `pay_${purchaseId.slice(4)}` } });
    await until(async () => (await initiate(buyer, { purchaseId })).status === 200);
    const ready = await initiate(buyer, { orderId });
    const secret = t.sandbox.intents().find((one) => one.metadata['purchase_id'] === purchaseId)?.client_secret;
    expect(ready.body).toEqual({
      paymentId: `pay_${purchaseId.slice(4)}`,
      orderId,
      status: 'requires_payment_method',
      clientSecret: secret,
    });
  });

  it("names what is wrong: no order, another amount, somebody else's, ended", async () => {
    const sale = await t.openSale({ paymentStart: 'on_demand' });
    const buyer = randomId('u');
    const purchaseId = await t.buy(sale, buyer);
    await t.drain();
    await expect(initiate(buyer, {})).rejects.toThrow('orderId or purchaseId');
    await expect(initiate(buyer, { purchaseId, amount: 1 })).rejects.toMatchObject({
      code: 'VALIDATION_FAILED',
      fields: [{ field: 'amount' }],
    });
    await expect(initiate(buyer, { purchaseId, currency: 'USD' })).rejects.toMatchObject({
      fields: [{ field: 'currency' }],
    });
    await expect(initiate('u_other', { purchaseId })).rejects.toMatchObject({ code: 'PURCHASE_NOT_FOUND' });
    await expect(initiate(buyer, { orderId: 'ord_nonsense' })).rejects.toMatchObject({ code: 'PURCHASE_NOT_FOUND' });
    await expect(initiate(buyer, { purchaseId: 'x' })).rejects.toMatchObject({ code: 'PURCHASE_NOT_FOUND' });
    await t.stock.release([{ purchaseId, reason: 'BUYER' }]);
    await expect(initiate(buyer, { purchaseId })).rejects.toMatchObject({ code: 'ILLEGAL_TRANSITION' });
  });
});

describe('GET /payments/{paymentId}', () => {
  it('shows the owner everything, an admin all but the secret, and others nothing', async () => {
    const buyer = randomId('u');
    const { purchaseId, intentId } = await t.buyUntilPayable(await t.openSale(), buyer);
    const paymentId = `pay_${purchaseId.slice(4)}`;
    const own = await read(buyer, paymentId);
    expect(own).toMatchObject({
      status: 200,
      body: { paymentId, purchaseId, amount: 499, currency: 'INR', status: 'requires_payment_method' },
    });
    expect(own.body).toHaveProperty('clientSecret');
    expect((await read('u_admin', paymentId, 'ADMIN')).body).not.toHaveProperty('clientSecret');
    await expect(read('u_other', paymentId)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(read(buyer, 'pay_nonsense')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await t.stripe.paymentIntents.confirm(intentId, { payment_method: 'pm_card_visa' });
    await until(async () => statusIn(await read(buyer, paymentId)) === 'succeeded');
    expect((await read(buyer, paymentId)).body).not.toHaveProperty('clientSecret');
  });

  it("and initiate serve a cart's order, whose holds are paid as one", async () => {
    const [a, b] = [await t.openSale({ paymentStart: 'on_demand' }), await t.openSale({ paymentStart: 'on_demand' })];
    const [orderId, buyer] = [randomId('ord'), randomId('u')];
    // What the cart's checkout does: the order's row, and its holds by /inventory/reserve.
    const items = [a, b].map((sale) => ({ ...sale, quantity: 2 }));
    const reserved = await t.stock.reserveOrder({ orderId, items });
    expect(reserved.outcome).toBe('RESERVED');
    await t.postgres.query(
      `INSERT INTO cart_orders (order_id, user_id, status, version, total_amount, currency, created_at, updated_at)
       VALUES ($1, $2, 'CREATED', 1, 199600, 'INR', now(), now())`,
      [orderId, buyer],
    );
    await t.drain();
    await expect(initiate('u_other', { orderId })).rejects.toMatchObject({ code: 'PURCHASE_NOT_FOUND' });
    expect(await initiate(buyer, { orderId })).toMatchObject({ status: 202 });
    await until(async () => (await initiate(buyer, { orderId })).status === 200);
    const intents = t.sandbox.intents().filter((one) => one.metadata['order_id'] === orderId);
    expect(intents).toMatchObject([{ amount: 199_600 }]);
    await t.stripe.paymentIntents.confirm(intents[0]?.id ?? '', { payment_method: 'pm_card_visa' });
    const ids = reserved.purchases.map((purchase) => purchase.purchaseId);
    await until(async () => (await t.stock.look(ids)).every((view) => view?.status === 'CONFIRMED'));
    await until(async () => statusIn(await read(buyer, `pay_${orderId.slice(4)}`)) === 'succeeded');
  });
});
