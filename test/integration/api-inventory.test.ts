import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashedId, partitionOf, randomId } from '../../core/ids.ts';
import { type Json, newBuyer, openSale, startTestApi, type TestApi, tokenOf } from '../support/api.ts';

let api: TestApi;
let admin: string;
let service: string;

beforeAll(async () => {
  api = await startTestApi();
  await api.api.attached;
  admin = await tokenOf('u_operator', 'ADMIN');
  service = await tokenOf('u_checkout', 'INTERNAL');
});
afterAll(() => api?.close());

const inventory = async (sku: string) => (await api.call('GET', `/api/v1/inventory/${sku}`)).body;
const adjust = (body: unknown, key?: string) =>
  api.call('POST', '/api/v1/inventory/adjust', {
    token: admin,
    body,
    ...(key && { headers: { 'idempotency-key': key } }),
  });
const reserve = (body: unknown) => api.call('POST', '/api/v1/inventory/reserve', { token: service, body });
const release = (orderId: string) =>
  api.call('POST', '/api/v1/inventory/release', { token: service, body: { orderId } });

describe('inventory over HTTP', () => {
  it('shows stock in the words of the seed and in ours', async () => {
    const { saleId, sku } = await openSale(api);
    const { token } = await newBuyer();
    await api.call('POST', `/api/v1/sales/${saleId}/purchases`, { token, body: { sku } });
    expect(await inventory(sku)).toEqual({
      productId: sku,
      variantId: sku,
      stockCount: 10,
      reserved: 1,
      sku,
      saleId,
      status: 'OPEN',
      loaded: 10,
      available: 9,
      held: 1,
      sold: 0,
      waiting: 0,
    });
  });

  it('adjusts once a key, never below what is held', async () => {
    const { sku } = await openSale(api, { stock: 3 });
    const key = randomId('key');
    expect((await adjust({ sku, quantity: 4, reason: 'found a box' }, key)).body).toMatchObject({
      loaded: 7,
      available: 7,
    });
    expect((await adjust({ sku, quantity: 4, reason: 'found a box' }, key)).body).toMatchObject({
      loaded: 7,
      available: 7,
    });
    expect((await adjust({ sku, quantity: 5 }, key)).body.code).toBe('KEY_REUSED');
    expect((await adjust({ sku, quantity: -2 })).body).toMatchObject({ loaded: 5, available: 5 });
    const below = await adjust({ sku, quantity: -6 });
    expect([below.status, below.body.code]).toEqual([409, 'ADJUST_BELOW_COMMITTED']);
    expect((await adjust({ sku, quantity: 0 })).status).toBe(422);
    expect((await adjust({ sku: 'NEVER', quantity: 1 })).body.code).toBe('SKU_NOT_FOUND');
    expect(await inventory(sku)).toMatchObject({ loaded: 5, available: 5 });
  });

  it('does not make a change again that only the ledger remembers', async () => {
    const { saleId, sku } = await openSale(api, { stock: 3 });
    const movementId = hashedId('adj', undefined, ['u_operator', saleId, sku, 'yesterday']);
    await api.database.postgres.query(
      `INSERT INTO movements (purchase_id, version, sale_id, sku, d_available, d_held, d_sold, d_loaded, reason, at, seq, partition)
       VALUES ($1, 1, $2, $3, 4, 0, 0, 4, 'found a box', now(), 1, $4)`,
      [movementId, saleId, sku, partitionOf(saleId)],
    );
    expect((await adjust({ sku, quantity: 4 }, 'yesterday')).body).toMatchObject({ loaded: 3 });
    expect((await adjust({ sku, quantity: 5 }, 'yesterday')).body.code).toBe('KEY_REUSED');
  });

  it('holds an order over several SKUs, all or nothing, lines of one SKU summed', async () => {
    const [first, second] = [await openSale(api, { stock: 4 }), await openSale(api, { stock: 1 })];
    const orderId = randomId('ord');
    const lines = [
      { sku: first.sku, quantity: 1 },
      { productId: 'p_1', variantId: second.sku, quantity: 1 },
      { sku: first.sku, quantity: 2 },
    ];
    const held = await reserve({ orderId, items: lines });
    expect(held.status).toBe(201);
    const bySku = new Map(held.body.items.map((item: Json) => [item.sku, [item.quantity, item.status]]));
    expect([bySku.get(first.sku), bySku.get(second.sku)]).toEqual([
      [3, 'RESERVED'],
      [1, 'RESERVED'],
    ]);
    expect((await reserve({ orderId, items: lines })).status).toBe(200);
    const other = await reserve({ orderId, items: [{ sku: first.sku, quantity: 1 }] });
    expect([other.status, other.body.code]).toEqual([422, 'KEY_REUSED']);
    const refused = await reserve({
      orderId: randomId('ord'),
      items: [
        { sku: first.sku, quantity: 1 },
        { sku: second.sku, quantity: 1 },
      ],
    });
    expect([refused.status, refused.body.code, refused.body.sku]).toEqual([409, 'INSUFFICIENT_STOCK', second.sku]);
    expect(await inventory(first.sku)).toMatchObject({ available: 1, held: 3 });
    for (let times = 0; times < 2; times += 1) {
      const given = await release(orderId);
      expect(given.status).toBe(200);
      expect(given.body.items.every(({ status }: Json) => status === 'CANCELLED')).toBe(true);
    }
    expect(await inventory(first.sku)).toMatchObject({ available: 4, held: 0 });
    expect(await inventory(second.sku)).toMatchObject({ available: 1, held: 0 });
  });

  it('gives back what it took elsewhere when one partition refuses', async () => {
    const rich = await openSale(api, { stock: 9 });
    let poor = await openSale(api, { stock: 1 });
    while (partitionOf(poor.saleId) === partitionOf(rich.saleId)) poor = await openSale(api, { stock: 1 });
    const refused = await reserve({
      orderId: randomId('ord'),
      items: [
        { sku: rich.sku, quantity: 5 },
        { sku: poor.sku, quantity: 2 },
      ],
    });
    expect([refused.status, refused.body.sku]).toEqual([409, poor.sku]);
    expect(await inventory(rich.sku)).toMatchObject({ available: 9, held: 0 });
  });

  it('refuses orders that are none', async () => {
    const { sku } = await openSale(api);
    const bad = [
      { orderId: 'o 1', items: [{ sku, quantity: 1 }] },
      { orderId: 'o1', items: [] },
      { orderId: 'o1', items: [{ quantity: 1 }] },
      { orderId: 'o1', items: [{ sku, variantId: 'OTHER', quantity: 1 }] },
      { orderId: 'o1', items: [{ sku, quantity: -1 }] },
      { orderId: 'o1', items: [{ sku, quantity: 1e9 }] },
      { items: [{ sku, quantity: 1 }] },
    ];
    for (const body of bad) expect([body, (await reserve(body)).status]).toEqual([body, 422]);
    expect((await release('never-seen')).body.code).toBe('NOT_FOUND');
    expect((await reserve({ orderId: 'o1', items: [{ sku: 'NEVER', quantity: 1 }] })).body.code).toBe('SKU_NOT_FOUND');
  });

  it('does not show a hold of the checkout to a buyer', async () => {
    const { sku } = await openSale(api);
    const held = await reserve({ orderId: randomId('ord'), items: [{ sku, quantity: 1 }] });
    const token = await tokenOf('u_checkout');
    const { purchaseId } = held.body.items[0];
    expect((await api.call('GET', `/api/v1/purchases/${purchaseId}`, { token })).status).toBe(404);
  });
});
