/**
 * Inventory over the wire: the seed's shapes (productId, variantId, stockCount, reserved) beside our own words.
 * A SKU is a variant; where a shop has no catalog, product and variant are known by the SKU itself.
 */
import { z } from 'zod';
import { publicSaleId } from '../../actors/buckets.ts';
import type { Purchase, SkuCounters } from '../../actors/records.ts';
import { isHolding } from './purchase-states.ts';
import { instantSchema, printable, saleStatusSchema, skuSchema } from './wire.ts';
import { purchaseStatusSchema } from './wire-purchase.ts';

const MAX_ORDER_LINES = 100;
const MAX_LINE_QUANTITY = 10_000;
const MAX_ADJUSTMENT = 10_000_000;
/** As the scripts have it: below zero it is a violation, which must be seen and not hidden by a reader that refuses it. */
const count = z.int();

const orderIdSchema = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 letters, digits, dashes or underscores');

/** Not narrowed to a SKU's pattern: what cannot be a SKU is unknown, a 404. */
export const inventoryParams = z.object({ sku: z.string().max(256) });

export const inventoryReplySchema = z.object({
  productId: z.string(),
  variantId: z.string(),
  stockCount: count.describe('units on hand: available and held'),
  reserved: count,
  sku: z.string(),
  saleId: z.string(),
  status: saleStatusSchema,
  loaded: count,
  available: count,
  held: count,
  sold: count,
  waiting: count.describe('units that the line asks for'),
});

export type InventoryReply = z.output<typeof inventoryReplySchema>;

export function toInventoryReply(
  counters: Omit<SkuCounters, 'version' | 'head' | 'lastTicket' | 'everywhere'>,
): InventoryReply {
  return {
    productId: counters.sku,
    variantId: counters.sku,
    stockCount: counters.available + counters.held,
    reserved: counters.held,
    sku: counters.sku,
    saleId: counters.saleId,
    status: counters.saleStatus,
    loaded: counters.loaded,
    available: counters.available,
    held: counters.held,
    sold: counters.sold,
    waiting: counters.waiting,
  };
}

/** A SKU by our name or by the seed's. */
const subject = {
  sku: skuSchema.optional(),
  variantId: skuSchema.optional(),
  productId: z.string().max(128).optional(),
};

function skuOf(named: { sku?: string | undefined; variantId?: string | undefined }, context: z.RefinementCtx): string {
  const sku = named.sku ?? named.variantId;
  if (sku === undefined) {
    context.addIssue({ code: 'custom', path: ['sku'], message: 'sku or variantId is required' });
    return z.NEVER;
  }
  if (named.variantId !== undefined && named.variantId !== sku) {
    context.addIssue({ code: 'custom', path: ['variantId'], message: 'contradicts sku' });
  }
  return sku;
}

export const adjustSchema = z
  .object({
    ...subject,
    quantity: z
      .int()
      .min(-MAX_ADJUSTMENT)
      .max(MAX_ADJUSTMENT)
      .refine((value) => value !== 0, 'must not be zero')
      .describe('units to add to the stock, or, negative, to take from it'),
    reason: printable(200).default('adjust'),
  })
  .transform((change, context) => {
    return { sku: skuOf(change, context), quantity: change.quantity, reason: change.reason };
  });

export type AdjustRequest = z.output<typeof adjustSchema>;

const lineSchema = z
  .object({ ...subject, quantity: z.int().min(1).max(MAX_LINE_QUANTITY) })
  .transform((line, context) => ({ sku: skuOf(line, context), quantity: line.quantity }));

export const reserveSchema = z.object({
  orderId: orderIdSchema,
  items: z.array(lineSchema).min(1).max(MAX_ORDER_LINES),
});

export type ReserveRequest = z.output<typeof reserveSchema>;

export const releaseSchema = z.object({ orderId: orderIdSchema });

export const orderHoldSchema = z.object({
  orderId: z.string(),
  expiresAt: instantSchema.optional().describe('when the first of the holds ends'),
  items: z.array(
    z.object({
      sku: z.string(),
      saleId: z.string(),
      quantity: z.int(),
      purchaseId: z.string(),
      status: purchaseStatusSchema,
    }),
  ),
});

export type OrderHoldReply = z.output<typeof orderHoldSchema>;

export function toOrderHoldReply(orderId: string, purchases: readonly Purchase[]): OrderHoldReply {
  const ends = purchases.filter((purchase) => isHolding(purchase.status)).map((purchase) => purchase.expiresAt);
  return {
    orderId,
    ...(ends.length > 0 ? { expiresAt: new Date(Math.min(...ends)).toISOString() } : {}),
    items: purchases.map(({ sku, saleId, quantity, purchaseId, status }) => ({
      sku,
      saleId: publicSaleId(saleId),
      quantity,
      purchaseId,
      status,
    })),
  };
}
