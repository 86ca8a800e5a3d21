// Orders over the wire: the seed's shapes, with our SKU where the seed has product and variant. Prices are decimals.
import { publicSaleId } from '../../actors/buckets.ts';
import { z } from 'zod';
import { toDecimal } from '../../core/money.ts';
import type { Order } from './store.ts';

/** Not narrowed: what cannot be an order is unknown, a 404. NUL is refused because Postgres takes it in no text. */
const orderId = z
  .string()
  .max(128)
  .regex(/^[^\0]*$/, 'must not contain NUL');

export const orderParams = z.object({ orderId });

export const listOrdersQuery = z.object({
  after: orderId.optional().describe('the last orderId of the page before'),
  limit: z.coerce.number().int().min(1).max(100).default(20),
});

export const orderReplySchema = z.object({
  orderId: z.string(),
  userId: z.string(),
  purchaseId: z.string().optional(),
  saleId: z.string().optional(),
  status: z.enum([
    'CREATED',
    'CONFIRMED',
    'PACKED',
    'SHIPPED',
    'DELIVERED',
    'CANCELLED',
    'EXPIRED',
    'FAILED',
    'REFUNDED',
  ]),
  totalAmount: z.number(),
  currency: z.string(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
  items: z.array(
    z.object({
      productId: z.string(),
      variantId: z.string(),
      sku: z.string(),
      quantity: z.int(),
      unitPrice: z.number(),
      totalPrice: z.number(),
    }),
  ),
});

export type OrderReply = z.output<typeof orderReplySchema>;

export const orderListSchema = z.object({ items: z.array(orderReplySchema), next: z.string().nullable() });

export function toOrderReply(order: Order): OrderReply {
  const { currency } = order;
  return {
    orderId: order.orderId,
    userId: order.userId,
    ...(order.purchaseId === null ? {} : { purchaseId: order.purchaseId }),
    ...(order.saleId === null ? {} : { saleId: publicSaleId(order.saleId) }),
    status: order.status,
    totalAmount: toDecimal(order.totalAmount, currency),
    currency,
    createdAt: new Date(order.createdAt).toISOString(),
    updatedAt: new Date(order.updatedAt).toISOString(),
    items: order.items.map(({ sku, quantity, unitPrice }) => ({
      productId: sku,
      variantId: sku,
      sku,
      quantity,
      unitPrice: toDecimal(unitPrice, currency),
      totalPrice: toDecimal(unitPrice * quantity, currency),
    })),
  };
}
