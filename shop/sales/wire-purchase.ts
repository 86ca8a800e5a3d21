/**
 * Purchases over the wire: the request, the one shape of the answer (HTTP and WebSocket alike), and which ids are ids.
 * A member is absent until it is known; instants are ISO 8601, prices decimals.
 */
import { z } from 'zod';
import { createInstantWriter } from '../../core/clock.ts';
import { PER_BUYER_LIMIT_MAX } from '../../core/constants.ts';
import { partitionOf } from '../../core/ids.ts';
import { keepLast } from '../../core/last-made.ts';
import { toDecimal } from '../../core/money.ts';
import { bucketOf, bucketsOf, publicSaleId } from '../../actors/buckets.ts';
import type { Purchase } from '../../actors/records.ts';
import { instantSchema, skuSchema } from './wire.ts';

export function isPurchaseId(text: string): boolean {
  return text.startsWith('pur_') && partitionOf(text) !== undefined;
}

export const buySchema = z.object({ sku: skuSchema, quantity: z.int().min(1).max(PER_BUYER_LIMIT_MAX).default(1) });

export const purchaseParams = z.object({ purchaseId: z.string().max(128) });

export const purchaseStatusSchema = z.enum([
  'WAITING',
  'RESERVED',
  'PAYMENT_PENDING',
  'PAYMENT_FAILED',
  'CONFIRMED',
  'EXPIRED',
  'CANCELLED',
  'SOLD_OUT',
  'REFUNDED',
]);

export const purchaseReplySchema = z.object({
  purchaseId: z.string(),
  saleId: z.string(),
  sku: z.string(),
  quantity: z.int(),
  status: purchaseStatusSchema,
  version: z.int().describe('rises with every change: of two messages the higher is the newer'),
  ticket: z.int().describe('the place in the line, counted from 1; 0 for a hold made by /inventory/reserve'),
  bucket: z
    .int()
    .describe('which line of a sale that is split into buckets: ticket and ahead are of this one')
    .optional(),
  ahead: z.int().describe('an upper bound of the purchases in front, while WAITING').optional(),
  estimatedWaitSeconds: z.number().nullable().optional(),
  expiresAt: instantSchema.optional(),
  unitPrice: z.number(),
  totalAmount: z.number(),
  currency: z.string(),
  orderId: z.string().optional(),
  reason: z.string().optional(),
  payment: z.object({ clientSecret: z.string().nullable(), status: z.string() }).optional(),
});

export type PurchaseReply = z.output<typeof purchaseReplySchema>;

export interface PaymentView {
  clientSecret: string | null;
  status: string;
}

/** The order of a purchase that got a hold; one purchase has one order, so the id needs no table. */
export function orderIdOf(purchaseId: string): string {
  return `ord_${purchaseId.slice('pur_'.length)}`;
}

const ENDED: ReadonlySet<Purchase['status']> = new Set(['CONFIRMED', 'EXPIRED', 'CANCELLED', 'SOLD_OUT', 'REFUNDED']);

export interface PurchaseDetails {
  ahead?: number | undefined;
  estimatedWaitSeconds?: number | null | undefined;
  payment?: PaymentView | undefined;
}

const writeDeadline = createInstantWriter();
const priceOf = keepLast(toDecimal);
const amountOf = keepLast(toDecimal);

export function toPurchaseReply(purchase: Purchase, details: PurchaseDetails): PurchaseReply {
  const reply: PurchaseReply = {
    purchaseId: purchase.purchaseId,
    saleId: publicSaleId(purchase.saleId),
    sku: purchase.sku,
    quantity: purchase.quantity,
    status: purchase.status,
    version: purchase.version,
    ticket: purchase.ticket,
    unitPrice: priceOf(purchase.unitPrice, purchase.currency),
    totalAmount: amountOf(purchase.unitPrice * purchase.quantity, purchase.currency),
    currency: purchase.currency,
  };
  if (purchase.status === 'WAITING') {
    if (details.ahead !== undefined) reply.ahead = details.ahead;
    if (details.estimatedWaitSeconds !== undefined) reply.estimatedWaitSeconds = details.estimatedWaitSeconds;
  }
  if (purchase.expiresAt > 0 && !ENDED.has(purchase.status)) {
    reply.expiresAt = writeDeadline(purchase.expiresAt);
  }
  if (bucketsOf(purchase.saleId) > 1) reply.bucket = bucketOf(purchase.saleId);
  if (purchase.hadHold) reply.orderId = purchase.orderRef === '' ? orderIdOf(purchase.purchaseId) : purchase.orderRef;
  if (purchase.reason !== '') reply.reason = purchase.reason;
  if (details.payment !== undefined) reply.payment = details.payment;
  return reply;
}
