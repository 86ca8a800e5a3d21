// The official SDK against the bundled sandbox: what it is told must be what Stripe would tell it.
import { appendFile } from 'node:fs/promises';
import Stripe from 'stripe';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { SECRET_KEY, sdkFor, until, WEBHOOK_SECRET } from '../support/payments.ts';
import { temporaryDirectory } from '../support/stack.ts';

let sandbox: Sandbox;
let stripe: Stripe;
const options = { port: 0, secretKey: SECRET_KEY, webhookSecret: WEBHOOK_SECRET, webhookUrl: '' };
beforeAll(async () => {
  sandbox = await createSandbox(options);
  stripe = sdkFor(sandbox.url);
});
afterAll(() => sandbox.close());
beforeEach(() => void sandbox.behave({ reset: true }));

const order = { amount: 49_900, currency: 'inr', metadata: { purchase_id: 'pur_1', order_id: 'ord_1' } };
const failureOf = async (call: Promise<unknown>): Promise<InstanceType<typeof Stripe.errors.StripeError>> => {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Stripe.errors.StripeError)) throw new Error('expected a failure');
  return error;
};

describe('payment intents', () => {
  it('are created with a secret, waiting for a payment method', async () => {
    const intent = await stripe.paymentIntents.create(order);
    expect(intent).toMatchObject({
      object: 'payment_intent',
      status: 'requires_payment_method',
      amount: 49_900,
      currency: 'inr',
      amount_received: 0,
      livemode: false,
      metadata: order.metadata,
    });
    expect(intent.id).toMatch(/^pi_/);
    expect(intent.client_secret).toMatch(new RegExp(`^${intent.id}_secret_`));
    expect(await stripe.paymentIntents.retrieve(intent.id)).toEqual(intent);
  });

  it('succeed with pm_card_visa, once', async () => {
    const { id } = await stripe.paymentIntents.create(order);
    const paid = await stripe.paymentIntents.confirm(id, { payment_method: 'pm_card_visa' });
    expect(paid).toMatchObject({ status: 'succeeded', amount_received: 49_900, last_payment_error: null });
    expect(paid.latest_charge).toMatch(/^ch_/);
    const again = await failureOf(stripe.paymentIntents.confirm(id, { payment_method: 'pm_card_visa' }));
    expect(again).toMatchObject({ statusCode: 400, code: 'payment_intent_unexpected_state' });
  });

  it('come back to requires_payment_method after a decline, and can then be paid', async () => {
    const { id } = await stripe.paymentIntents.create(order);
    const error = await failureOf(stripe.paymentIntents.confirm(id, { payment_method: 'pm_card_chargeDeclined' }));
    expect(error).toBeInstanceOf(Stripe.errors.StripeCardError);
    expect(error).toMatchObject({ statusCode: 402, code: 'card_declined', decline_code: 'generic_decline' });
    expect(error.payment_intent).toMatchObject({
      id,
      status: 'requires_payment_method',
      last_payment_error: { code: 'card_declined' },
    });
    expect(await stripe.paymentIntents.confirm(id, { payment_method: 'pm_card_visa' })).toMatchObject({
      status: 'succeeded',
    });
  });

  it('are canceled unless they are paid', async () => {
    const open = await stripe.paymentIntents.create(order);
    const canceled = await stripe.paymentIntents.cancel(open.id, { cancellation_reason: 'abandoned' });
    expect(canceled).toMatchObject({ status: 'canceled', cancellation_reason: 'abandoned' });
    const paid = await stripe.paymentIntents.create({ ...order, payment_method: 'pm_card_visa', confirm: true });
    expect(paid.status).toBe('succeeded');
    expect(await failureOf(stripe.paymentIntents.cancel(paid.id))).toMatchObject({
      statusCode: 400,
      code: 'payment_intent_unexpected_state',
      payment_intent: { status: 'succeeded' },
    });
  });

  it('process for a while where they are told to', async () => {
    sandbox.behave({ processingMs: 1 });
    const { id } = await stripe.paymentIntents.create(order);
    expect(await stripe.paymentIntents.confirm(id, { payment_method: 'pm_card_visa' })).toMatchObject({
      status: 'processing',
    });
    await until(async () => (await stripe.paymentIntents.retrieve(id)).status === 'succeeded');
  });

  it('are listed newest first in pages, by time, and found by their metadata', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 5; n += 1)
      ids.push((await stripe.paymentIntents.create({ ...order, metadata: { purchase_id: `pur_l${n}` } })).id);
    const listed: string[] = [];
    for await (const one of stripe.paymentIntents.list({ limit: 2, created: { gte: 1 } })) {
      listed.push(one.id);
      if (listed.length === 5) break;
    }
    expect(listed).toEqual(ids.toReversed());
    expect((await stripe.paymentIntents.list({ created: { lt: 10 } })).data).toEqual([]);
    const found = await stripe.paymentIntents.search({ query: "metadata['purchase_id']:'pur_l3'" });
    expect(found.data.map((one) => one.id)).toEqual([ids[3]]);
  });

  it('refuse what Stripe refuses', async () => {
    expect(await failureOf(stripe.paymentIntents.create({ ...order, amount: 0 }))).toMatchObject({
      statusCode: 400,
      param: 'amount',
    });
    expect(await failureOf(stripe.paymentIntents.create({ ...order, amount: 100_000_000 }))).toMatchObject({
      code: 'amount_too_large',
    });
    expect(await failureOf(stripe.paymentIntents.create({ ...order, currency: '' }))).toMatchObject({
      param: 'currency',
    });
    expect(await failureOf(stripe.paymentIntents.retrieve('pi_none'))).toMatchObject({
      statusCode: 404,
      code: 'resource_missing',
    });
    const { id } = await stripe.paymentIntents.create(order);
    expect(await failureOf(stripe.paymentIntents.confirm(id, { payment_method: 'pm_nonsense' }))).toMatchObject({
      code: 'resource_missing',
    });
    expect(await failureOf(stripe.paymentIntents.confirm(id))).toMatchObject({
      code: 'payment_intent_unexpected_state',
    });
    const stranger = sdkFor(sandbox.url, 'sk_test_wrong');
    expect(await failureOf(stranger.paymentIntents.create(order))).toBeInstanceOf(
      Stripe.errors.StripeAuthenticationError,
    );
  });
});

describe('idempotency keys', () => {
  it('give the first answer again, and refuse another body', async () => {
    const first = await stripe.paymentIntents.create(order, { idempotencyKey: 'k1' });
    const again = await stripe.paymentIntents.create(order, { idempotencyKey: 'k1' });
    expect(again).toEqual(first);
    expect(again.lastResponse.headers['idempotent-replayed']).toBe('true');
    const other = await failureOf(stripe.paymentIntents.create({ ...order, amount: 1 }, { idempotencyKey: 'k1' }));
    expect(other).toBeInstanceOf(Stripe.errors.StripeIdempotencyError);
    expect(other.statusCode).toBe(400);
  });

  it('keep a 500, whether or not the work was done before it', async () => {
    sandbox.behave({ failNext: { status: 500, times: 1, afterWork: true } });
    const before = sandbox.intents().length;
    const first = await failureOf(stripe.paymentIntents.create(order, { idempotencyKey: 'k2', maxNetworkRetries: 2 }));
    const again = await failureOf(stripe.paymentIntents.create(order, { idempotencyKey: 'k2' }));
    expect([first.statusCode, again.statusCode]).toEqual([500, 500]);
    expect(sandbox.intents().length).toBe(before + 1);
  });

  it('do not keep a 429', async () => {
    sandbox.behave({ failNext: { status: 429, times: 1 } });
    expect(await failureOf(stripe.paymentIntents.create(order, { idempotencyKey: 'k3' }))).toBeInstanceOf(
      Stripe.errors.StripeRateLimitError,
    );
    expect(await stripe.paymentIntents.create(order, { idempotencyKey: 'k3' })).toMatchObject({
      object: 'payment_intent',
    });
  });

  it('keep the answer that a cut connection lost', async () => {
    sandbox.behave({ failNext: { status: 0, times: 1, afterWork: true } });
    const before = sandbox.intents().length;
    // The SDK repeats a closed connection once by itself, under the same key.
    const intent = await stripe.paymentIntents.create(order, { idempotencyKey: 'k4' });
    expect(sandbox.intents().length).toBe(before + 1);
    expect(sandbox.intents().at(-1)?.id).toBe(intent.id);
  });
});

describe('refunds', () => {
  it('return what was paid, once, in parts or as a whole', async () => {
    const paid = await stripe.paymentIntents.create({ ...order, payment_method: 'pm_card_visa', confirm: true });
    const part = await stripe.refunds.create({
      payment_intent: paid.id,
      amount: 900,
      metadata: { purchase_id: 'pur_1' },
    });
    expect(part).toMatchObject({ object: 'refund', amount: 900, status: 'succeeded', payment_intent: paid.id });
    expect(await failureOf(stripe.refunds.create({ payment_intent: paid.id, amount: 49_900 }))).toMatchObject({
      statusCode: 400,
    });
    expect(await stripe.refunds.create({ payment_intent: paid.id })).toMatchObject({ amount: 49_000 });
    expect(await failureOf(stripe.refunds.create({ payment_intent: paid.id }))).toMatchObject({
      code: 'charge_already_refunded',
    });
    expect((await stripe.refunds.list({ payment_intent: paid.id })).data.map((one) => one.amount)).toEqual([
      49_000, 900,
    ]);
    const types = (await stripe.events.list({ limit: 4 })).data.map((event) => event.type);
    expect(types).toEqual(['charge.refunded', 'refund.created', 'charge.refunded', 'refund.created']);
  });

  it('need a charge', async () => {
    const open = await stripe.paymentIntents.create(order);
    expect(await failureOf(stripe.refunds.create({ payment_intent: open.id }))).toMatchObject({ statusCode: 400 });
    expect(await failureOf(stripe.refunds.create({ payment_intent: 'pi_none' }))).toMatchObject({ statusCode: 404 });
  });
});

describe('a page with a publishable key', () => {
  const confirm = (id: string, body: Record<string, string>) =>
    fetch(`${sandbox.url}/v1/payment_intents/${id}/confirm`, { method: 'POST', body: new URLSearchParams(body) });

  it('confirms its own intent with the client secret, across origins', async () => {
    const intent = await stripe.paymentIntents.create(order);
    const preflight = await fetch(`${sandbox.url}/v1/payment_intents/${intent.id}/confirm`, { method: 'OPTIONS' });
    expect(preflight.headers.get('access-control-allow-origin')).toBe('*');
    const secret = intent.client_secret ?? '';
    const response = await confirm(intent.id, {
      key: 'pk_test_x',
      client_secret: secret,
      'payment_method_data[type]': 'card',
      'payment_method_data[card][number]': '4242 4242 4242 4242',
    });
    expect(response.headers.get('access-control-allow-origin')).toBe('*');
    expect(await response.json()).toMatchObject({ id: intent.id, status: 'succeeded' });
  });

  it('reaches nothing else', async () => {
    const intent = await stripe.paymentIntents.create(order);
    const wrong = await confirm(intent.id, {
      key: 'pk_test_x',
      client_secret: 'guess',
      payment_method: 'pm_card_visa',
    });
    expect(wrong.status).toBe(400);
    for (const path of ['/v1/payment_intents', '/v1/refunds', '/v1/events']) {
      expect((await fetch(`${sandbox.url}${path}?key=pk_test_x`)).status).toBe(404);
      expect((await fetch(`${sandbox.url}${path}`)).status).toBe(401);
    }
    expect(await stripe.paymentIntents.retrieve(intent.id)).toMatchObject({ status: 'requires_payment_method' });
  });
});

describe('a restart', () => {
  it('forgets neither intents, keys and refunds nor events that were not delivered', async () => {
    const dataDir = temporaryDirectory('sandbox');
    // Nobody listens on port 1, so the events stay undelivered.
    const first = await createSandbox({ ...options, dataDir, webhookUrl: 'http://127.0.0.1:1/' });
    const before = sdkFor(first.url);
    const open = await before.paymentIntents.create(order, { idempotencyKey: 'k' });
    const paid = await before.paymentIntents.create({ ...order, payment_method: 'pm_card_visa', confirm: true });
    await before.refunds.create({ payment_intent: paid.id });
    await first.close();
    // The machine stopped in the middle of a line.
    await appendFile(`${dataDir}/sandbox.jsonl`, '["intent",{"id":"pi_to');

    const second = await createSandbox({ ...options, dataDir, webhookUrl: 'http://127.0.0.1:1/' });
    const after = sdkFor(second.url);
    expect(await after.paymentIntents.create(order, { idempotencyKey: 'k' })).toEqual(open);
    expect(await after.paymentIntents.retrieve(paid.id)).toMatchObject({ status: 'succeeded' });
    expect(await failureOf(after.refunds.create({ payment_intent: paid.id }))).toMatchObject({
      code: 'charge_already_refunded',
    });
    expect((await after.paymentIntents.search({ query: "metadata['purchase_id']:'pur_1'" })).data).toHaveLength(2);
    const state: unknown = await (await fetch(`${second.url}/sandbox/state`)).json();
    expect(state).toMatchObject({ counts: { intents: 2, refunds: 1 }, webhooks: { delivered: 0 } });
    await second.close();
  });
});

describe("the sandbox's own endpoints", () => {
  const post = (body: string) => fetch(`${sandbox.url}/sandbox/behavior`, { method: 'POST', body });

  it('set the behaviour and name what they do not understand', async () => {
    expect(await (await post('{"decline":"insufficient_funds"}')).json()).toMatchObject({
      declineReason: 'insufficient_funds',
    });
    const { id } = await stripe.paymentIntents.create(order);
    expect(await failureOf(stripe.paymentIntents.confirm(id, { payment_method: 'pm_card_visa' }))).toMatchObject({
      decline_code: 'insufficient_funds',
    });
    expect(await (await post('{"approve":true}')).json()).toMatchObject({ declineReason: null });
    for (const body of ['{"repeat":0}', '{"unknown":1}', '[]', 'nonsense', '{"failNext":{"status":200,"times":1}}']) {
      const response = await post(body);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { type: 'invalid_request_error' } });
    }
  });

  it('answer unknown paths and outsized bodies without falling over', async () => {
    expect(
      (await fetch(`${sandbox.url}/v1/nonsense`, { headers: { authorization: `Bearer ${SECRET_KEY}` } })).status,
    ).toBe(404);
    expect((await fetch(`${sandbox.url}/sandbox/nonsense`)).status).toBe(404);
    expect((await post('x'.repeat(100_000))).status).toBe(413);
    expect((await fetch(`${sandbox.url}/livez`)).status).toBe(200);
  });
});
