// Who may do what to whose: every route of the one table, asked by everybody about something that is the owner's and about
// something that never was. A route that is not in the matrix fails the test.
import Stripe from 'stripe';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomId } from '../../core/ids.ts';
import type { Json, TestAnswer } from '../support/api.ts';
import { type Asker, ASKERS, type MatrixWorld, openMatrixWorld, type Things } from '../support/matrix-world.ts';

interface Row {
  /** The status for each who asks, in the order of the columns below. */
  theirs: string;
  /** The same about what does not exist; absent where nothing is named. */
  missing?: string;
  body?: (things: Things) => unknown;
  /** The order is paid, and its payment is there. */
  isPaid?: true;
  /** Each who asks gets things of their own to ask about, since asking changes them. */
  isFresh?: true;
}

const EVERYBODY = '200 200 200 200 200 200 200';
const ADMIN_ONLY = '401 401 401 403 403 200 403';
const ADMIN_MISSES = '401 401 401 403 403 404 403';
const USERS_MISS = '401 401 401 404 404 404 404';
const item = (sku: string) => ({ name: 'Matrix', items: [{ sku, stock: 1, price: 1, currency: 'INR' }] });

// oxfmt-ignore
// biome-ignore format: a matrix is read in columns
const MATRIX: Record<string, Row> = {
  //                                            none fo. ex. own oth adm int
  'GET /':                            { theirs: EVERYBODY },
  'GET /livez':                       { theirs: EVERYBODY },
  'GET /readyz':                      { theirs: EVERYBODY },
  'GET /metrics':                     { theirs: EVERYBODY },
  'GET /openapi.json':                { theirs: EVERYBODY },
  'POST /api/v1/guests':              { theirs: '201 201 201 201 201 201 201' },
  // Nobody is let in by who they are: the provider's signature decides, see below.
  'POST /api/v1/payments/webhook':    { theirs: '400 400 400 400 400 400 400', body: () => ({ type: 'payment_intent.succeeded' }) },

  'GET /api/v1/sales':                { theirs: EVERYBODY },
  'GET /api/v1/sales/{saleId}':       { theirs: EVERYBODY, missing: '404 404 404 404 404 404 404' },
  'GET /api/v1/inventory/{sku}':      { theirs: EVERYBODY, missing: '404 404 404 404 404 404 404' },

  'POST /api/v1/sales':               { theirs: '401 401 401 403 403 201 403', body: () => item(randomId('sku')) },
  'POST /api/v1/sales/{saleId}/open': { theirs: ADMIN_ONLY, missing: ADMIN_MISSES },
  'POST /api/v1/sales/{saleId}/pause': { theirs: ADMIN_ONLY, missing: ADMIN_MISSES, isFresh: true },
  'POST /api/v1/sales/{saleId}/close': { theirs: ADMIN_ONLY, missing: ADMIN_MISSES, isFresh: true },
  'POST /api/v1/inventory/adjust':    { theirs: ADMIN_ONLY, missing: ADMIN_MISSES, body: ({ sku }) => ({ sku, quantity: 1 }) },
  'POST /api/v1/inventory/reserve':   { theirs: '401 401 401 403 403 201 201', missing: '401 401 401 403 403 404 404',
                                        body: ({ sku }) => ({ orderId: randomId('hold'), items: [{ sku, quantity: 1 }] }) },
  'POST /api/v1/inventory/release':   { theirs: '401 401 401 403 403 200 200', missing: '401 401 401 403 403 404 404',
                                        body: ({ holdId }) => ({ orderId: holdId }) },

  // Whoever has a token may buy, each for themselves.
  'POST /api/v1/sales/{saleId}/purchases': { theirs: '401 401 401 201 201 201 201', missing: USERS_MISS, body: ({ sku }) => ({ sku }) },
  // A purchase is its buyer's alone: an operator sees the order and the audit.
  'GET /api/v1/purchases/{purchaseId}':    { theirs: '401 401 401 200 404 404 404', missing: USERS_MISS },
  'DELETE /api/v1/purchases/{purchaseId}': { theirs: '401 401 401 200 404 404 404', missing: USERS_MISS, isFresh: true },

  'GET /api/v1/orders':                    { theirs: '401 401 401 200 200 200 200' },
  'GET /api/v1/orders/{orderId}':          { theirs: '401 401 401 200 404 200 404', missing: USERS_MISS },
  'POST /api/v1/orders/{orderId}/cancel':  { theirs: '401 401 401 200 404 200 404', missing: USERS_MISS, isFresh: true },
  'POST /api/v1/orders/{orderId}/refund':  { theirs: ADMIN_ONLY, missing: ADMIN_MISSES, isPaid: true, isFresh: true },

  'POST /api/v1/payments/initiate':        { theirs: '401 401 401 202 404 404 404', missing: USERS_MISS, body: ({ purchaseId }) => ({ purchaseId }) },
  'GET /api/v1/payments/{paymentId}':      { theirs: '401 401 401 200 404 200 404', missing: USERS_MISS, isPaid: true },

  'GET /api/v1/admin/audit':               { theirs: ADMIN_ONLY },
  'GET /api/v1/admin/audit/{saleId}':      { theirs: ADMIN_ONLY, missing: ADMIN_MISSES },
  'POST /api/v1/admin/sales/{saleId}/skus/{sku}/block':   { theirs: ADMIN_ONLY, missing: ADMIN_MISSES, body: () => ({}) },
  'POST /api/v1/admin/sales/{saleId}/skus/{sku}/unblock': { theirs: ADMIN_ONLY, missing: ADMIN_MISSES },
  'GET /api/v1/admin/dead-letters':        { theirs: ADMIN_ONLY },
  'GET /api/v1/admin/payments/decisions':  { theirs: ADMIN_ONLY },
  // Let in; where there is something to compare, the provider of these tests is nowhere.
  'POST /api/v1/admin/payments/reconcile': { theirs: '401 401 401 403 403 (200|503) 403' },
  // Paid and not refunded: there is nothing to try again.
  'POST /api/v1/admin/payments/{purchaseId}/retry-refund': { theirs: '401 401 401 403 403 409 403', missing: ADMIN_MISSES, isPaid: true },
  'POST /api/v1/admin/dead-letters/{id}/replay': { theirs: ADMIN_MISSES },
};

let world: MatrixWorld;
beforeAll(async () => {
  world = await openMatrixWorld();
});
afterAll(() => world?.close());

let requests = 0;
/** From an address of its own each time, so that no limit of addresses answers in a route's place. */
function address(): string {
  requests += 1;
  return `198.51.${requests >> 8}.${requests & 255}`;
}

async function ask(name: string, asker: Asker, things: Things, requestId = 'matrix'): Promise<TestAnswer> {
  const [method = '', path = ''] = name.split(' ');
  const filled = path.replaceAll(
    /\{(\w+)\}/g,
    (_, key: string) => ({ ...things, id: 'outbox:none' })[key as keyof Things],
  );
  const token = await world.tokenOf(asker);
  const body = MATRIX[name]?.body?.(things);
  const headers = { 'x-forwarded-for': address(), 'x-request-id': requestId };
  return world.api.call(method, filled, {
    headers,
    ...(token === undefined ? {} : { token }),
    ...(body === undefined ? {} : { body }),
  });
}

async function askAll(name: string, make: () => Promise<Things>, isFresh: boolean): Promise<string> {
  const shared = isFresh ? undefined : await make();
  const statuses: number[] = [];
  for (const asker of ASKERS) statuses.push((await ask(name, asker, shared ?? (await make()))).status);
  return statuses.join(' ');
}

describe('the authorisation matrix', () => {
  it('has every route of the table, and no other', () => {
    const routes = world.api.api.routes.map(({ method, path }) => `${method} ${path}`);
    expect(Object.keys(MATRIX).toSorted()).toEqual(routes.toSorted());
    for (const row of Object.values(MATRIX)) {
      for (const statuses of [row.theirs, row.missing ?? EVERYBODY])
        expect(statuses.split(' ')).toHaveLength(ASKERS.length);
    }
  });

  it.each(Object.entries(MATRIX))('%s', async (name, { theirs, missing, isPaid = false, isFresh = false }) => {
    expect(await askAll(name, () => world.make({ isPaid }), isFresh)).toMatch(new RegExp(`^${theirs}$`));
    if (missing !== undefined) expect(await askAll(name, async () => world.missing(), false)).toBe(missing);
  });

  it('names in each row what its route is told to require', () => {
    for (const { method, path, access } of world.api.api.routes) {
      const [none, , , owner, , admin, internal] = (MATRIX[`${method} ${path}`]?.theirs ?? '').split(' ');
      const closed = { public: [], user: [none], admin: [none, owner, internal], internal: [none, owner] }[access];
      for (const status of closed) expect(['401', '403'], `${method} ${path}`).toContain(status);
      expect(['401', '403'], `${method} ${path}`).not.toContain(admin);
    }
  });
});

/** All that an answer tells, without what names the thing itself and the moment. */
function told({ status, headers, body }: TestAnswer, things: Things): string {
  let text = JSON.stringify({
    status,
    body: { ...body, timestamp: '' },
    headers: [...headers].filter(([name]) => name !== 'date'),
  });
  for (const [name, value] of Object.entries(things)) text = text.replaceAll(value, name);
  return text;
}

describe("another's", () => {
  const hidden = Object.entries(MATRIX).filter(([, { missing }]) => missing === USERS_MISS);

  it('are all that a buyer has', () => {
    expect(hidden.map(([name]) => name)).toEqual(expect.arrayContaining(['GET /api/v1/orders/{orderId}']));
    expect(hidden.length).toBeGreaterThanOrEqual(7);
  });

  it.each(hidden.filter(([name]) => !name.startsWith('POST /api/v1/sales')))(
    '%s answers as if there were none',
    async (name, { isPaid = false }) => {
      const [theirs, none] = [await world.make({ isPaid }), world.missing()];
      for (const asker of ['other', 'internal'] as const) {
        const [found, lost] = [await ask(name, asker, theirs), await ask(name, asker, none)];
        expect(found.status).toBe(404);
        expect(told(found, theirs)).toBe(told(lost, none));
      }
    },
  );

  it('key gets nobody the purchase of another', async () => {
    const { saleId, sku } = await world.make();
    const buy = async (asker: Asker) => {
      const token = (await world.tokenOf(asker)) ?? '';
      const headers = { 'idempotency-key': 'the-same', 'x-forwarded-for': address() };
      return world.api.call('POST', `/api/v1/sales/${saleId}/purchases`, { token, headers, body: { sku } });
    };
    const [mine, again, theirs] = [await buy('owner'), await buy('owner'), await buy('other')];
    expect(again.body.purchaseId).toBe(mine.body.purchaseId);
    expect([theirs.status, theirs.body.purchaseId === mine.body.purchaseId]).toEqual([201, false]);
  });

  it('orders are in no list but their own, and no secret is for an operator', async () => {
    const { orderId, paymentId } = await world.make({ isPaid: true });
    const listed = async (asker: Asker) =>
      (await ask('GET /api/v1/orders', asker, world.missing())).body.items.map((order: Json) => order.orderId);
    expect(await listed('owner')).toContain(orderId);
    for (const asker of ['other', 'admin', 'internal'] as const) expect(await listed(asker)).not.toContain(orderId);
    await world.api.database.postgres.query('UPDATE payments SET client_secret = $2 WHERE payment_id = $1', [
      paymentId,
      'pi_x_secret_y',
    ]);
    const things = { ...world.missing(), paymentId };
    expect(JSON.stringify((await ask('GET /api/v1/payments/{paymentId}', 'admin', things)).body)).not.toContain(
      'secret_y',
    );
  });
});

describe('the webhook', () => {
  it('lets nobody in by role, and anybody with the signature', async () => {
    const payload = JSON.stringify({
      id: randomId('evt'),
      object: 'event',
      created: 1,
      type: 'customer.created',
      data: { object: { id: 'cus_1', object: 'customer' } },
    });
    const { webhookSecret } = world.api.config.stripe;
    const signature = Stripe.webhooks.generateTestHeaderString({ payload, secret: webhookSecret });
    const send = async (asker: Asker, header: string) => {
      const token = await world.tokenOf(asker);
      const headers = { 'stripe-signature': header, 'x-forwarded-for': address() };
      const answer = await world.api.call('POST', '/api/v1/payments/webhook', {
        raw: payload,
        headers,
        ...(token && { token }),
      });
      return answer.status;
    };
    expect(await Promise.all(ASKERS.map((asker) => send(asker, signature)))).toEqual(ASKERS.map(() => 200));
    expect(await Promise.all(ASKERS.map((asker) => send(asker, `${signature}0`)))).toEqual(ASKERS.map(() => 400));
  });
});

describe('a socket', () => {
  const isError = (message: Json) => message.type === 'error';

  it('of nobody is told nothing, not even a line', async () => {
    const things = await world.make();
    for (const type of ['subscribe', 'unsubscribe', 'buy', 'resume']) {
      const socket = await world.api.socket();
      socket.send({
        type,
        id: type,
        saleId: things.saleId,
        sku: things.sku,
        quantity: 1,
        purchaseIds: [things.purchaseId],
      });
      expect(await socket.next(isError)).toMatchObject({ id: type, code: 'UNAUTHENTICATED' });
      socket.close();
    }
  });

  it.each(['owner', 'other', 'admin', 'internal'] as const)(
    'of %s sees every line and its own purchases',
    async (asker) => {
      const [things, none] = [await world.make(), world.missing()];
      const token = (await world.tokenOf(asker)) ?? '';
      const socket = await world.api.socket({ token });
      socket.send({ type: 'subscribe', saleId: things.saleId, sku: things.sku });
      expect(await socket.next((m) => m.type === 'line')).toMatchObject({ sku: things.sku });
      socket.send({ type: 'resume', id: 'theirs', purchaseIds: [things.purchaseId] });
      socket.send({ type: 'resume', id: 'none', purchaseIds: [none.purchaseId] });
      const [theirs, lost] = [await socket.next((m) => m.id === 'theirs'), await socket.next((m) => m.id === 'none')];
      if (asker === 'owner') expect(theirs).toMatchObject({ type: 'purchase', purchaseId: things.purchaseId });
      else expect({ ...theirs, id: '', purchaseId: '' }).toEqual({ ...lost, id: '', purchaseId: '' });
      expect(lost).toMatchObject({ type: 'error', code: 'PURCHASE_NOT_FOUND' });
      socket.send({ type: 'buy', id: 'mine', saleId: things.saleId, sku: things.sku, quantity: 1 });
      expect(await socket.next((m) => m.id === 'mine')).toMatchObject({ type: 'purchase', status: 'RESERVED' });
      socket.close();
    },
  );

  it("hears nothing of another's purchase", async () => {
    const things = await world.make();
    const [owner, other] = [
      await world.api.socket({ token: (await world.tokenOf('owner')) ?? '' }),
      await world.api.socket({ token: (await world.tokenOf('other')) ?? '' }),
    ];
    owner.send({ type: 'resume', id: 1, purchaseIds: [things.purchaseId] });
    await owner.next((m) => m.id === 1);
    expect((await ask('DELETE /api/v1/purchases/{purchaseId}', 'owner', things)).status).toBe(200);
    // The same news was handed to every socket of this process by then.
    await owner.next((m) => m.purchaseId === things.purchaseId && m.status === 'CANCELLED');
    other.send({ type: 'ping', id: 'after' });
    await other.next((m) => m.id === 'after');
    expect(JSON.stringify(other.messages)).not.toContain(things.purchaseId);
    owner.close();
    other.close();
  });
});
