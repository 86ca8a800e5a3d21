// Input of every kind that nobody should send: each gets an answer that names what is wrong, none a 5xx, none changes a count.
import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JWT_SECRET, newBuyer, openSale, startTestApi, type TestApi, tokenOf } from '../support/api.ts';

let api: TestApi;
let saleId: string;
let sku: string;
let token: string;
let admin: string;

beforeAll(async () => {
  api = await startTestApi();
  await api.api.attached;
  ({ saleId, sku } = await openSale(api));
  ({ token } = await newBuyer());
  admin = await tokenOf('u_operator', 'ADMIN');
});
afterAll(() => api?.close());

const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const sign = (signed: string, secret = JWT_SECRET, hash = 'sha256') =>
  `${signed}.${createHmac(hash, secret).update(signed).digest('base64url')}`;
const inAnHour = () => Math.floor(Date.now() / 1000) + 3_600;

describe('bodies that are no purchase', () => {
  const cases: [string, unknown, string][] = [
    ['no sku', { quantity: 1 }, 'sku'],
    ['a sku that is a number', { sku: 1, quantity: 1 }, 'sku'],
    ['a sku with a space', { sku: 'A B', quantity: 1 }, 'sku'],
    ['a sku with a hash tag of Redis', { sku: '{p0}:fence', quantity: 1 }, 'sku'],
    ['a sku of 65 characters', { sku: 'A'.repeat(65), quantity: 1 }, 'sku'],
    ['a sku in another script', { sku: 'РУБАШКА', quantity: 1 }, 'sku'],
    ['quantity zero', { sku: 'A', quantity: 0 }, 'quantity'],
    ['a negative quantity', { sku: 'A', quantity: -1 }, 'quantity'],
    ['half a unit', { sku: 'A', quantity: 0.5 }, 'quantity'],
    ['a quantity in a string', { sku: 'A', quantity: '1' }, 'quantity'],
    ['a huge quantity', { sku: 'A', quantity: 1e300 }, 'quantity'],
    ['quantity null', { sku: 'A', quantity: null }, 'quantity'],
    ['a list', [], 'body'],
    ['a string', 'buy', 'body'],
    ['null', null, 'body'],
  ];
  it.each(cases)('%s is a 422 that names the field', async (_, body, field) => {
    const answer = await api.call('POST', `/api/v1/sales/${saleId}/purchases`, { token, body });
    expect([answer.status, answer.body.code]).toEqual([422, 'VALIDATION_FAILED']);
    expect(answer.body.fields.map((one: { field: string }) => one.field)).toContain(field);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
  });

  const raws: [string, string | Uint8Array, string][] = [
    ['half a body', '{"sku":', 'INVALID_JSON'],
    ['nothing', '', 'INVALID_JSON'],
    ['bytes', new Uint8Array([0xff, 0xfe, 0x00, 0x80]), 'INVALID_JSON'],
    ['a NUL in a string', '{"sku":"A\\u0000B"}', 'INVALID_JSON'],
    ['brackets without end', '['.repeat(60_000), 'INVALID_JSON'],
    ['a letter cut in half', Buffer.from('{"sku":"caf\u00e9"}', 'latin1'), 'INVALID_JSON'],
    ['two bodies', '{"sku":"A"}{"sku":"B"}', 'INVALID_JSON'],
  ];
  it.each(raws)('%s is a 400', async (_, raw, code) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await api.call('POST', `/api/v1/sales/${saleId}/purchases`, { token, raw, headers });
    expect([answer.status, answer.body.code]).toEqual([400, code]);
  });

  it('a NUL is refused where it is, and what only looks like one is not', async () => {
    const send = (name: string) =>
      api.call('POST', `/api/v1/sales/${saleId}/purchases`, {
        token,
        raw: `{"sku":"none","${name}":["x"]}`,
        headers: { 'content-type': 'application/json' },
      });
    expect((await send('no\\u0000te')).body.fields).toEqual([{ field: 'note', message: 'must not contain NUL' }]);
    expect((await send('no\\\\u0000te')).body.code).toBe('SKU_NOT_FOUND');
    const query = await api.call('GET', '/api/v1/sales?after=%00');
    expect([query.status, query.body.fields[0].field]).toEqual([400, 'after']);
  });

  it('tells a prototype from a purchase', async () => {
    const raw = `{"__proto__":{"sku":"${sku}","quantity":1},"constructor":{"prototype":{"sku":"A"}}}`;
    const answer = await api.call('POST', `/api/v1/sales/${saleId}/purchases`, {
      token,
      raw,
      headers: { 'content-type': 'application/json' },
    });
    expect(answer.body.code).toBe('VALIDATION_FAILED');
    expect(({} as { sku?: string }).sku).toBeUndefined();
  });

  it('names the field of a sale, down to the item', async () => {
    const item = { sku: 'HOSTILE-1', stock: 5, price: 10, currency: 'INR' };
    const send = async (sale: Record<string, unknown>) => {
      const answer = await api.call('POST', '/api/v1/sales', {
        token: admin,
        body: { name: 'x', items: [item], ...sale },
      });
      expect(answer.status).toBe(422);
      return answer.body.fields.map((one: { field: string }) => one.field);
    };
    expect(await send({ items: [{ ...item, stock: -1 }] })).toEqual(['items[0].stock']);
    expect(await send({ items: [item, { ...item, sku: 'HOSTILE-2', price: 1.234 }] })).toEqual(['items[1].price']);
    expect(await send({ items: [{ ...item, price: 1.5, currency: 'JPY' }] })).toEqual(['items[0].price']);
    expect(await send({ items: [item, item] })).toEqual(['items[1].sku']);
    expect(await send({ items: [] })).toEqual(['items']);
    expect(await send({ items: [{ ...item, currency: 'rupees' }] })).toEqual(['items[0].currency']);
    expect(await send({ opensAt: 'noon' })).toEqual(['opensAt']);
    expect(await send({ opensAt: '2026-13-45T99:00:00Z' })).toEqual(['opensAt']);
    expect(await send({ opensAt: '2030-01-02T00:00:00Z', closesAt: '2030-01-01T00:00:00Z' })).toEqual(['closesAt']);
    expect(await send({ closesAt: '2001-01-01T00:00:00Z' })).toEqual(['closesAt']);
    expect(await send({ holdSeconds: 0 })).toEqual(['holdSeconds']);
    expect(await send({ perBuyerLimit: 101 })).toEqual(['perBuyerLimit']);
    expect(await send({ admissionPerSecond: 0 })).toEqual(['admissionPerSecond']);
    expect(await send({ paymentStart: 'never' })).toEqual(['paymentStart']);
    expect(await send({ name: 'bell \u0007' })).toEqual(['name']);
    const sales = await api.call('GET', '/api/v1/inventory/HOSTILE-1');
    expect(sales.body.code).toBe('SKU_NOT_FOUND');
  });
});

describe('tokens that are none', () => {
  const claims = { sub: 'u_forger', role: 'ADMIN', exp: inAnHour() };
  const header = base64({ alg: 'HS256', typ: 'JWT' });
  const cases: [string, string, string][] = [
    ['no token at all', '', 'UNAUTHENTICATED'],
    ['a word', 'Bearer hello', 'UNAUTHENTICATED'],
    ['another scheme', `Basic ${Buffer.from('a:b').toString('base64')}`, 'UNAUTHENTICATED'],
    ['another secret', `Bearer ${sign(`${header}.${base64(claims)}`, 'another secret')}`, 'UNAUTHENTICATED'],
    ['algorithm none', `Bearer ${base64({ alg: 'none' })}.${base64(claims)}.`, 'UNAUTHENTICATED'],
    [
      'another algorithm',
      `Bearer ${sign(`${base64({ alg: 'HS512' })}.${base64(claims)}`, JWT_SECRET, 'sha512')}`,
      'UNAUTHENTICATED',
    ],
    [
      'the wrong claims under a right signature',
      `Bearer ${sign(`${header}.${base64({ ...claims, sub: 'root' })}`)}`,
      'UNAUTHENTICATED',
    ],
    ['an unknown role', `Bearer ${sign(`${header}.${base64({ ...claims, role: 'ROOT' })}`)}`, 'UNAUTHENTICATED'],
    ['no end', `Bearer ${sign(`${header}.${base64({ sub: 'u_x', role: 'USER' })}`)}`, 'UNAUTHENTICATED'],
    ['its end in the past', `Bearer ${sign(`${header}.${base64({ ...claims, exp: 1_000 })}`)}`, 'TOKEN_EXPIRED'],
    ['3,000 characters', `Bearer ${'a'.repeat(3_000)}`, 'UNAUTHENTICATED'],
  ];
  it.each(cases)('%s is a 401', async (_, authorization, code) => {
    const headers: Record<string, string> = authorization === '' ? {} : { authorization };
    const answer = await api.call('POST', `/api/v1/sales/${saleId}/close`, { headers });
    expect([answer.status, answer.body.code]).toEqual([401, code]);
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
  });

  it('lets nobody do what their role does not allow', async () => {
    const service = await tokenOf('u_service', 'INTERNAL');
    const statuses = await Promise.all([
      api.call('POST', `/api/v1/sales/${saleId}/close`, { token }),
      api.call('POST', `/api/v1/sales/${saleId}/close`, { token: service }),
      api.call('POST', '/api/v1/inventory/adjust', { token: service, body: { sku, quantity: 1 } }),
      api.call('POST', '/api/v1/inventory/reserve', { token, body: { orderId: 'o', items: [{ sku, quantity: 1 }] } }),
    ]);
    expect(statuses.map(({ status, body }) => [status, body.code])).toEqual(statuses.map(() => [403, 'FORBIDDEN']));
  });

  it('slows an address down that goes on forging, and nobody who has a token or lost one', async () => {
    const tries = await Promise.all(
      Array.from({ length: 80 }, () => api.call('GET', '/api/v1/purchases/pur_x', { token: 'forged' })),
    );
    const limited = tries.filter(({ status }) => status === 429);
    expect(limited.length).toBeGreaterThan(0);
    expect(limited[0]?.headers.get('retry-after')).toMatch(/^\d+$/);
    expect((await api.call('GET', '/api/v1/purchases/pur_x', { token })).status).toBe(404);
    expect((await api.call('GET', '/api/v1/purchases/pur_x')).status).toBe(401);
  });
});

describe('addresses and headers', () => {
  it.each([
    ['/api/v1/sales/sale_99zzzzzzzzzzzzzz', 'SALE_NOT_FOUND'],
    ['/api/v1/sales/%7Bp0%7D', 'SALE_NOT_FOUND'],
    ['/api/v1/sales/%E0%A4%A', 'NOT_FOUND'],
    ['/api/v1/sales/a%00b', 'NOT_FOUND'],
    ['/api/v1/sales/' + 'x'.repeat(500), 'NOT_FOUND'],
    ['/api/v1/inventory/NEVER-SOLD', 'SKU_NOT_FOUND'],
    ['/api/v1/inventory/%F0%9F%91%95', 'SKU_NOT_FOUND'],
    ['/api/v1/nothing', 'NOT_FOUND'],
    ['/api/v1/sales/', 'NOT_FOUND'],
    ['/../../etc/passwd', 'NOT_FOUND'],
  ])('%s is not found', async (path, code) => {
    const answer = await api.call('GET', path);
    expect([answer.status, answer.body.code]).toEqual([404, code]);
  });

  it('refuses what a list of sales cannot be asked for', async () => {
    for (const query of ['limit=0', 'limit=many', 'limit=1e9', 'status=GONE', 'limit=-1']) {
      const answer = await api.call('GET', `/api/v1/sales?${query}`);
      expect([query, answer.status]).toEqual([query, 422]);
    }
    expect((await api.call('GET', '/api/v1/sales?after=%00')).status).toBe(400);
    expect((await api.call('GET', '/api/v1/sales?after=nobody')).body).toEqual({ items: [], next: null });
  });

  it('names the methods that an address has', async () => {
    const answer = await api.call('PATCH', '/api/v1/sales');
    expect([answer.status, answer.body.code]).toEqual([405, 'METHOD_NOT_ALLOWED']);
    expect(answer.headers.get('allow')).toBe('POST, GET, HEAD, OPTIONS');
  });

  it('takes JSON only', async () => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const answer = await api.call('POST', `/api/v1/sales/${saleId}/purchases`, { token, raw: 'sku=A', headers });
    expect([answer.status, answer.body.code]).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE']);
  });

  it.each([
    ['too long', 'k'.repeat(256)],
    ['with a space', 'a b'],
  ])('refuses an idempotency key %s', async (_, key) => {
    const answer = await api.call('POST', `/api/v1/sales/${saleId}/purchases`, {
      token,
      body: { sku },
      headers: { 'idempotency-key': key },
    });
    expect([answer.status, answer.body.code]).toEqual([400, 'BAD_REQUEST']);
  });

  it('refuses a body over the limit, told or counted', async () => {
    const told = await api.call('POST', '/api/v1/sales', { token: admin, body: { name: 'x'.repeat(70_000) } });
    expect([told.status, told.body.code]).toEqual([413, 'BODY_TOO_LARGE']);
    const stream = new ReadableStream({
      pull(controller) {
        controller.enqueue(new Uint8Array(32_000).fill(0x20));
      },
    });
    const response = await fetch(`${api.url}/api/v1/sales`, {
      method: 'POST',
      headers: { authorization: `Bearer ${admin}`, 'content-type': 'application/json' },
      body: stream,
      duplex: 'half',
    }).catch((error: unknown) => error);
    // The client may notice the closed connection before it reads the answer; what counts is that it ends.
    if (response instanceof Response) expect(response.status).toBe(413);
  });

  it('carries the members of RFC 9457 and of the seed in every error', async () => {
    const answer = await api.call('GET', '/api/v1/purchases/pur_unknown', {
      token,
      headers: { 'x-request-id': 'mine-1' },
    });
    expect(answer.body).toMatchObject({
      type: 'urn:doorbuster:error:PURCHASE_NOT_FOUND',
      status: 404,
      instance: '/api/v1/purchases/pur_unknown',
      error: 'Not Found',
      path: '/api/v1/purchases/pur_unknown',
      code: 'PURCHASE_NOT_FOUND',
      requestId: 'mine-1',
    });
    expect(answer.body.message).toBe(answer.body.detail);
    expect(Date.parse(answer.body.timestamp)).not.toBeNaN();
    expect(answer.headers.get('x-request-id')).toBe('mine-1');
  });

  it('lets any origin call, and answers the question before the call', async () => {
    const preflight = await api.call('OPTIONS', `/api/v1/sales/${saleId}/purchases`, {
      headers: { origin: 'https://shop.example', 'access-control-request-method': 'POST' },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-methods')).toBe('POST, OPTIONS');
    expect(preflight.headers.get('access-control-allow-headers')).toContain('Idempotency-Key');
    for (const path of ['/api/v1/sales', '/api/v1/nothing', '/api/v1/purchases/pur_1']) {
      expect((await api.call('GET', path)).headers.get('access-control-allow-origin')).toBe('*');
    }
  });

  it('answers HEAD like GET, without the body', async () => {
    const response = await fetch(`${api.url}/api/v1/sales/${saleId}`, { method: 'HEAD' });
    expect(response.status).toBe(200);
    expect(Number(response.headers.get('content-length'))).toBeGreaterThan(100);
    expect(await response.text()).toBe('');
  });
});

it('none of it has changed a count', async () => {
  const { body } = await api.call('GET', `/api/v1/inventory/${sku}`);
  expect(body).toMatchObject({ loaded: 10, available: 10, held: 0, sold: 0, waiting: 0 });
});
