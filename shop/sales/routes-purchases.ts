// The endpoints of purchases: buy, look, give back. A refusal is an answer with a code, 409 for most.
import { defineRoute, refuse, type Route, type RouteReply } from '../route.ts';
import { keepLast } from '../../core/last-made.ts';
import { Later } from '../../core/later.ts';
import { writePurchase } from './purchase-json.ts';
import type { Bought, Purchases } from './purchases.ts';
import { saleParams } from './wire.ts';
import { buySchema, purchaseParams, purchaseReplySchema } from './wire-purchase.ts';

const TAG = 'Purchases';

/** The status of a repetition follows what the purchase is now; the first answer is always 201 or 202. */
function statusOf(bought: Extract<Bought, { kind: 'purchase' }>): number {
  if (bought.purchase.status === 'WAITING') return 202;
  return bought.isReplay && bought.purchase.status !== 'RESERVED' ? 200 : 201;
}

/** One object for as long as one SKU is asked for: its text is made once (api/problem.ts). */
const membersOf = keepLast((saleId: string, sku: string) => ({ saleId, sku }));

const JSON_TYPE = 'application/json; charset=utf-8';

function answer(bought: Bought, saleId: string, sku: string): RouteReply {
  if (bought.kind === 'refused') {
    const { code, purchaseId, retryAfterSeconds } = bought;
    const members = membersOf(saleId, sku);
    return refuse({ code, retryAfterSeconds, members: purchaseId ? { ...members, purchaseId } : members });
  }
  const headers = { location: `/api/v1/purchases/${bought.purchase.purchaseId}` };
  return { status: statusOf(bought), text: writePurchase(bought.purchase), contentType: JSON_TYPE, headers };
}

export function purchaseRoutes(purchases: Purchases): Route[] {
  const buy = defineRoute({
    method: 'POST',
    path: '/api/v1/sales/{saleId}/purchases',
    summary: 'Buys: a hold, or a place in the line',
    tag: TAG,
    access: 'user',
    params: saleParams,
    body: buySchema,
    hasCommonBody: true,
    takesIdempotencyKey: true,
    replies: {
      201: { description: 'RESERVED: pay before `expiresAt`', schema: purchaseReplySchema },
      202: { description: 'WAITING: `ahead` are in front', schema: purchaseReplySchema },
      200: { description: 'What the purchase of this key has become since', schema: purchaseReplySchema },
    },
    errors: [
      'SALE_NOT_FOUND',
      'SKU_NOT_FOUND',
      'SOLD_OUT',
      'LINE_FULL',
      'LIMIT_EXCEEDED',
      'SALE_PAUSED',
      'SALE_CLOSED',
      'KEY_REUSED',
      'OVERLOADED',
      'OUTCOME_UNKNOWN',
      'FENCED',
      'BACKLOG_FULL',
      'LOW_MEMORY',
    ],
    handle({ params: { saleId }, body: { sku, quantity }, caller, idempotencyKey, deadlineAt, isAbandoned }) {
      const wish = { saleId, sku, quantity, buyer: caller.userId, key: idempotencyKey };
      const bought = purchases.buy(wish, deadlineAt, isAbandoned);
      return bought instanceof Later ? bought.map((late) => answer(late, saleId, sku)) : answer(bought, saleId, sku);
    },
  });

  const get = defineRoute({
    method: 'GET',
    path: '/api/v1/purchases/{purchaseId}',
    summary: 'A purchase of the caller, with its payment once that is known',
    tag: TAG,
    access: 'user',
    params: purchaseParams,
    replies: { 200: { description: 'The purchase', schema: purchaseReplySchema } },
    errors: ['PURCHASE_NOT_FOUND'],
    async handle({ params, caller }) {
      return { status: 200, body: await purchases.get(params.purchaseId, caller.userId) };
    },
  });

  const release = defineRoute({
    method: 'DELETE',
    path: '/api/v1/purchases/{purchaseId}',
    summary: 'Leaves the line, or gives the hold back; repeating it changes nothing',
    tag: TAG,
    access: 'user',
    params: purchaseParams,
    replies: { 200: { description: 'The purchase as it is now', schema: purchaseReplySchema } },
    errors: ['PURCHASE_NOT_FOUND', 'ILLEGAL_TRANSITION'],
    async handle({ params, caller }) {
      return { status: 200, body: await purchases.release(params.purchaseId, caller.userId) };
    },
  });

  return [buy, get, release];
}
