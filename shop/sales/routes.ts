// The endpoints of sales: who may call them, what they answer. Decides nothing itself.
import { defineRoute, type Route } from '../route.ts';
import type { Sales } from './sales.ts';
import { createSaleSchema, listSalesQuery, saleListSchema, saleParams, saleReplySchema, toSaleReply } from './wire.ts';

const TAG = 'Sales';
const VERBS = ['open', 'pause', 'close'] as const;
const VERB_SUMMARY = {
  open: 'Opens a sale, or goes on after a pause',
  pause: 'Pauses a sale: nobody is admitted, payments and expiries go on',
  close: 'Closes a sale for good: the line is cancelled, holds may still be paid',
} as const;

export function saleRoutes(sales: Sales): Route[] {
  const create = defineRoute({
    method: 'POST',
    path: '/api/v1/sales',
    summary: 'Creates a sale with its SKUs and their stock',
    tag: TAG,
    access: 'admin',
    body: createSaleSchema,
    takesIdempotencyKey: true,
    replies: {
      201: { description: 'The sale', schema: saleReplySchema },
      200: { description: 'The sale that this key has created before', schema: saleReplySchema },
    },
    errors: ['SKU_IN_ANOTHER_SALE', 'KEY_REUSED', 'FENCED'],
    async handle({ body, caller, idempotencyKey }) {
      const { sale, isNew } = await sales.create(body, { userId: caller.userId, key: idempotencyKey });
      const headers = { location: `/api/v1/sales/${sale.row.saleId}` };
      return { status: isNew ? 201 : 200, body: toSaleReply(sale), headers };
    },
  });

  const list = defineRoute({
    method: 'GET',
    path: '/api/v1/sales',
    summary: 'Lists sales, newest first; `next` goes into `after` for the next page',
    tag: TAG,
    access: 'public',
    query: listSalesQuery,
    replies: { 200: { description: 'A page of sales', schema: saleListSchema } },
    async handle({ query }) {
      const page = await sales.list(query);
      const last = page.length === query.limit ? page.at(-1) : undefined;
      return { status: 200, body: { items: page.map(toSaleReply), next: last?.row.saleId ?? null } };
    },
  });

  const get = defineRoute({
    method: 'GET',
    path: '/api/v1/sales/{saleId}',
    summary: 'A sale with the live counts of its SKUs',
    tag: TAG,
    access: 'public',
    params: saleParams,
    replies: { 200: { description: 'The sale', schema: saleReplySchema } },
    errors: ['SALE_NOT_FOUND'],
    async handle({ params }) {
      return { status: 200, body: toSaleReply(await sales.get(params.saleId)) };
    },
  });

  const moves = VERBS.map((verb) =>
    defineRoute({
      method: 'POST',
      path: `/api/v1/sales/{saleId}/${verb}`,
      summary: VERB_SUMMARY[verb],
      tag: TAG,
      access: 'admin',
      params: saleParams,
      replies: { 200: { description: 'The sale, in its new state', schema: saleReplySchema } },
      errors: ['SALE_NOT_FOUND', 'ILLEGAL_TRANSITION'],
      async handle({ params }) {
        return { status: 200, body: toSaleReply(await sales.move(params.saleId, verb)) };
      },
    }),
  );

  return [create, list, get, ...moves];
}
