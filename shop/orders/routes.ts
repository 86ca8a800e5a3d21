// The endpoints of orders: list, look, take back. They translate; what may be done to an order is decided in orders.ts.
import { fault } from '../../core/errors.ts';
import { defineRoute, type Route } from '../route.ts';
import type { Orders } from './orders.ts';
import { listOrdersQuery, orderListSchema, orderParams, orderReplySchema, toOrderReply } from './wire.ts';

const TAG = 'Orders';

export function orderRoutes(orders: Orders): Route[] {
  const list = defineRoute({
    method: 'GET',
    path: '/api/v1/orders',
    summary: "The caller's orders, newest first",
    tag: TAG,
    access: 'user',
    query: listOrdersQuery,
    replies: { 200: { description: 'A page; `next` is the `after` of the following one', schema: orderListSchema } },
    async handle({ query, caller }) {
      const page = await orders.list({ userId: caller.userId, after: query.after, limit: query.limit });
      const next = page.length === query.limit ? (page.at(-1)?.orderId ?? null) : null;
      return { status: 200, body: { items: page.map(toOrderReply), next } };
    },
  });

  const get = defineRoute({
    method: 'GET',
    path: '/api/v1/orders/{orderId}',
    summary: 'An order of the caller; any order for an admin',
    tag: TAG,
    access: 'user',
    params: orderParams,
    replies: { 200: { description: 'The order', schema: orderReplySchema } },
    errors: ['NOT_FOUND'],
    async handle({ params, caller }) {
      const order = await orders.find(params.orderId);
      const isTheirs = order?.userId === caller.userId || caller.role === 'ADMIN';
      if (order === undefined || !isTheirs) throw fault('NOT_FOUND', 'There is no such order');
      return { status: 200, body: toOrderReply(order) };
    },
  });

  const cancel = defineRoute({
    method: 'POST',
    path: '/api/v1/orders/{orderId}/cancel',
    summary: 'Takes an order back that is not shipped; a paid one is refunded. Repeating it changes nothing',
    tag: TAG,
    access: 'user',
    params: orderParams,
    replies: { 200: { description: 'The order, CANCELLED or REFUNDED', schema: orderReplySchema } },
    errors: ['NOT_FOUND', 'ILLEGAL_TRANSITION', 'OUTCOME_UNKNOWN', 'FENCED'],
    async handle({ params, caller }) {
      const owner = caller.role === 'ADMIN' ? undefined : caller.userId;
      return { status: 200, body: toOrderReply(await orders.cancel(params.orderId, owner)) };
    },
  });

  const refund = defineRoute({
    method: 'POST',
    path: '/api/v1/orders/{orderId}/refund',
    summary: 'Returns the money of a paid order; its units go to the head of the line, unless they are shipped',
    tag: TAG,
    access: 'admin',
    params: orderParams,
    replies: { 200: { description: 'The order, REFUNDED', schema: orderReplySchema } },
    errors: ['NOT_FOUND', 'ILLEGAL_TRANSITION', 'CONFLICT', 'OUTCOME_UNKNOWN', 'FENCED'],
    async handle({ params }) {
      return { status: 200, body: toOrderReply(await orders.refund(params.orderId)) };
    },
  });

  return [list, get, cancel, refund];
}
