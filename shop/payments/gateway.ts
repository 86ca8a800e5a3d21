// The payment provider: the only file that knows the `stripe` SDK. Speaks of intents and refunds in the shop's words and
// sorts the provider's answers into three: done, refused for good (a value), or to be tried again (fault UNAVAILABLE).
// It keeps nothing: which attempt a payment is at is the caller's to remember.
import Stripe from 'stripe';
import { fault, messageOf } from '../../core/errors.ts';
import { PAYMENT_WEBHOOK_TOLERANCE_SECONDS, PROVIDER_RETRIES_MAX, PROVIDER_TIMEOUT_MS } from '../../core/constants.ts';
import { providerEventSchema } from './wire.ts';
import type { ProviderEvent } from './wire.ts';
import { toProviderAmount } from './provider-amount.ts';

export interface ProviderIntent {
  intentId: string;
  clientSecret: string;
  status: string;
  /** In the provider's minor unit; 0 until it is paid. */
  amountReceived: number;
  currency: string;
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
export type RefundOutcome =
  | { kind: 'refund'; refundId: string; status: string }
  | { kind: 'again' }
  | { kind: 'refused'; reason: string };
export type CancelOutcome = 'canceled' | 'paid' | 'gone';

export interface PaymentGateway {
  start(order: IntentOrder, attempt: number, since: Date): Promise<StartOutcome>;
  retrieve(intentId: string): Promise<ProviderIntent>;
  /** `paid`: it has succeeded or is about to. */
  cancel(intentId: string): Promise<CancelOutcome>;
  refund(order: {
    purchaseId: string;
    intentId: string;
    amount: number;
    currency: string;
    attempt: number;
  }): Promise<RefundOutcome>;
  findRefund(intentId: string, purchaseId: string): Promise<{ refundId: string; status: string } | undefined>;
  /** Throws WEBHOOK_SIGNATURE for whatever the provider has not signed in the last five minutes, or cannot be read. */
  verifyWebhook(rawBody: Buffer, signature: string | undefined): ProviderEvent;
}

export interface GatewayOptions {
  secretKey: string;
  webhookSecret: string;
  /** Another server that speaks the provider's API; the bundled sandbox. */
  apiBase?: string;
}

/** A list goes back this far before the payment was begun: clocks differ, and rows are written before the call. */
const LOOKBACK_SECONDS = 60;
const LIST_PAGES_MAX = 20;

export function createPaymentGateway(options: GatewayOptions): PaymentGateway {
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
    for (let page = 0; page < LIST_PAGES_MAX; page += 1) {
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
      // A key that stands for a later attempt may follow one that failed after its work was done.
      const known = attempt > 1 ? await find(order.key, since) : undefined;
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
    retrieve: async (intentId) => toIntent(await stripe.paymentIntents.retrieve(intentId).catch(rethrow)),
    async refund(order) {
      const first = `refund_${order.purchaseId}`;
      const idempotencyKey = order.attempt === 1 ? first : `${first}:${order.attempt}`;
      const params: Stripe.RefundCreateParams = {
        payment_intent: order.intentId,
        amount: toProviderAmount(order.amount, order.currency),
        metadata: { purchase_id: order.purchaseId },
      };
      try {
        const refund = await stripe.refunds.create(params, { idempotencyKey });
        return { kind: 'refund', refundId: refund.id, status: refund.status ?? 'pending' };
      } catch (error) {
        const verdict = judge(error);
        if (verdict === 'again') return { kind: 'again' };
        if (verdict === 'refused') return { kind: 'refused', reason: reasonOf(error) };
        throw unavailable(error);
      }
    },
    async findRefund(intentId, purchaseId) {
      const list = await stripe.refunds.list({ payment_intent: intentId, limit: 100 }).catch(rethrow);
      const mine = list.data.find((one) => one.metadata?.['purchase_id'] === purchaseId && one.status !== 'failed');
      return mine === undefined ? undefined : { refundId: mine.id, status: mine.status ?? 'pending' };
    },
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

/** 4xx about this request: final. A 5xx may be kept under the key, and a key may have served other parameters: again. */
function judge(error: unknown): 'refused' | 'again' | 'later' {
  if (!(error instanceof Stripe.errors.StripeError)) return 'later';
  if (error instanceof Stripe.errors.StripeIdempotencyError) return 'again';
  if (error instanceof Stripe.errors.StripeInvalidRequestError) return 'refused';
  if (error instanceof Stripe.errors.StripeCardError) return 'refused';
  return (error.statusCode ?? 0) >= 500 ? 'again' : 'later';
}

function reasonOf(error: unknown): string {
  const code = error instanceof Stripe.errors.StripeError ? (error.code ?? error.type) : 'unknown';
  return `${code}: ${messageOf(error)}`.slice(0, 300);
}

function unavailable(error: unknown): Error {
  return fault('UNAVAILABLE', `The payment provider did not do it: ${reasonOf(error)}`, { cause: error });
}

function rethrow(error: unknown): never {
  throw unavailable(error);
}

function toIntent(intent: Stripe.PaymentIntent): ProviderIntent {
  if (intent.client_secret === null) throw fault('UNAVAILABLE', `The provider gave no secret for ${intent.id}`);
  const { id: intentId, client_secret: clientSecret, status, amount_received: amountReceived, currency } = intent;
  return { intentId, clientSecret, status, amountReceived, currency };
}

function addressOf(apiBase: string): { host: string; port: number; protocol: 'http' | 'https' } {
  const url = new URL(apiBase);
  const protocol = url.protocol === 'http:' ? 'http' : 'https';
  return { host: url.hostname, port: Number(url.port) || (protocol === 'http' ? 80 : 443), protocol };
}
