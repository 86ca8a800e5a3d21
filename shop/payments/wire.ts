// Payments over the wire: what the provider's events carry (only what is read of them), and the shop's own requests and
// answers. Schemas and types in one; nothing is decided here.
import { z } from 'zod';
import { toDecimal } from '../../core/money.ts';
import type { DecisionRow } from './decision-store.ts';
import type { ProviderRefund } from './gateway-refunds.ts';
import type { RefundRow } from './refund-store.ts';
import type { Payment } from './store.ts';

/** The provider's object inside an event: an intent, a charge or a refund. Unknown members are kept for the record. */
const eventObject = z.looseObject({
  id: z.string().max(255),
  object: z.string().max(60),
  amount: z.int().optional(),
  amount_received: z.int().optional(),
  currency: z.string().max(10).optional(),
  status: z.string().max(60).nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
  payment_intent: z.string().max(255).nullish(),
  failure_reason: z.string().max(255).nullish(),
  reason: z.string().max(255).nullish(),
  last_payment_error: z.looseObject({ code: z.string().nullish(), decline_code: z.string().nullish() }).nullish(),
});

export const providerEventSchema = z.looseObject({
  id: z.string().min(1).max(255),
  type: z.string().min(1).max(255),
  /** Seconds since 1970: events of the same second have no order. */
  created: z.int().min(0).max(99_999_999_999),
  data: z.looseObject({ object: eventObject }),
});
export type ProviderEvent = z.infer<typeof providerEventSchema>;

export type EventKind =
  | 'succeeded'
  | 'failed'
  | 'processing'
  | 'canceled'
  | 'refund'
  | 'charge_refunded'
  | 'dispute'
  | 'other';

const KINDS: Readonly<Record<string, EventKind>> = {
  'payment_intent.succeeded': 'succeeded',
  'payment_intent.payment_failed': 'failed',
  'payment_intent.processing': 'processing',
  'payment_intent.canceled': 'canceled',
  'refund.created': 'refund',
  'refund.updated': 'refund',
  'refund.failed': 'refund',
  'charge.refund.updated': 'refund',
  'charge.refunded': 'charge_refunded',
  'charge.dispute.created': 'dispute',
  'charge.dispute.closed': 'dispute',
};

export function kindOf(type: string): EventKind {
  return KINDS[type] ?? 'other';
}

/** The intent that an event is about, and the purchase that the intent was made for. */
export function subjectOf(event: ProviderEvent): { intentId: string | null; purchaseId: string | null } {
  const { object } = event.data;
  const intentId = object.object === 'payment_intent' ? object.id : (object.payment_intent ?? null);
  const wish = object.metadata?.['purchase_id'] ?? '';
  // Whoever has the merchant's account can write metadata by hand: what is no id of ours is not ours.
  return { intentId, purchaseId: /^[a-z]{1,8}_[0-9a-z]{1,80}$/.test(wish) ? wish : null };
}

/** The refund that an event of the kind `refund` is about. */
export function toRefund(event: ProviderEvent): ProviderRefund {
  const { object } = event.data;
  const { intentId, purchaseId } = subjectOf(event);
  return {
    refundId: object.id,
    intentId: intentId ?? '',
    amount: object.amount ?? 0,
    status: object.status ?? 'pending',
    purchaseId: purchaseId ?? '',
    failure: object.failure_reason ?? '',
  };
}

export const initiateBody = z
  .object({
    orderId: z.string().min(1).max(128).optional(),
    purchaseId: z.string().min(1).max(128).optional(),
    amount: z.number().min(0).optional().describe('checked against what the order costs, when given'),
    currency: z.string().length(3).optional(),
    paymentProvider: z.string().max(40).optional().describe('taken as a wish; the shop has one provider'),
  })
  .refine((body) => body.orderId !== undefined || body.purchaseId !== undefined, {
    error: 'orderId or purchaseId is needed',
    path: ['orderId'],
  });

export const paymentParams = z.object({ paymentId: z.string().min(1).max(128) });

export const initiateReply = z.object({
  paymentId: z.string(),
  orderId: z.string(),
  status: z.string(),
  clientSecret: z.string().optional(),
});

export const paymentReply = z.object({
  paymentId: z.string(),
  orderId: z.string(),
  purchaseId: z.string().optional(),
  provider: z.string(),
  status: z.string(),
  amount: z.number(),
  currency: z.string(),
  reason: z.string().optional(),
  clientSecret: z.string().optional(),
  refund: z.object({ amount: z.number(), status: z.string(), reason: z.string() }).optional(),
  createdAt: z.string(),
  updatedAt: z.string(),
});
export type PaymentReply = z.infer<typeof paymentReply>;

export const webhookReply = z.object({ received: z.literal(true) });

/** `isOwner`: only the buyer is given the secret that pays. */
export function toPaymentReply(payment: Payment, refund: RefundRow | undefined, isOwner: boolean): PaymentReply {
  const reply: PaymentReply = {
    paymentId: payment.paymentId,
    orderId: payment.orderId,
    provider: 'stripe',
    status: payment.status,
    amount: toDecimal(payment.amount, payment.currency),
    currency: payment.currency,
    createdAt: payment.createdAt.toISOString(),
    updatedAt: payment.updatedAt.toISOString(),
  };
  if (payment.key !== payment.orderId) reply.purchaseId = payment.key;
  if (payment.reason !== '') reply.reason = payment.reason;
  if (isOwner && payment.clientSecret !== null && isPayable(payment)) reply.clientSecret = payment.clientSecret;
  if (refund !== undefined) {
    const amount = toDecimal(refund.amount, refund.currency);
    reply.refund = { amount, status: refund.status, reason: refund.reason };
  }
  return reply;
}

/** The buyer can still pay with the secret they have. */
export function isPayable(payment: Pick<Payment, 'status'>): boolean {
  return payment.status === 'requires_payment_method' || payment.status === 'failed' || payment.status === 'processing';
}

const idText = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[^\0]*$/, 'must not contain NUL');

export const decisionsQuery = z.object({
  purchaseId: idText.optional().describe("a purchase, or a cart's order"),
  saleId: idText.optional(),
  after: z.coerce
    .number()
    .int()
    .min(1)
    .max(Number.MAX_SAFE_INTEGER)
    .optional()
    .describe('the last decisionId of the page before'),
  limit: z.coerce.number().int().min(1).max(500).default(100),
});

export const decisionReply = z.object({
  decisionId: z.int(),
  at: z.iso.datetime(),
  decision: z.string(),
  purchaseId: z.string(),
  orderId: z.string(),
  saleId: z.string().optional(),
  paymentId: z.string(),
  providerId: z.string().optional().describe('the intent, refund or dispute at the provider'),
  amount: z.number(),
  currency: z.string(),
  why: z.string(),
  source: z.string(),
});
export type DecisionReply = z.infer<typeof decisionReply>;

export const decisionList = z.object({ items: z.array(decisionReply), next: z.int().nullable() });

export function toDecisionReply(row: DecisionRow): DecisionReply {
  const { saleId, providerId, at, amount, ...rest } = row;
  return {
    ...rest,
    at: at.toISOString(),
    amount: toDecimal(amount, row.currency),
    ...(saleId === null ? {} : { saleId }),
    ...(providerId === '' ? {} : { providerId }),
  };
}

export const reconcileReply = z.object({
  payments: z.int().describe('open payments that were compared'),
  refunds: z.int().describe('refunds on their way that were looked at'),
  differences: z.record(z.string(), z.int()).describe('how many of each kind differed, and were dealt with'),
  failed: z.int().describe('could not be compared now'),
});

export const retryParams = z.object({ purchaseId: idText });
export const retryReply = z.object({ purchaseId: z.string(), status: z.string() });
