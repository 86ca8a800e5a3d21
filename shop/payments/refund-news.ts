// News of a refund, from an event or from the provider's list. Ours moves its row. One that a person made in the dashboard is
// written down, and where it returns all that was paid the order follows, as far as its state allows.
import { fault, hasCode } from '../../core/errors.ts';
import { createOrders } from '../orders/orders.ts';
import { insertNotes } from './decision-store.ts';
import type { DecisionSource, Note } from './decision-store.ts';
import type { PaymentDependencies } from './dependencies.ts';
import type { ProviderRefund } from './gateway-refunds.ts';
import { toProviderAmount } from './provider-amount.ts';
import { notesOf } from './refund.ts';
import { findRefund, openRefund, saveRefund, updateRefund } from './refund-store.ts';
import { findPaymentByIntent, findPayments } from './store.ts';
import type { Payment } from './store.ts';

/** Answers what came of it, beginning with `ignored` where nothing was new. */
export async function takeRefundNews(
  deps: PaymentDependencies,
  refund: ProviderRefund,
  source: DecisionSource,
): Promise<string> {
  const { refundId, status } = refund;
  const why = 'The provider has returned the money.';
  const updated = await updateRefund(deps.postgres, refundId, status, notesOf(refund, { why, source }));
  if (updated !== undefined) {
    if (status === 'failed') deps.log.error({ purchaseId: updated, refundId }, 'a refund failed at the provider');
    await followDashboard(deps, updated, source);
    return `refund: ${status}`;
  }
  const payment = await findPaymentByIntent(deps.postgres, refund.intentId);
  if (payment === undefined) return 'ignored: not made by this shop';
  if (status === 'failed' || status === 'canceled') return 'ignored: nothing was returned';
  if (refund.purchaseId !== '') {
    const begun = await findRefund(deps.postgres, refund.purchaseId);
    if (begun?.providerRefundId === null) throw fault('UNAVAILABLE', `The refund ${refundId} is not written yet`);
    if (begun !== undefined) return reportSecond(deps, payment, refund, source);
  }
  return reflect(deps, payment, refund, source);
}

/** Two refunds that say that they are ours: cannot be, and must be seen. */
async function reportSecond(
  deps: PaymentDependencies,
  payment: Payment,
  refund: ProviderRefund,
  source: DecisionSource,
): Promise<string> {
  const { refundId: providerId, purchaseId } = refund;
  const why = 'The provider has a second refund of this purchase. Compare both in its dashboard.';
  const note: Note = { decision: 'OPERATOR_NEEDED', why, source, providerId };
  const isNew = await insertNotes(deps.postgres, payment.key, [note]);
  if (isNew > 0) deps.log.error({ purchaseId, refundId: providerId }, 'a purchase has two refunds at the provider');
  return 'dead letter for a person: a second refund';
}

async function reflect(
  deps: PaymentDependencies,
  payment: Payment,
  refund: ProviderRefund,
  source: DecisionSource,
): Promise<string> {
  const isAll = refund.amount >= toProviderAmount(payment.amount, payment.currency);
  const isCart = payment.key === payment.orderId;
  const amount = isAll ? payment.amount : Math.min(refund.amount, payment.amount);
  const why = isAll
    ? "All that was paid was returned in the provider's dashboard."
    : "A part of the payment was returned in the provider's dashboard; the order stays as it is.";
  const note: Note = { decision: 'DASHBOARD_REFUND', why, source, providerId: refund.refundId, amount };
  const isNew = (await insertNotes(deps.postgres, payment.key, [note])) > 0;
  if (isNew)
    deps.log.warn({ purchaseId: payment.key, refundId: refund.refundId }, 'a refund was made in the dashboard');
  if (!isAll) return isNew ? 'dashboard: a part' : 'ignored: known';
  if (isCart)
    return needOperator(deps, payment, refund.refundId, source, 'Its order has several holds: take them back by hand.');
  const { key: purchaseId, currency } = payment;
  await openRefund(deps.postgres, { purchaseId, amount, currency, reason: 'DASHBOARD' }, []);
  await saveRefund(deps.postgres, {
    purchaseId,
    refundId: refund.refundId,
    status: refund.status,
    notes: notesOf(refund, { why, source }),
  });
  return (await followDashboard(deps, purchaseId, source)) ?? 'dashboard: the payment is settled first';
}

/**
 * Takes the order of a purchase back whose money was returned in the dashboard. Called after the refund is written, and again
 * after the payment is: whichever comes second sees the other. Undefined where there is nothing to follow.
 */
export async function followDashboard(
  deps: PaymentDependencies,
  purchaseId: string,
  source: DecisionSource,
): Promise<string | undefined> {
  const refund = await findRefund(deps.postgres, purchaseId);
  const isAlive = refund !== undefined && refund.status !== 'failed' && refund.status !== 'canceled';
  if (!isAlive || refund.reason !== 'DASHBOARD') return undefined;
  const payment = (await findPayments(deps.postgres, [purchaseId])).get(purchaseId);
  if (payment?.status !== 'succeeded') return undefined;
  try {
    const order = await createOrders(deps).refund(payment.orderId);
    return `dashboard: the order is ${order.status}`;
  } catch (error) {
    if (!hasCode(error, 'ILLEGAL_TRANSITION', 'NOT_FOUND')) throw error;
    return needOperator(
      deps,
      payment,
      refund.providerRefundId ?? '',
      source,
      `The order cannot follow: ${error.detail}.`,
    );
  }
}

async function needOperator(
  deps: PaymentDependencies,
  payment: Payment,
  providerId: string,
  source: DecisionSource,
  sentence: string,
): Promise<string> {
  const why = `The money was returned in the provider's dashboard. ${sentence}`;
  const note: Note = { decision: 'OPERATOR_NEEDED', why, source, providerId };
  const isNew = await insertNotes(deps.postgres, payment.key, [note]);
  if (isNew > 0) deps.log.error({ purchaseId: payment.key, sentence }, 'a refund of the dashboard needs an operator');
  return 'dashboard: needs an operator';
}
