// The endpoints by which a merchant follows the money: what was decided and why, a comparison with the provider at once, and
// another try of a refund that failed. They translate; payments.ts and below decide.
import { RECONCILE_ASKED_AGE_MS, RECONCILE_ASKED_MAX } from '../../core/constants.ts';
import { fault } from '../../core/errors.ts';
import { TerminalError } from '../../core/queue/queue.ts';
import { defineRoute } from '../route.ts';
import type { Route } from '../route.ts';
import type { Payments } from './payments.ts';
import * as wire from './wire.ts';

const OF_MERCHANTS = { tag: 'Payments', access: 'admin' } as const;

export function paymentAdminRoutes(payments: Payments): Route[] {
  return [decisionsRoute(payments), reconcileRoute(payments), retryRoute(payments)];
}

function decisionsRoute(payments: Payments): Route {
  return defineRoute({
    method: 'GET',
    path: '/api/v1/admin/payments/decisions',
    summary: 'What was decided about payments and why, newest first',
    ...OF_MERCHANTS,
    query: wire.decisionsQuery,
    replies: { 200: { description: 'A page; `next` is the `after` of the following one', schema: wire.decisionList } },
    async handle({ query }) {
      const rows = await payments.decisions(query);
      const next = rows.length === query.limit ? (rows.at(-1)?.decisionId ?? null) : null;
      return { status: 200, body: { items: rows.map(wire.toDecisionReply), next } };
    },
  });
}

function reconcileRoute(payments: Payments): Route {
  return defineRoute({
    method: 'POST',
    path: '/api/v1/admin/payments/reconcile',
    summary: 'Compare open payments with the provider at once, instead of at the next turn',
    ...OF_MERCHANTS,
    replies: { 200: { description: 'What was compared, and what differed', schema: wire.reconcileReply } },
    errors: ['UNAVAILABLE', 'OUTCOME_UNKNOWN', 'FENCED'],
    async handle() {
      return {
        status: 200,
        body: await payments.reconcile({ minAgeMs: RECONCILE_ASKED_AGE_MS, limit: RECONCILE_ASKED_MAX }),
      };
    },
  });
}

function retryRoute(payments: Payments): Route {
  return defineRoute({
    method: 'POST',
    path: '/api/v1/admin/payments/{purchaseId}/retry-refund',
    summary: 'Try a refund again that failed; repeating it refunds nothing twice',
    ...OF_MERCHANTS,
    params: wire.retryParams,
    replies: { 200: { description: "The refund's state at the provider", schema: wire.retryReply } },
    errors: ['NOT_FOUND', 'ILLEGAL_TRANSITION', 'CONFLICT', 'UNAVAILABLE', 'OUTCOME_UNKNOWN', 'FENCED'],
    async handle({ params }) {
      const { purchaseId } = params;
      try {
        return { status: 200, body: { purchaseId, status: await payments.retryRefund(purchaseId) } };
      } catch (error) {
        if (error instanceof TerminalError) throw fault('CONFLICT', error.message);
        throw error;
      }
    },
  });
}
