// What the sandbox sends: signed so that the SDK accepts it, again until it is taken, and in whatever bad order it is told.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type Stripe from 'stripe';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { SECRET_KEY, sdkFor, until, WEBHOOK_SECRET } from '../support/payments.ts';

interface Delivery {
  body: Buffer;
  signature: string;
}
let sandbox: Sandbox;
let stripe: Stripe;
let door: http.Server;
let refusals = 0;
const deliveries: Delivery[] = [];
beforeAll(async () => {
  door = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      deliveries.push({ body: Buffer.concat(chunks), signature: String(request.headers['stripe-signature']) });
      refusals -= 1;
      response.writeHead(refusals >= 0 ? 503 : 200).end();
    });
  });
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
  const webhookUrl = `http://127.0.0.1:${(door.address() as AddressInfo).port}/hook`;
  sandbox = await createSandbox({ port: 0, secretKey: SECRET_KEY, webhookSecret: WEBHOOK_SECRET, webhookUrl });
  stripe = sdkFor(sandbox.url);
});
afterAll(async () => {
  await sandbox.close();
  door.closeAllConnections();
  door.close();
});
beforeEach(() => {
  sandbox.behave({ reset: true });
  deliveries.length = 0;
  refusals = 0;
});

const pay = () =>
  stripe.paymentIntents.create({ amount: 100, currency: 'inr', payment_method: 'pm_card_visa', confirm: true });
const eventsOf = (intentId: string): Stripe.Event[] =>
  deliveries
    .map(({ body }) => JSON.parse(body.toString()) as Stripe.Event)
    .filter((event) => (event.data.object as { id?: string }).id === intentId);

describe('webhooks', () => {
  it('carry a signature over their bytes that the SDK verifies', async () => {
    const { id } = await pay();
    await until(() => eventsOf(id).length > 0);
    const [delivery] = deliveries;
    const event = stripe.webhooks.constructEvent(delivery?.body ?? '', delivery?.signature ?? '', WEBHOOK_SECRET);
    expect(event).toMatchObject({
      object: 'event',
      type: 'payment_intent.succeeded',
      livemode: false,
      data: { object: { id, status: 'succeeded' } },
    });
    expect(() =>
      stripe.webhooks.constructEvent(`${delivery?.body.toString()} `, delivery?.signature ?? '', WEBHOOK_SECRET),
    ).toThrow();
  });

  it('are sent again until they are taken', async () => {
    refusals = 3;
    const { id } = await pay();
    const seen = await until(() => (eventsOf(id).length === 4 ? eventsOf(id) : undefined));
    expect(new Set(seen.map((event) => event.id)).size).toBe(1);
  });

  it('tell of declines, cancellations and refunds', async () => {
    const intent = await stripe.paymentIntents.create({ amount: 100, currency: 'inr' });
    await stripe.paymentIntents.confirm(intent.id, { payment_method: 'pm_card_chargeDeclined' }).catch(() => undefined);
    await stripe.paymentIntents.cancel(intent.id);
    await until(() => eventsOf(intent.id).length === 2);
    expect(
      eventsOf(intent.id)
        .map((event) => event.type)
        .sort(),
    ).toEqual(['payment_intent.canceled', 'payment_intent.payment_failed']);
    const paid = await pay();
    await stripe.refunds.create({ payment_intent: paid.id });
    const types = () => deliveries.map(({ body }) => (JSON.parse(body.toString()) as Stripe.Event).type);
    await until(() => types().includes('charge.refunded') && types().includes('refund.created'));
  });

  it('repeat, come in the wrong order, or not at all, on request', async () => {
    sandbox.behave({ repeat: 3 });
    const thrice = await pay();
    await until(() => eventsOf(thrice.id).length === 3);

    sandbox.behave({ reset: true, reorder: true, processingMs: 1 });
    const late = await stripe.paymentIntents.create({ amount: 100, currency: 'inr' });
    await stripe.paymentIntents.confirm(late.id, { payment_method: 'pm_card_visa' });
    await until(() => eventsOf(late.id).length === 2);
    expect(eventsOf(late.id).map((event) => event.type)).toEqual([
      'payment_intent.succeeded',
      'payment_intent.processing',
    ]);

    sandbox.behave({ reset: true, dropWebhooks: true });
    const silent = await pay();
    sandbox.behave({ reset: true });
    const loud = await pay();
    await until(() => eventsOf(loud.id).length === 1);
    expect(eventsOf(silent.id)).toEqual([]);
    const listed = await stripe.events.list({ type: 'payment_intent.succeeded', limit: 2 });
    expect(listed.data.map((event) => (event.data.object as { id?: string }).id)).toEqual([loud.id, silent.id]);
  });

  it('tell of a creation only to those who subscribe to it', async () => {
    const quiet = await pay();
    await until(() => eventsOf(quiet.id).length === 1);
    sandbox.behave({ enabledEvents: ['*'] });
    const all = await pay();
    await until(() => eventsOf(all.id).length === 2);
    expect(
      eventsOf(all.id)
        .map((event) => event.type)
        .sort(),
    ).toEqual(['payment_intent.created', 'payment_intent.succeeded']);
  });
});
