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
import { insertNotes } from './decision-store.ts';
import type { Note } from './decision-store.ts';
import { noteProgress } from './progress.ts';
import { settleJobId } from './receive.ts';
import { takeRefundNews } from './refund-news.ts';
import { settlePaid } from './settle-money.ts';
import { findPaymentByIntent, findPayments, movePayment } from './store.ts';
import type { Payment } from './store.ts';
import { kindOf, providerEventSchema, subjectOf, toRefund } from './wire.ts';
import type { EventKind, ProviderEvent } from './wire.ts';

const settled = counter('doorbuster_payment_events_total', 'Provider events settled, by type and outcome.', [
  'type',
  'outcome',
]);

const SOURCE = 'webhook';

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
  if (kind === 'refund') return takeRefundNews(deps, toRefund(event), SOURCE);
  if (kind === 'dispute') return noteDispute(deps, event);
  if (intentId === null || purchaseId === null) return 'ignored: not made by this shop';
  const payment = await findPayment(deps, intentId, purchaseId, kind);
  if (payment === undefined) return 'ignored: an intent that was withdrawn';
  const eventAt = new Date(event.created * 1000);
  if (kind === 'succeeded') {
    const paid = { amount: object.amount_received ?? object.amount, currency: object.currency };
    return settlePaid(deps, confirm, payment, paid, { source: SOURCE, eventAt });
  }
  if (kind === 'canceled') {
    const hasMoved = await movePayment(deps.postgres, {
      key: payment.key,
      status: 'canceled',
      reason: 'canceled',
      eventAt,
      notes: [{ decision: 'INTENT_CANCELED', why: 'The payment was canceled at the provider.', source: SOURCE }],
    });
    return hasMoved ? 'canceled' : 'ignored: decided before';
  }
  const error = object.last_payment_error;
  const reason = kind === 'failed' ? (error?.decline_code ?? error?.code ?? 'failed') : '';
  return noteProgress(deps, payment, kind, reason, eventAt);
}

/**
 * The row of the event's intent; undefined for one that was withdrawn before it was shown to anybody. Throws UNAVAILABLE while
 * the row is not written, that is while the event is ahead of us.
 */
async function findPayment(
  deps: PaymentDependencies,
  intentId: string,
  purchaseId: string,
  kind: EventKind,
): Promise<Payment | undefined> {
  const byIntent = await findPaymentByIntent(deps.postgres, intentId);
  if (byIntent !== undefined) return byIntent;
  const payment = (await findPayments(deps.postgres, [purchaseId])).get(purchaseId);
  const isDecided = payment !== undefined && (payment.intentId !== null || payment.status !== 'starting');
  if (isDecided && kind !== 'succeeded') return undefined;
  if (isDecided) {
    const why = `The provider tells of ${intentId}, which is not the payment that the buyer was given. Look it up, and return it if it was paid.`;
    const note = { decision: 'WRONG_INTENT', why, source: SOURCE, providerId: intentId } as const;
    await insertNotes(deps.postgres, payment.key, [note]);
    throw new TerminalError(`${intentId} is not the intent of ${purchaseId}, which is ${payment.intentId ?? 'none'}`);
  }
  throw fault('UNAVAILABLE', `The payment of ${purchaseId} is not known yet`);
}

/** The buyer's bank wants the money back. The shop does nothing by itself: the merchant answers at the provider, in time. */
async function noteDispute(deps: PaymentDependencies, event: ProviderEvent): Promise<string> {
  const { object } = event.data;
  const { intentId } = subjectOf(event);
  const payment = intentId === null ? undefined : await findPaymentByIntent(deps.postgres, intentId);
  if (payment === undefined) return 'ignored: not made by this shop';
  const isClosed = event.type === 'charge.dispute.closed';
  const state = object.status ?? 'open';
  const why = isClosed
    ? `The dispute about this payment is closed: ${state}.`
    : `The buyer's bank disputes this payment (${object.reason ?? 'no reason given'}). Answer it at the provider before its deadline.`;
  const note: Note = { decision: isClosed ? 'DISPUTE_CLOSED' : 'DISPUTED', why, source: SOURCE, providerId: object.id };
  const isNew = await insertNotes(deps.postgres, payment.key, [note]);
  if (isNew > 0) deps.log.error({ purchaseId: payment.key, dispute: object.id, state }, 'a payment is disputed');
  return `dispute: ${state}`;
}
