// payment.settle: what a stored event of the provider means for its purchase. Idempotent and indifferent to order: Redis
// decides whether stock is there, the payment's row only moves forward. An event whose payment is not known yet is tried
// again for as long as it takes, with an alarm; what cannot be right is left to an operator.
import { SETTLE_ALARM_MS, SETTLE_CONCURRENCY } from '../../core/constants.ts';
import { fault } from '../../core/errors.ts';
import { counter } from '../../core/metrics.ts';
import { TerminalError } from '../../core/queue/queue.ts';
import { buryEvent, settleEvent, takeEvent } from './event-store.ts';
import type { ConfirmPurchase } from './confirm.ts';
import type { PaymentDependencies } from './dependencies.ts';
import { forEachAtOnce } from './lanes.ts';
import { linesOf } from './lines.ts';
import { settleJobId } from './receive.ts';
import { checkPaid, settleMoney } from './settle-money.ts';
import { findRefund, updateRefund } from './refund-store.ts';
import { findPaymentByIntent, findPayments, movePayment } from './store.ts';
import type { Payment } from './store.ts';
import { kindOf, providerEventSchema, subjectOf } from './wire.ts';
import type { ProviderEvent } from './wire.ts';

const settled = counter('doorbuster_payment_events_total', 'Provider events settled, by type and outcome.', [
  'type',
  'outcome',
]);

export function createSettle(
  deps: PaymentDependencies,
  confirm: ConfirmPurchase,
): (eventIds: readonly string[]) => Promise<void> {
  const settleOne = createSettleOne(deps, confirm);
  return async (eventIds) => {
    const [only] = eventIds;
    if (only !== undefined && eventIds.length === 1) return settleOne(only);
    const failed: string[] = [];
    await forEachAtOnce(eventIds, SETTLE_CONCURRENCY, (eventId) =>
      settleOne(eventId).catch(() => void failed.push(eventId)),
    );
    // Each of them goes on alone: the one that waits, or needs an operator, does not hold up or repeat the others.
    const jobs = failed.map((eventId) => ({ payload: { eventIds: [eventId] }, jobId: settleJobId([eventId]) }));
    await deps.queue.addBulk('payment.settle', jobs);
  };
}

function createSettleOne(deps: PaymentDependencies, confirm: ConfirmPurchase): (eventId: string) => Promise<void> {
  const { postgres, log, clock } = deps;
  return async (eventId) => {
    const stored = await takeEvent(postgres, eventId);
    if (stored === undefined) return; // settled before, by a run that was slow to say so
    const event = providerEventSchema.parse(stored.payload);
    try {
      const outcome = await apply(deps, confirm, event);
      await settleEvent(postgres, eventId, outcome);
      settled.inc({ type: event.type, outcome: outcome.split(':', 1)[0] ?? outcome });
    } catch (error) {
      const ageMs = clock.now() - stored.receivedAt.getTime();
      const facts = { eventId, type: event.type, ageMs, attempts: stored.attempts, err: error };
      if (error instanceof TerminalError) {
        await buryEvent(postgres, eventId, error.message);
        settled.inc({ type: event.type, outcome: 'dead' });
        log.error(facts, 'a payment event needs an operator');
      } else if (ageMs > SETTLE_ALARM_MS) {
        log.error(facts, 'a payment event could not be settled for ten minutes');
      }
      throw error;
    }
  };
}

async function apply(deps: PaymentDependencies, confirm: ConfirmPurchase, event: ProviderEvent): Promise<string> {
  const kind = kindOf(event.type);
  const { object } = event.data;
  if (kind === 'other' || kind === 'charge_refunded') return 'ignored: told by other events';
  const { intentId, purchaseId } = subjectOf(event);
  if (kind === 'refund') return refundNews(deps, object.id, purchaseId, object.status ?? 'pending');
  if (intentId === null || purchaseId === null) return 'ignored: not made by this shop';
  const payment = await findPayment(deps, intentId, purchaseId);
  const eventAt = new Date(event.created * 1000);
  if (kind === 'succeeded') {
    checkPaid(payment, { amount: object.amount_received ?? object.amount, currency: object.currency });
    return settleMoney(deps, confirm, payment, eventAt);
  }
  if (kind === 'canceled') {
    const hasMoved = await movePayment(deps.postgres, {
      key: payment.key,
      status: 'canceled',
      reason: 'canceled',
      eventAt,
    });
    return hasMoved ? 'canceled' : 'ignored: decided before';
  }
  const error = object.last_payment_error;
  const reason = kind === 'failed' ? (error?.decline_code ?? error?.code ?? 'failed') : '';
  return progress(deps, payment, kind, reason, eventAt);
}

/** The row of the event's intent. Throws UNAVAILABLE while it is not written: the event is ahead of us. */
async function findPayment(deps: PaymentDependencies, intentId: string, purchaseId: string): Promise<Payment> {
  const byIntent = await findPaymentByIntent(deps.postgres, intentId);
  if (byIntent !== undefined) return byIntent;
  const payment = (await findPayments(deps.postgres, [purchaseId])).get(purchaseId);
  if (payment !== undefined && payment.intentId !== null) {
    throw new TerminalError(`${intentId} is not the intent of ${purchaseId}, which is ${payment.intentId}`);
  }
  throw fault('UNAVAILABLE', `The payment of ${purchaseId} is not known yet`);
}

/** The buyer failed and may try again, or the provider is at work. */
async function progress(
  deps: PaymentDependencies,
  payment: Payment,
  kind: 'failed' | 'processing',
  reason: string,
  eventAt: Date,
): Promise<string> {
  const hasMoved = await movePayment(deps.postgres, { key: payment.key, status: kind, reason, eventAt });
  if (!hasMoved) return 'ignored: older than what is known';
  const status = kind === 'failed' ? 'PAYMENT_FAILED' : 'PAYMENT_PENDING';
  const purchaseIds = await linesOf(deps, payment);
  // Where the hold has ended the mark is refused, which is right: the row keeps the reason.
  const marks = await deps.stock.mark(purchaseIds.map(({ purchaseId }) => ({ purchaseId, status, reason })));
  const buyer = marks.find((mark) => mark.purchase !== undefined)?.purchase?.buyer;
  if (buyer !== undefined) {
    const news = { purchaseId: payment.key, buyer, clientSecret: payment.clientSecret ?? '', status: kind };
    await deps.feed.publishPayment(news);
  }
  return reason === '' ? kind : `${kind}: ${reason}`;
}

async function refundNews(
  deps: PaymentDependencies,
  refundId: string,
  purchaseId: string | null,
  status: string,
): Promise<string> {
  const updated = await updateRefund(deps.postgres, refundId, status);
  if (updated === undefined) {
    const begun = purchaseId === null ? undefined : await findRefund(deps.postgres, purchaseId);
    if (begun?.providerRefundId === null) throw fault('UNAVAILABLE', `The refund ${refundId} is not written yet`);
    return 'ignored: a refund made elsewhere';
  }
  if (status === 'failed') deps.log.error({ purchaseId: updated, refundId }, 'a refund failed at the provider');
  return `refund: ${status}`;
}
