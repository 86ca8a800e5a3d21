// The webhook's door: what is forged, stale or unreadable changes nothing; what is genuine is stored once and never lost,
// however early, often or late it comes.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { randomId } from '../../core/ids.ts';
import { openTestPayments, type TestPayments, until, WEBHOOK_SECRET } from '../support/payments.ts';

let t: TestPayments;
beforeAll(async () => {
  // The sandbox's own events go nowhere here: the test sends what it likes.
  t = await openTestPayments({ webhookUrl: '' });
});
afterAll(() => t.close());
beforeEach(() => void t.sandbox.behave({ reset: true }));

const job = { id: 'test', attempt: 1 };
const nowSeconds = () => Math.floor(Date.now() / 1000);

interface Sent {
  id?: string;
  type?: string;
  created?: number;
  object: Record<string, unknown>;
}

function payloadOf({
  id = randomId('evt'),
  type = 'payment_intent.succeeded',
  created = nowSeconds(),
  object,
}: Sent): string {
  return JSON.stringify({ id, object: 'event', type, created, livemode: false, data: { object } });
}

async function send(payload: string, options: { secret?: string; timestamp?: number; header?: string | null } = {}) {
  const { secret = WEBHOOK_SECRET, timestamp = nowSeconds() } = options;
  const signed = t.stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp });
  const header = options.header === undefined ? signed : options.header;
  const headers: Record<string, string> = header === null ? {} : { 'stripe-signature': header };
  const hook = new URL('/api/v1/payments/webhook', t.doorUrl);
  return (await fetch(hook, { method: 'POST', body: payload, headers })).status;
}

const intentObject = (intentId: string, purchaseId: string, overrides: Record<string, unknown> = {}) => ({
  id: intentId,
  object: 'payment_intent',
  amount: 49_900,
  amount_received: 49_900,
  currency: 'inr',
  status: 'succeeded',
  metadata: { purchase_id: purchaseId },
  ...overrides,
});
const eventRow = async (eventId: string) =>
  (await t.postgres.query('SELECT * FROM payment_events WHERE event_id = $1', [eventId])).rows[0];
const settled = (eventId: string) =>
  until(async () => {
    const row = await eventRow(eventId);
    return row?.['settled_at'] instanceof Date && row;
  });
const storedCount = async () => (await t.postgres.query('SELECT 1 FROM payment_events')).rowCount;

describe('a webhook that is not genuine', () => {
  it('is refused and changes nothing, whatever is wrong with it', async () => {
    const { purchaseId, intentId } = await t.buyUntilPayable(await t.openSale());
    const before = await storedCount();
    const payload = payloadOf({ object: intentObject(intentId, purchaseId) });
    const good = t.stripe.webhooks.generateTestHeaderString({ payload, secret: WEBHOOK_SECRET });
    const tampered = payload.replace('49900', '1');
    expect(await send(payload, { secret: 'whsec_forged' })).toBe(400);
    expect(await send(payload, { header: null })).toBe(400);
    expect(await send(payload, { header: '' })).toBe(400);
    expect(await send(payload, { header: 't=abc,v1=,,,=' })).toBe(400);
    expect(await send(payload, { header: good.replace('v1=', 'v0=') })).toBe(400);
    expect(await send(tampered, { header: good })).toBe(400);
    expect(await send(payload, { timestamp: nowSeconds() - 301 })).toBe(400);
    expect(await storedCount()).toBe(before);
    expect(await t.statusOf(purchaseId)).toBe('PAYMENT_PENDING');
  });

  it('and unreadable ones are refused even with a right signature', async () => {
    const before = await storedCount();
    for (const payload of [
      'nonsense',
      '{}',
      '[]',
      'null',
      '"x"',
      '{"id":1,"type":"a"}',
      '{"id":"evt_1","type":"a","created":1,"data":{}}',
    ]) {
      expect(await send(payload)).toBe(400);
    }
    expect(await storedCount()).toBe(before);
  });
});

describe('a genuine webhook', () => {
  it('is stored and settled once, however often it is sent', async () => {
    const { purchaseId, intentId } = await t.buyUntilPayable(await t.openSale());
    const id = randomId('evt');
    const payload = payloadOf({ id, object: intentObject(intentId, purchaseId) });
    const answers = await Promise.all(Array.from({ length: 8 }, () => send(payload)));
    expect(new Set(answers)).toEqual(new Set([200]));
    expect(await settled(id)).toMatchObject({
      outcome: 'confirmed',
      attempts: 1,
      purchase_id: purchaseId,
      provider_payment_id: intentId,
    });
    expect(await send(payload)).toBe(200);
    expect(await t.statusOf(purchaseId)).toBe('CONFIRMED');
  });

  it('of a type nobody asked for is stored and left alone, also when its strings hold a NUL', async () => {
    const id = randomId('evt');
    expect(
      await send(
        payloadOf({ id, type: 'customer.created', object: { id: 'cus_1', object: 'customer', name: 'a\u0000b' } }),
      ),
    ).toBe(200);
    expect(await eventRow(id)).toMatchObject({ outcome: 'ignored: of no interest' });
  });

  it('of an intent that this shop did not make is ignored', async () => {
    const id = randomId('evt');
    expect(await send(payloadOf({ id, object: intentObject('pi_other', '', { metadata: {} }) }))).toBe(200);
    expect(await settled(id)).toMatchObject({ outcome: 'ignored: not made by this shop' });
  });

  it('that comes before its order is known waits for it', async () => {
    const sale = await t.openSale({ paymentStart: 'on_demand' });
    const purchaseId = await t.buy(sale);
    const intent = await t.stripe.paymentIntents.create(
      {
        amount: 49_900,
        currency: 'inr',
        automatic_payment_methods: { enabled: true, allow_redirects: 'never' },
        metadata: { purchase_id: purchaseId, order_id: `ord_${purchaseId.slice(4)}`, sale_id: sale.saleId },
      },
      { idempotencyKey: purchaseId },
    );
    const id = randomId('evt');
    expect(await send(payloadOf({ id, object: intentObject(intent.id, purchaseId) }))).toBe(200);
    await until(async () => Number((await eventRow(id))?.['attempts']) >= 2);
    expect(await eventRow(id)).toMatchObject({ settled_at: null, outcome: null });
    await t.drain();
    await t.payments.onPaymentWanted(purchaseId);
    expect(await settled(id)).toMatchObject({ outcome: 'confirmed' });
    expect(await t.statusOf(purchaseId)).toBe('CONFIRMED');
  });

  it('whose job was lost is found by the poll', async () => {
    const { purchaseId, intentId } = await t.buyUntilPayable(await t.openSale());
    const { createPayments } = await import('../../shop/payments/payments.ts');
    const deaf = createPayments({
      ...t.dependencies,
      queue: { ...t.dependencies.queue, add: () => Promise.reject(new Error('Redis is away')) },
    });
    const id = randomId('evt');
    const payload = payloadOf({ id, object: intentObject(intentId, purchaseId) });
    const signature = t.stripe.webhooks.generateTestHeaderString({ payload, secret: WEBHOOK_SECRET });
    await deaf.receive(Buffer.from(payload), signature);
    expect(await eventRow(id)).toMatchObject({ settled_at: null });
    expect(await t.payments.settlePending()).toBe(0);
    await t.postgres.query(
      "UPDATE payment_events SET received_at = received_at - interval '6 seconds' WHERE event_id = $1",
      [id],
    );
    expect(await t.payments.settlePending()).toBe(1);
    expect(await settled(id)).toMatchObject({ outcome: 'confirmed' });
  });
});

describe('events in the wrong order', () => {
  it('a failure after the success changes nothing', async () => {
    const { purchaseId, intentId } = await t.buyUntilPayable(await t.openSale());
    const [paid, failed] = [randomId('evt'), randomId('evt')];
    await send(payloadOf({ id: paid, object: intentObject(intentId, purchaseId) }));
    await settled(paid);
    const object = intentObject(intentId, purchaseId, {
      amount_received: 0,
      last_payment_error: { code: 'card_declined' },
    });
    await send(payloadOf({ id: failed, type: 'payment_intent.payment_failed', object }));
    expect(await settled(failed)).toMatchObject({ outcome: 'ignored: older than what is known' });
    expect(await t.statusOf(purchaseId)).toBe('CONFIRMED');
    expect(await t.paymentOf(purchaseId)).toMatchObject({ status: 'succeeded' });
  });

  it('an older processing does not undo a failure, a newer one does', async () => {
    const { purchaseId, intentId } = await t.buyUntilPayable(await t.openSale());
    const at = nowSeconds();
    const step = async (type: string, created: number) => {
      const id = randomId('evt');
      const object = intentObject(intentId, purchaseId, {
        amount_received: 0,
        last_payment_error: { code: 'card_declined' },
      });
      await send(payloadOf({ id, type, created, object }));
      return (await settled(id))['outcome'];
    };
    expect(await step('payment_intent.payment_failed', at - 10)).toBe('failed: card_declined');
    expect(await step('payment_intent.processing', at - 20)).toBe('ignored: older than what is known');
    expect(await t.statusOf(purchaseId)).toBe('PAYMENT_FAILED');
    expect(await step('payment_intent.processing', at)).toBe('processing');
    expect(await t.statusOf(purchaseId)).toBe('PAYMENT_PENDING');
  });
});

describe('an event that cannot be right', () => {
  it("is left to an operator: a wrong amount, a wrong currency, an intent that is not the purchase's", async () => {
    const { purchaseId, intentId } = await t.buyUntilPayable(await t.openSale());
    const wrongs = [
      intentObject(intentId, purchaseId, { amount_received: 1 }),
      intentObject(intentId, purchaseId, { currency: 'usd' }),
      intentObject('pi_elsewhere', purchaseId),
    ];
    for (const object of wrongs) {
      const id = randomId('evt');
      expect(await send(payloadOf({ id, object }))).toBe(200);
      await until(async () => String((await eventRow(id))?.['outcome']).startsWith('dead: '));
      expect(await eventRow(id)).toMatchObject({ settled_at: null });
    }
    expect(await t.statusOf(purchaseId)).toBe('PAYMENT_PENDING');
    const dead = await until(async () => {
      const letters = await t.deadLetters();
      return letters.length === 3 && letters;
    });
    expect(dead.map((letter) => letter.reason).join(' ')).toContain('49900 INR were due');
    await t.postgres.query(
      "UPDATE payment_events SET received_at = received_at - interval '1 hour' WHERE settled_at IS NULL",
    );
    expect(await t.payments.settlePending()).toBe(0);
  });
});

describe('events that share a job', () => {
  it('are settled one by one: the bad one goes its own way, the others are not repeated', async () => {
    const sale = await t.openSale();
    const [a, b] = [await t.buyUntilPayable(sale), await t.buyUntilPayable(sale)];
    const { createPayments } = await import('../../shop/payments/payments.ts');
    const deaf = createPayments({ ...t.dependencies, queue: { ...t.dependencies.queue, add: async () => {} } });
    const ids = [randomId('evt'), randomId('evt'), randomId('evt')];
    const objects = [
      intentObject(a.intentId, a.purchaseId),
      intentObject(a.intentId, a.purchaseId, { amount_received: 7 }),
      intentObject(b.intentId, b.purchaseId),
    ];
    await Promise.all(
      ids.map((id, i) => {
        const payload = payloadOf({ id, object: objects[i] ?? {} });
        const signature = t.stripe.webhooks.generateTestHeaderString({ payload, secret: WEBHOOK_SECRET });
        return deaf.receive(Buffer.from(payload), signature);
      }),
    );
    await t.payments.handlers['payment.settle']({ eventIds: ids }, job);
    expect(await Promise.all(ids.map(async (id) => (await eventRow(id))?.['outcome']))).toEqual([
      'confirmed',
      expect.stringContaining('dead: '),
      'confirmed',
    ]);
    await until(async () =>
      (await t.deadLetters()).some(({ payload }) => JSON.stringify(payload).includes(ids[1] ?? '')),
    );
    expect(await eventRow(ids[0] ?? '')).toMatchObject({ attempts: 1 });
  });
});

describe('a paid order that is taken back', () => {
  it('gets its money back once, and only after Redis has taken the stock back', async () => {
    const sale = await t.openSale();
    const { purchaseId, intentId } = await t.buyUntilPayable(sale);
    await t.stripe.paymentIntents.confirm(intentId, { payment_method: 'pm_card_visa' });
    const id = randomId('evt');
    await send(payloadOf({ id, object: intentObject(intentId, purchaseId) }));
    await settled(id);
    const refundsOf = () => t.sandbox.refunds().filter((refund) => refund.payment_intent === intentId);
    await t.payments.handlers['payment.refund']({ keys: [purchaseId] }, job);
    expect(refundsOf()).toEqual([]);
    await t.stock.release([{ purchaseId, reason: 'REFUND' }]);
    await t.payments.handlers['payment.refund']({ keys: [purchaseId] }, job);
    await t.payments.handlers['payment.refund']({ keys: [purchaseId, 'pur_03unknown00'] }, job);
    await t.payments.handlers['payment.cancel']({ purchaseIds: [purchaseId] }, job);
    expect(refundsOf()).toMatchObject([{ amount: 49_900 }]);
    expect(await t.paymentOf(purchaseId)).toMatchObject({ status: 'refunded', reason: 'ORDER_CANCELLED' });
    expect((await t.stock.snapshot([sale.saleId]))[0]?.items[0]).toMatchObject({ available: 10, sold: 0 });
  });
});
