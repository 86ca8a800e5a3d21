// The served OpenAPI document against the served answers: every route is asked for, every answer is what was described.
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRouteTable } from '../../api/route-table.ts';
import { type Json, newBuyer, startTestApi, type TestAnswer, type TestApi, tokenOf } from '../support/api.ts';

let api: TestApi;
let document: Json;
let sale: TestAnswer;
let purchase: TestAnswer;
let buyer: { token: string };
let admin: string;
let service: string;

const SKU = 'CONTRACT-1';

beforeAll(async () => {
  api = await startTestApi();
  await api.api.attached;
  document = (await api.call('GET', '/openapi.json')).body;
  buyer = await newBuyer();
  admin = await tokenOf('u_operator', 'ADMIN');
  service = await tokenOf('u_checkout', 'INTERNAL');
  const items = [{ sku: SKU, stock: 20, price: 9.99, currency: 'EUR' }];
  sale = await api.call('POST', '/api/v1/sales', {
    token: admin,
    body: { name: 'Contract', paymentStart: 'on_demand', perBuyerLimit: 9, items },
  });
  await api.call('POST', `/api/v1/sales/${sale.body.saleId}/open`, { token: admin });
  purchase = await api.call('POST', `/api/v1/sales/${sale.body.saleId}/purchases`, {
    token: buyer.token,
    body: { sku: SKU },
  });
});
afterAll(() => api?.close());

interface Example {
  method: string;
  path: string;
  status: number;
  token?: string;
  body?: unknown;
}

/** In this order: later ones need what earlier ones did. */
function examples(): Example[] {
  const { saleId } = sale.body;
  const { purchaseId } = purchase.body;
  const order = { orderId: 'ord_contract', items: [{ sku: SKU, quantity: 2 }] };
  const free = [{ sku: 'CONTRACT-2', stock: 1, price: 100, currency: 'JPY' }];
  return [
    { method: 'POST', path: '/api/v1/sales', status: 201, token: admin, body: { name: 'Second', items: free } },
    { method: 'POST', path: '/api/v1/sales', status: 409, token: admin, body: { name: 'Third', items: free } },
    { method: 'POST', path: '/api/v1/sales', status: 422, token: admin, body: { name: '' } },
    { method: 'POST', path: '/api/v1/sales', status: 400, token: admin },
    { method: 'POST', path: '/api/v1/sales', status: 401, body: {} },
    { method: 'POST', path: '/api/v1/sales', status: 403, token: buyer.token, body: {} },
    { method: 'GET', path: '/api/v1/sales', status: 200 },
    { method: 'GET', path: '/api/v1/sales?limit=x', status: 422 },
    { method: 'GET', path: `/api/v1/sales/${saleId}`, status: 200 },
    { method: 'GET', path: '/api/v1/sales/nothing', status: 404 },
    {
      method: 'POST',
      path: `/api/v1/sales/${saleId}/purchases`,
      status: 201,
      token: buyer.token,
      body: { sku: SKU, quantity: 2 },
    },
    {
      method: 'POST',
      path: `/api/v1/sales/${saleId}/purchases`,
      status: 404,
      token: buyer.token,
      body: { sku: 'OTHER' },
    },
    {
      method: 'POST',
      path: `/api/v1/sales/${saleId}/purchases`,
      status: 409,
      token: buyer.token,
      body: { sku: SKU, quantity: 50 },
    },
    { method: 'GET', path: `/api/v1/purchases/${purchaseId}`, status: 200, token: buyer.token },
    { method: 'GET', path: `/api/v1/purchases/${purchaseId}`, status: 404, token: service },
    { method: 'POST', path: '/api/v1/payments/initiate', status: 202, token: buyer.token, body: { purchaseId } },
    { method: 'GET', path: '/api/v1/payments/pay_nothing', status: 404, token: buyer.token },
    { method: 'POST', path: '/api/v1/payments/webhook', status: 400, body: { id: 'evt_forged' } },
    { method: 'DELETE', path: `/api/v1/purchases/${purchaseId}`, status: 200, token: buyer.token },
    { method: 'GET', path: `/api/v1/inventory/${SKU}`, status: 200 },
    { method: 'GET', path: '/api/v1/inventory/NEVER', status: 404 },
    { method: 'POST', path: '/api/v1/inventory/adjust', status: 200, token: admin, body: { sku: SKU, quantity: 5 } },
    {
      method: 'POST',
      path: '/api/v1/inventory/adjust',
      status: 409,
      token: admin,
      body: { sku: SKU, quantity: -1000 },
    },
    { method: 'POST', path: '/api/v1/inventory/reserve', status: 201, token: service, body: order },
    { method: 'POST', path: '/api/v1/inventory/reserve', status: 200, token: service, body: order },
    {
      method: 'POST',
      path: '/api/v1/inventory/reserve',
      status: 409,
      token: service,
      body: { ...order, orderId: 'ord_2', items: [{ sku: SKU, quantity: 999 }] },
    },
    {
      method: 'POST',
      path: '/api/v1/inventory/release',
      status: 200,
      token: service,
      body: { orderId: 'ord_contract' },
    },
    {
      method: 'POST',
      path: '/api/v1/inventory/release',
      status: 404,
      token: service,
      body: { orderId: 'ord_unknown' },
    },
    { method: 'POST', path: '/api/v1/guests', status: 201 },
    { method: 'POST', path: `/api/v1/sales/${saleId}/pause`, status: 200, token: admin },
    { method: 'POST', path: `/api/v1/sales/${saleId}/open`, status: 200, token: admin },
    { method: 'POST', path: `/api/v1/admin/sales/${saleId}/skus/${SKU}/block`, status: 200, token: admin },
    { method: 'GET', path: `/api/v1/sales/${saleId}`, status: 200 },
    { method: 'GET', path: '/api/v1/admin/audit', status: 200, token: admin },
    { method: 'GET', path: `/api/v1/admin/audit/${saleId}`, status: 200, token: admin },
    { method: 'GET', path: '/api/v1/admin/audit/nothing', status: 404, token: admin },
    { method: 'POST', path: `/api/v1/admin/sales/${saleId}/skus/${SKU}/unblock`, status: 200, token: admin },
    { method: 'POST', path: `/api/v1/admin/sales/${saleId}/skus/NOTHING/block`, status: 404, token: admin },
    { method: 'POST', path: `/api/v1/sales/${saleId}/close`, status: 200, token: admin },
    { method: 'POST', path: `/api/v1/sales/${saleId}/open`, status: 409, token: admin },
    { method: 'POST', path: '/api/v1/sales/nothing/pause', status: 404, token: admin },
    { method: 'GET', path: `/api/v1/admin/payments/decisions?saleId=${saleId}`, status: 200, token: admin },
    { method: 'GET', path: '/api/v1/admin/payments/decisions?limit=0', status: 422, token: admin },
    { method: 'POST', path: '/api/v1/admin/payments/reconcile', status: 200, token: admin },
    { method: 'POST', path: '/api/v1/admin/payments/pur_03nothing00/retry-refund', status: 404, token: admin },
    { method: 'GET', path: '/api/v1/admin/dead-letters', status: 200, token: admin },
    { method: 'POST', path: '/api/v1/admin/dead-letters/nothing/replay', status: 404, token: admin },
    { method: 'GET', path: '/livez', status: 200 },
    { method: 'GET', path: '/readyz', status: 200 },
    { method: 'GET', path: '/metrics', status: 200 },
    { method: 'GET', path: '/openapi.json', status: 200 },
    { method: 'GET', path: '/', status: 200 },
  ];
}

function createValidator() {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema({ $id: 'doorbuster', ...document });
  return (pointer: string, value: unknown): string => {
    const isValid = ajv.validate({ $ref: `doorbuster#${pointer}` }, value);
    return isValid ? '' : ajv.errorsText();
  };
}

const escape = (part: string) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'));

describe('the contract', () => {
  it('describes every answer as it comes, and every route is asked for', async () => {
    const validate = createValidator();
    const table = createRouteTable(api.api.routes);
    const asked = new Set<string>();
    for (const { method, path, status, token, body } of examples()) {
      const name = `${method} ${path} ${status}`;
      const match = table.find(method, path.split('?')[0] ?? '');
      if (match.kind !== 'route') {
        // Without a live page there is no route to it, and nothing to describe.
        expect(path).toBe('/');
        continue;
      }
      asked.add(`${method} ${match.route.path}`);
      const answer = await api.call(method, path, { ...(token && { token }), ...(body === undefined ? {} : { body }) });
      expect([name, answer.status, answer.body?.code]).toEqual([name, status, answer.body?.code]);
      const operation = document.paths[match.route.path][method.toLowerCase()];
      const [type = ''] = (answer.headers.get('content-type') ?? '').split(';');
      const described = Object.keys(operation.responses[status]?.content ?? {});
      expect([name, described.map((one) => one.split(';')[0])]).toEqual([name, [type]]);
      const content = `/paths/${escape(match.route.path)}/${method.toLowerCase()}/responses/${status}/content/${escape(described[0] ?? '')}/schema`;
      if (type.includes('json') && match.route.replies[status]?.contentType === undefined) {
        expect([name, validate(content, answer.body)]).toEqual([name, '']);
      }
    }
    const others = api.api.routes.map(({ method, path }) => `${method} ${path}`).filter((route) => !asked.has(route));
    expect(
      others.filter((route) => /sales|purchases|inventory|guests|livez|readyz|metrics|openapi|payments/.test(route)),
    ).toEqual([]);
  });

  it('is a document that others can read', () => {
    expect(document.openapi).toBe('3.1.0');
    const ids = Object.values<Json>(document.paths).flatMap((item) =>
      Object.values<Json>(item).map((operation) => operation.operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
    const buy = document.paths['/api/v1/sales/{saleId}/purchases'].post;
    expect(buy.parameters.map((parameter: Json) => [parameter.in, parameter.name])).toEqual([
      ['path', 'saleId'],
      ['header', 'Idempotency-Key'],
    ]);
    expect(buy.security).toEqual([{ bearer: [] }]);
    expect(buy.responses['503'].headers).toHaveProperty('Retry-After');
    expect(buy.responses['409'].headers).toHaveProperty('Retry-After');
    expect(buy.requestBody.content['application/json'].schema.properties).toHaveProperty('sku');
  });

  it('serves the live page with a policy that lets nothing foreign in', async () => {
    const answer = await api.call('GET', '/');
    if (answer.status === 404) return;
    const policy = answer.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toMatch(/script-src 'sha256-/);
    expect(policy).not.toMatch(/script-src[^;]*unsafe-inline/);
    expect(answer.body).toContain('window.__DOORBUSTER__ = {"sandboxUrl":"http://127.0.0.1:9","isProduction":false}');
  });

  it('gives guests a token outside production only, and not without end', async () => {
    const guest = await api.call('POST', '/api/v1/guests');
    expect(guest.body.userId).toMatch(/^u_guest_/);
    expect((await api.call('GET', '/api/v1/purchases/pur_none', { token: guest.body.token })).status).toBe(404);
    const many = await Promise.all(Array.from({ length: 25 }, () => api.call('POST', '/api/v1/guests')));
    expect(many.at(-1)?.status).toBe(429);
    const production = await startTestApi(api, { environment: 'production' });
    await production.api.attached;
    expect((await production.call('POST', '/api/v1/guests')).status).toBe(404);
    await production.close();
  });
});
