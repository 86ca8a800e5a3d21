// The payment provider: the only file that knows the `stripe` SDK. Speaks of intents and refunds in the shop's words and
// sorts the provider's answers into three: done, refused for good (a value), or to be tried again (fault UNAVAILABLE).
// It keeps nothing: which attempt a payment is at is the caller's to remember.
import Stripe from 'stripe';
import type { Clock } from '../../core/clock.ts';
import { systemClock } from '../../core/clock.ts';
import {
  PAYMENT_WEBHOOK_TOLERANCE_SECONDS,
  PROVIDER_KEY_LIFE_MS,
  PROVIDER_LIST_PAGES_MAX,
  PROVIDER_RETRIES_MAX,
  PROVIDER_TIMEOUT_MS,
} from '../../core/constants.ts';
import { fault } from '../../core/errors.ts';
import { createRefundCalls } from './gateway-refunds.ts';
import type { RefundCalls } from './gateway-refunds.ts';
import { judge, reasonOf, rethrow, unavailable, undefinedIfMissing } from './provider-errors.ts';
import { providerEventSchema } from './wire.ts';
import type { ProviderEvent } from './wire.ts';
import { toProviderAmount } from './provider-amount.ts';

export interface ProviderIntent {
  intentId: string;
  clientSecret: string;
  status: string;
  /** What is to be paid, and what was: in the provider's minor unit. */
  amount: number;
  amountReceived: number;
  currency: string;
  /** Why the last try failed; '' when none did. */
  failure: string;
}

export interface IntentOrder {
  /** The purchase, or the order of a cart: what the intent is found by. */
  key: string;
  orderId: string;
  saleId: string;
  amount: number;
  currency: string;
}

/** `again`: the provider failed and will repeat that failure for this key; the next attempt needs a new one. */
export type StartOutcome =
  | { kind: 'intent'; intent: ProviderIntent }
  | { kind: 'again' }
  | { kind: 'refused'; reason: string };
export type CancelOutcome = 'canceled' | 'paid' | 'gone';

export interface PaymentGateway extends RefundCalls {
  start(order: IntentOrder, attempt: number, since: Date): Promise<StartOutcome>;
  /** Undefined when the provider has no such intent. */
  retrieve(intentId: string): Promise<ProviderIntent | undefined>;
  /** The intent that was made for a purchase, newest first; canceled ones do not count. */
  find(key: string, since: Date): Promise<ProviderIntent | undefined>;
  /** `paid`: it has succeeded or is about to. */
  cancel(intentId: string): Promise<CancelOutcome>;
  /** Throws WEBHOOK_SIGNATURE for whatever the provider has not signed in the last five minutes, or cannot be read. */
  verifyWebhook(rawBody: Buffer, signature: string | undefined): ProviderEvent;
}

export interface GatewayOptions {
  secretKey: string;
  webhookSecret: string;
  /** Another server that speaks the provider's API; the bundled sandbox. */
  apiBase?: string;
  clock?: Clock;
}

/** A list goes back this far before the payment was begun: clocks differ, and rows are written before the call. */
const LOOKBACK_SECONDS = 60;

export function createPaymentGateway(options: GatewayOptions): PaymentGateway {
  const nowMs = (options.clock ?? systemClock).now;
  const stripe = new Stripe(options.secretKey, {
    timeout: PROVIDER_TIMEOUT_MS,
    maxNetworkRetries: PROVIDER_RETRIES_MAX,
    telemetry: false,
    ...(options.apiBase === undefined ? {} : addressOf(options.apiBase)),
  });

  /** The purchase's intent as the provider has it, newest first; canceled ones do not count. */
  async function find(key: string, since: Date): Promise<ProviderIntent | undefined> {
    // Search is an index that may lag by a minute, and is not offered in every country; the list is exact, and long in a
    // rush. The first hit counts.
    const query = `metadata['purchase_id']:'${key}'`;
    const found = await stripe.paymentIntents.search({ query, limit: 10 }).catch((error: unknown) => {
      if (error instanceof Stripe.errors.StripeInvalidRequestError) return undefined;
      throw error;
    });
    const alive = found?.data.find((intent) => intent.status !== 'canceled');
    if (alive !== undefined) return toIntent(alive);
    const created = { gte: Math.floor(since.getTime() / 1000) - LOOKBACK_SECONDS };
    let startingAfter: string | undefined;
    for (let page = 0; page < PROVIDER_LIST_PAGES_MAX; page += 1) {
      const after = startingAfter === undefined ? {} : { starting_after: startingAfter };
      const list = await stripe.paymentIntents.list({ created, limit: 100, ...after });
      const mine = list.data.find((one) => one.metadata['purchase_id'] === key && one.status !== 'canceled');
      if (mine !== undefined) return toIntent(mine);
      startingAfter = list.data.at(-1)?.id;
      if (!list.has_more || startingAfter === undefined) return undefined;
    }
    return undefined;
  }

  async function start(order: IntentOrder, attempt: number, since: Date): Promise<StartOutcome> {
    const amount = toProviderAmount(order.amount, order.currency);
    const params: Stripe.PaymentIntentCreateParams = {
      amount,
      currency: order.currency.toLowerCase(),
      // Redirects would need a page to return to; without them a confirm by the API alone is possible.
      automatic_payment_methods: { enabled: true, allow_redirects: 'never' },
      metadata: { purchase_id: order.key, order_id: order.orderId, sale_id: order.saleId },
    };
    try {
      // A key that stands for a later attempt may follow one that failed after its work was done, and an old one is forgotten.
      const isKeyOld = nowMs() - since.getTime() > PROVIDER_KEY_LIFE_MS;
      const known = attempt > 1 || isKeyOld ? await find(order.key, since) : undefined;
      if (known !== undefined) return { kind: 'intent', intent: known };
      const idempotencyKey = attempt === 1 ? order.key : `${order.key}:${attempt}`;
      return { kind: 'intent', intent: toIntent(await stripe.paymentIntents.create(params, { idempotencyKey })) };
    } catch (error) {
      const verdict = judge(error);
      if (verdict === 'again') return { kind: 'again' };
      if (verdict === 'refused') return { kind: 'refused', reason: reasonOf(error) };
      throw unavailable(error);
    }
  }

  async function cancel(intentId: string): Promise<CancelOutcome> {
    try {
      await stripe.paymentIntents.cancel(intentId, { cancellation_reason: 'abandoned' });
      return 'canceled';
    } catch (error) {
      if (!(error instanceof Stripe.errors.StripeInvalidRequestError)) throw unavailable(error);
      if (error.code === 'resource_missing') return 'gone';
      if (error.code !== 'payment_intent_unexpected_state') throw unavailable(error);
      const now = error.payment_intent ?? (await stripe.paymentIntents.retrieve(intentId).catch(rethrow));
      return now.status === 'canceled' ? 'canceled' : 'paid';
    }
  }

  return {
    start,
    cancel,
    find: (key, since) => find(key, since).catch(rethrow),
    async retrieve(intentId) {
      const intent = await stripe.paymentIntents.retrieve(intentId).catch(undefinedIfMissing);
      return intent === undefined ? undefined : toIntent(intent);
    },
    ...createRefundCalls(stripe),
    verifyWebhook(rawBody, signature) {
      try {
        // The signature is checked over the bytes as they came, before anything is parsed.
        const tolerance = PAYMENT_WEBHOOK_TOLERANCE_SECONDS;
        const event: unknown = stripe.webhooks.constructEvent(
          rawBody,
          signature ?? '',
          options.webhookSecret,
          tolerance,
        );
        return providerEventSchema.parse(event);
      } catch (error) {
        throw fault('WEBHOOK_SIGNATURE', undefined, { cause: error });
      }
    },
  };
}

function toIntent(intent: Stripe.PaymentIntent): ProviderIntent {
  if (intent.client_secret === null) throw fault('UNAVAILABLE', `The provider gave no secret for ${intent.id}`);
  const { id: intentId, client_secret: clientSecret, status, amount, currency, last_payment_error: error } = intent;
  const failure = error?.decline_code ?? error?.code ?? '';
  return { intentId, clientSecret, status, amount, amountReceived: intent.amount_received, currency, failure };
}

function addressOf(apiBase: string): { host: string; port: number; protocol: 'http' | 'https' } {
  const url = new URL(apiBase);
  const protocol = url.protocol === 'http:' ? 'http' : 'https';
  return { host: url.hostname, port: Number(url.port) || (protocol === 'http' ? 80 : 443), protocol };
}
