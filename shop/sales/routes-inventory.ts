// The endpoints of inventory, in the seed's shapes: reads for everybody, changes for operators and the checkout.
import { defineRoute, type Route } from '../route.ts';
import type { Inventory, OrderHold } from './inventory.ts';
import {
  adjustSchema,
  inventoryParams,
  inventoryReplySchema,
  orderHoldSchema,
  releaseSchema,
  reserveSchema,
  toInventoryReply,
  toOrderHoldReply,
} from './wire-inventory.ts';

const TAG = 'Inventory';

export function inventoryRoutes(inventory: Inventory): Route[] {
  const get = defineRoute({
    method: 'GET',
    path: '/api/v1/inventory/{sku}',
    summary: 'The stock of a SKU in the sale it is in',
    tag: TAG,
    access: 'public',
    params: inventoryParams,
    replies: { 200: { description: 'The counts', schema: inventoryReplySchema } },
    errors: ['SKU_NOT_FOUND'],
    async handle({ params }) {
      return { status: 200, body: toInventoryReply(await inventory.get(params.sku)) };
    },
  });

  const adjust = defineRoute({
    method: 'POST',
    path: '/api/v1/inventory/adjust',
    summary: 'Adds stock, or takes what is neither held nor sold',
    tag: TAG,
    access: 'admin',
    body: adjustSchema,
    takesIdempotencyKey: true,
    replies: { 200: { description: 'The counts afterwards', schema: inventoryReplySchema } },
    errors: ['SKU_NOT_FOUND', 'ADJUST_BELOW_COMMITTED', 'KEY_REUSED', 'SALE_CLOSED', 'SALE_NOT_FOUND'],
    async handle({ body, caller, idempotencyKey }) {
      const counts = await inventory.adjust(body, { userId: caller.userId, key: idempotencyKey });
      return { status: 200, body: toInventoryReply(counts) };
    },
  });

  const answer = (orderId: string, hold: OrderHold, fresh: number) => ({
    status: hold.isReplay ? 200 : fresh,
    body: toOrderHoldReply(orderId, hold.purchases),
  });

  const reserve = defineRoute({
    method: 'POST',
    path: '/api/v1/inventory/reserve',
    summary: 'Holds stock for an order: all of its lines, or nothing',
    tag: TAG,
    access: 'internal',
    body: reserveSchema,
    replies: {
      201: { description: 'Everything is held', schema: orderHoldSchema },
      200: { description: 'What was held for this order before', schema: orderHoldSchema },
    },
    errors: [
      'INSUFFICIENT_STOCK',
      'KEY_REUSED',
      'SKU_NOT_FOUND',
      'SALE_NOT_FOUND',
      'SALE_PAUSED',
      'SALE_CLOSED',
      'BACKLOG_FULL',
      'LOW_MEMORY',
    ],
    async handle({ body }) {
      return answer(body.orderId, await inventory.reserve(body), 201);
    },
  });

  const release = defineRoute({
    method: 'POST',
    path: '/api/v1/inventory/release',
    summary: 'Gives back what is held for an order; repeating it changes nothing',
    tag: TAG,
    access: 'internal',
    body: releaseSchema,
    replies: { 200: { description: 'What was held, as it is now', schema: orderHoldSchema } },
    errors: ['NOT_FOUND'],
    async handle({ body }) {
      return answer(body.orderId, await inventory.release(body.orderId), 200);
    },
  });

  return [get, adjust, reserve, release];
}
