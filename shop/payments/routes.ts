// The endpoints of payments: the provider's webhook, and the two of the shop. They translate; what happens is decided in
// payments.ts and below.
import type { StockStore } from '../../actors/stock-store.ts';
import { fault } from '../../core/errors.ts';
import { toDecimal } from '../../core/money.ts';
import { defineRoute } from '../route.ts';
import type { Route, RouteReply } from '../route.ts';
import { isHolding, orderIdOf } from '../sales/sales.ts';
import type { Payments } from './payments.ts';
import { paymentIdOf } from './start.ts';
import type { Payment } from './store.ts';
import * as wire from './wire.ts';

export interface PaymentRouteDependencies {
  payments: Payments;
  stock: Pick<StockStore, 'look'>;
}

const TAG = 'Payments';

export function createPaymentRoutes(deps: PaymentRouteDependencies): Route[] {
  return [webhookRoute(deps), initiateRoute(deps), readRoute(deps)];
}

function webhookRoute({ payments }: PaymentRouteDependencies): Route {
  return defineRoute({
    method: 'POST',
    path: '/api/v1/payments/webhook',
    summary: "Receive the provider's signed events",
    tag: TAG,
    access: 'public',
    bodyKind: 'raw',
    headers: ['stripe-signature'],
    replies: { 200: { description: 'Stored; it is settled afterwards', schema: wire.webhookReply } },
    errors: ['WEBHOOK_SIGNATURE', 'BODY_TOO_LARGE', 'UNAVAILABLE'],
    async handle(request) {
      await payments.receive(request.rawBody, request.headers.get('stripe-signature'));
      return { status: 200, body: { received: true } };
    },
  });
}

function initiateRoute(deps: PaymentRouteDependencies): Route {
  return defineRoute({
    method: 'POST',
    path: '/api/v1/payments/initiate',
    summary: 'Ask for the payment of an order: its client secret, once there is one',
    tag: TAG,
    access: 'user',
    body: wire.initiateBody,
    replies: {
      200: { description: 'The payment, with the secret that pays while it can be paid', schema: wire.initiateReply },
      202: { description: 'The payment is being created: ask again', schema: wire.initiateReply },
    },
    errors: ['VALIDATION_FAILED', 'PURCHASE_NOT_FOUND', 'ILLEGAL_TRANSITION', 'UNAVAILABLE'],
    async handle({ body, caller }) {
      const subject = await findSubject(deps, body, caller.userId);
      const payment = await deps.payments.find(subject.key);
      checkAmount(body, payment ?? subject);
      if (payment !== undefined && payment.status !== 'starting') return { status: 200, body: toReply(payment) };
      if (!subject.isLive) throw fault('ILLEGAL_TRANSITION', 'There is nothing to pay: the hold has ended');
      await deps.payments.onPaymentWanted(subject.purchaseId);
      return waiting(subject);
    },
  });
}

function readRoute({ payments }: PaymentRouteDependencies): Route {
  return defineRoute({
    method: 'GET',
    path: '/api/v1/payments/{paymentId}',
    summary: 'Read a payment',
    tag: TAG,
    access: 'user',
    params: wire.paymentParams,
    replies: { 200: { description: 'The payment', schema: wire.paymentReply } },
    errors: ['NOT_FOUND'],
    async handle({ params, caller }) {
      const found = await payments.findOwned(params.paymentId);
      const isOwner = found !== undefined && found.owner === caller.userId;
      if (found === undefined || (!isOwner && caller.role !== 'ADMIN'))
        throw fault('NOT_FOUND', 'There is no such payment');
      return { status: 200, body: wire.toPaymentReply(found.payment, found.refund, isOwner) };
    },
  });
}

interface Subject {
  key: string;
  orderId: string;
  /** Any of the purchases that it pays for. */
  purchaseId: string;
  isLive: boolean;
  amount?: number;
  currency?: string;
}

/** What is to be paid, if it is the caller's. An order of one purchase has that purchase's id after its prefix. */
async function findSubject(
  deps: PaymentRouteDependencies,
  body: { orderId?: string | undefined; purchaseId?: string | undefined },
  userId: string,
): Promise<Subject> {
  const notFound = fault('PURCHASE_NOT_FOUND', 'There is no such order');
  const purchaseId = body.purchaseId ?? `pur_${(body.orderId ?? '').slice('ord_'.length)}`;
  const [view] = await deps.stock.look([purchaseId]);
  if (view !== undefined && view.orderRef === '') {
    const orderId = orderIdOf(purchaseId);
    if (view.buyer !== userId || (body.orderId !== undefined && body.orderId !== orderId)) throw notFound;
    const amount = view.unitPrice * view.quantity;
    return { key: purchaseId, orderId, purchaseId, isLive: isHolding(view.status), amount, currency: view.currency };
  }
  const orderId = view === undefined ? (body.orderId ?? '') : view.orderRef;
  const cart = await deps.payments.cartOrder(orderId);
  const [first] = cart?.purchaseIds ?? [];
  if (cart === undefined || cart.userId !== userId || first === undefined) throw notFound;
  const views = await deps.stock.look(cart.purchaseIds);
  const isLive = views.every((held) => held !== undefined && isHolding(held.status));
  return { key: orderId, orderId, purchaseId: first, isLive };
}

function checkAmount(
  body: { amount?: number | undefined; currency?: string | undefined },
  due: { amount?: number; currency?: string },
): void {
  const { amount, currency } = due;
  if (currency === undefined || amount === undefined) return;
  const fields = [];
  if (body.amount !== undefined && body.amount !== toDecimal(amount, currency)) {
    fields.push({ field: 'amount', message: `must be what the order costs, ${toDecimal(amount, currency)}` });
  }
  if (body.currency !== undefined && body.currency.toUpperCase() !== currency) {
    fields.push({ field: 'currency', message: `must be the order's, ${currency}` });
  }
  if (fields.length > 0) throw fault('VALIDATION_FAILED', undefined, { fields });
}

function toReply(payment: Payment) {
  const { paymentId, orderId, status, clientSecret } = payment;
  const reply = { paymentId, orderId, status };
  return clientSecret !== null && wire.isPayable(payment) ? { ...reply, clientSecret } : reply;
}

function waiting(subject: Subject): RouteReply {
  const body = { paymentId: paymentIdOf(subject.key), orderId: subject.orderId, status: 'starting' };
  return { status: 202, body, headers: { 'retry-after': '1' } };
}
