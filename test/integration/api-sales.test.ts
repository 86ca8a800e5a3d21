import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomId } from '../../core/ids.ts';
import { insertSale } from '../../shop/sales/insert-store.ts';
import { newBuyer, openSale, startTestApi, type TestApi, tokenOf } from '../support/api.ts';

let api: TestApi;
let admin: string;

beforeAll(async () => {
  api = await startTestApi();
  await api.api.attached;
  admin = await tokenOf('u_operator', 'ADMIN');
});
afterAll(() => api?.close());

const create = (body: Record<string, unknown>, key?: string) =>
  api.call('POST', '/api/v1/sales', { token: admin, body, ...(key && { headers: { 'idempotency-key': key } }) });
const items = (...skus: string[]) => skus.map((sku) => ({ sku, stock: 5, price: 499, currency: 'INR' }));
const newSku = () => randomId('sku').slice(0, 20);

describe('sales over HTTP', () => {
  it('creates a sale with what was said and the rest by default', async () => {
    const sku = newSku();
    const answer = await create({ name: 'Noon drop', opensAt: '2099-12-01T12:00:00+02:00', items: items(sku) });
    expect(answer.status).toBe(201);
    expect(answer.headers.get('location')).toBe(`/api/v1/sales/${answer.body.saleId}`);
    expect(answer.body).toMatchObject({
      name: 'Noon drop',
      status: 'SCHEDULED',
      opensAt: '2099-12-01T10:00:00.000Z',
      closesAt: null,
      holdSeconds: 600,
      perBuyerLimit: 1,
      lineLimit: null,
      admissionPerSecond: null,
      paymentStart: 'eager',
      items: [{ sku, stock: 5, price: 499, currency: 'INR', loaded: 5, available: 5, held: 0, sold: 0, waiting: 0 }],
    });
    expect((await api.call('GET', `/api/v1/sales/${answer.body.saleId}`)).body).toEqual(answer.body);
  });

  it('makes one sale of one key, and refuses another body under it', async () => {
    const [sku, key] = [newSku(), randomId('key')];
    const body = { name: 'Once', items: items(sku) };
    const [first, again] = [await create(body, key), await create(body, key)];
    expect([first.status, again.status]).toEqual([201, 200]);
    expect(again.body.saleId).toBe(first.body.saleId);
    const other = await create({ ...body, name: 'Twice' }, key);
    expect([other.status, other.body.code]).toEqual([422, 'KEY_REUSED']);
  });

  it('has a SKU in one sale at a time', async () => {
    const sku = newSku();
    const first = await create({ name: 'First', items: items(sku) });
    const refused = await create({ name: 'Second', items: items(newSku(), sku) });
    expect([refused.status, refused.body.code]).toEqual([409, 'SKU_IN_ANOTHER_SALE']);
    expect(refused.body).toMatchObject({ sku, saleId: first.body.saleId });
  });

  it('opens, pauses and closes, each as often as it is told, and not backwards', async () => {
    const { saleId } = await openSale(api, { isOpen: false });
    const move = (verb: string) => api.call('POST', `/api/v1/sales/${saleId}/${verb}`, { token: admin });
    for (const [verb, status] of [
      ['open', 'OPEN'],
      ['open', 'OPEN'],
      ['pause', 'PAUSED'],
      ['open', 'OPEN'],
      ['close', 'CLOSED'],
      ['close', 'CLOSED'],
    ]) {
      const answer = await move(verb ?? '');
      expect([verb, answer.status, answer.body.status]).toEqual([verb, 200, status]);
    }
    const reopened = await api.call('POST', `/api/v1/sales/${saleId}/open`, { token: admin });
    expect([reopened.status, reopened.body.code]).toEqual([409, 'ILLEGAL_TRANSITION']);
    const paused = await api.call('POST', `/api/v1/sales/${saleId}/pause`, { token: admin });
    expect(paused.status).toBe(409);
    const unknown = await api.call('POST', '/api/v1/sales/sale_03abcdefghjkmnpqrstvwxyz1234/close', { token: admin });
    expect([unknown.status, unknown.body.code]).toEqual([404, 'SALE_NOT_FOUND']);
  });

  it('counts live, and lists page by page, newest first', async () => {
    const sales = [];
    for (let count = 0; count < 3; count += 1) sales.unshift(await openSale(api));
    const [newest] = sales;
    const { token } = await newBuyer();
    await api.call('POST', `/api/v1/sales/${newest?.saleId}/purchases`, { token, body: { sku: newest?.sku } });
    const first = await api.call('GET', '/api/v1/sales?limit=2');
    expect(first.body.items.map((sale: { saleId: string }) => sale.saleId)).toEqual(
      sales.slice(0, 2).map(({ saleId }) => saleId),
    );
    expect(first.body.items[0].items[0]).toMatchObject({ loaded: 10, available: 9, held: 1, sold: 0 });
    const second = await api.call('GET', `/api/v1/sales?limit=1&after=${first.body.next}`);
    expect(second.body.items[0].saleId).toBe(sales[2]?.saleId);
  });

  it('that Redis refuses keep no other out of it', async () => {
    const { postgres } = api.database;
    const [bad, good] = [randomId('sale', 1), randomId('sale', 2)];
    const common = { name: 'x', closesAt: null, holdSeconds: 1, perBuyerLimit: 1, lineLimit: null, createdBy: 'u_1' };
    for (const [saleId, opensAt] of [
      [bad, -1],
      [good, null],
    ] as const) {
      const stock = [{ sku: newSku(), stock: 1, unitPrice: 1, currency: 'INR' }];
      const sale = {
        ...common,
        saleId,
        opensAt,
        admissionPerSecond: null,
        paymentStart: 'eager',
        items: stock,
      } as const;
      await insertSale(postgres, sale);
    }
    await postgres.query(
      "UPDATE sales SET created_at = created_at - interval '1 hour' - (sale_id = $1)::int * interval '1 minute' WHERE sale_id = ANY($2)",
      [bad, [bad, good]],
    );
    await expect(api.api.shop.sales.installMissing()).rejects.toThrow(bad);
    const opened = await api.call('POST', `/api/v1/sales/${good}/open`, { token: admin });
    expect([opened.status, opened.body.items[0].loaded]).toEqual([200, 1]);
    await postgres.query('DELETE FROM sale_items WHERE sale_id = $1', [bad]);
    await postgres.query('DELETE FROM sales WHERE sale_id = $1', [bad]);
  });

  it('installs a sale that a crash kept from Redis when somebody needs it', async () => {
    const { saleId } = await openSale(api, { isOpen: false });
    await api.testRedis.flush();
    await api.database.postgres.query('UPDATE sales SET installed = false WHERE sale_id = $1', [saleId]);
    await api.database.postgres.query('DELETE FROM partitions');
    const other = await startTestApi(api);
    try {
      await other.api.attached;
      const before = await other.call('GET', `/api/v1/sales/${saleId}`);
      expect(before.body.items[0]).toMatchObject({ loaded: 0, available: 0 });
      const opened = await other.call('POST', `/api/v1/sales/${saleId}/open`, { token: admin });
      expect([opened.status, opened.body.status]).toEqual([200, 'OPEN']);
      expect(opened.body.items[0]).toMatchObject({ loaded: 10, available: 10 });
    } finally {
      await other.close();
    }
  });
});
