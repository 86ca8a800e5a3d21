// Refunds of what was charged: never more than was paid, in one or more parts; at once, or `pending` until they succeed or fail.
// Emits refund.created, charge.refunded, refund.updated and refund.failed.
import { randomId } from '../core/ids.ts';
import type { Account, Cause } from './account.ts';
import type { BehaviorControl } from './behavior.ts';
import { Failure, invalidParameter, missingObject } from './failure.ts';
import { readAmount, readCreatedFilter, readLimit, readMetadata } from './form.ts';
import type { Form } from './form.ts';
import type { Charge, Refund } from './wire.ts';

export interface Refunds {
  create(form: Form, cause: Cause): Refund;
  find(id: string): Refund;
  list(form: Form): { data: Refund[]; hasMore: boolean };
  /** Ends those that a former run left `pending`. */
  finishPending(): void;
  stop(): void;
}

/** A failing refund is `pending` for so long at least, as with a bank. */
const FAILURE_MS = 20;

export function createRefunds(account: Account, behavior: BehaviorControl): Refunds {
  const timers = new Set<NodeJS.Timeout>();
  const find = (id: string): Refund => {
    const refund = account.refunds.get(id);
    if (refund === undefined) throw missingObject('refund', id, 'id');
    return refund;
  };
  const fail = (refund: Refund, cause: Cause) => {
    const failed: Refund = { ...refund, status: 'failed', failure_reason: 'declined' };
    account.saveRefund(failed);
    const charge = account.charges.get(refund.charge);
    if (charge !== undefined)
      account.saveCharge({ ...charge, amount_refunded: charge.amount_refunded - refund.amount, refunded: false });
    account.emit('refund.updated', failed, cause);
    account.emit('refund.failed', failed, cause);
  };
  const end = (refund: Refund, isFailing: boolean) => {
    const cause = { requestId: null, idempotencyKey: null };
    if (isFailing) return fail(refund, cause);
    const done: Refund = { ...refund, status: 'succeeded' };
    account.saveRefund(done);
    account.emit('refund.updated', done, cause);
  };

  return {
    find,
    finishPending() {
      for (const refund of [...account.refunds.values()]) if (refund.status === 'pending') end(refund, false);
    },
    stop() {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
    create(form, cause) {
      const charge = chargeOf(account, form);
      const left = charge.amount - charge.amount_refunded;
      if (left === 0) {
        const message = `Charge ${charge.id} has already been refunded.`;
        throw new Failure(400, { type: 'invalid_request_error', code: 'charge_already_refunded', message }, true);
      }
      const wanted = form.get('amount');
      const amount = wanted === undefined ? left : readAmount(wanted);
      if (amount > left) {
        throw invalidParameter(
          'amount_too_large',
          'amount',
          `Refund amount is greater than the ${left} left to refund.`,
        );
      }
      const { refundMs, isRefundFailing } = behavior.current;
      const isLater = refundMs > 0 || isRefundFailing;
      const refund: Refund = {
        id: randomId('re_'),
        object: 'refund',
        amount,
        charge: charge.id,
        created: account.nowSeconds(),
        currency: charge.currency,
        metadata: readMetadata(form),
        payment_intent: charge.payment_intent,
        reason: form.get('reason') ?? null,
        failure_reason: null,
        status: isLater ? 'pending' : 'succeeded',
      };
      const refunded: Charge = {
        ...charge,
        amount_refunded: charge.amount_refunded + amount,
        refunded: amount === left,
      };
      account.saveRefund(refund);
      account.saveCharge(refunded);
      account.emit('refund.created', refund, cause);
      account.emit('charge.refunded', refunded, cause);
      if (isLater) {
        const timer = setTimeout(() => {
          timers.delete(timer);
          end(refund, isRefundFailing);
        }, refundMs || FAILURE_MS);
        timers.add(timer);
      }
      return refund;
    },
    list(form) {
      const isWanted = readCreatedFilter(form);
      const ofIntent = form.get('payment_intent');
      const ofCharge = form.get('charge');
      const keep = (refund: Refund) =>
        isWanted(refund.created) &&
        (ofIntent === undefined || refund.payment_intent === ofIntent) &&
        (ofCharge === undefined || refund.charge === ofCharge);
      const startingAfter = form.get('starting_after');
      if (startingAfter !== undefined) find(startingAfter);
      return account.refunds.page({ limit: readLimit(form), startingAfter, keep });
    },
  };
}

function chargeOf(account: Account, form: Form): Charge {
  const intentId = form.get('payment_intent');
  const chargeId = form.get('charge');
  if (intentId === undefined && chargeId === undefined) {
    throw invalidParameter('parameter_missing', 'payment_intent', 'One of charge or payment_intent is needed.');
  }
  if (intentId === undefined) {
    const charge = account.charges.get(chargeId ?? '');
    if (charge === undefined) throw missingObject('charge', chargeId ?? '', 'charge');
    return charge;
  }
  const intent = account.intents.get(intentId);
  if (intent === undefined) throw missingObject('payment_intent', intentId, 'payment_intent');
  const charge = intent.status === 'succeeded' ? account.charges.get(intent.latest_charge ?? '') : undefined;
  if (charge === undefined) {
    const message = `This PaymentIntent (${intentId}) does not have a successful charge to refund.`;
    throw invalidParameter('payment_intent_unexpected_state', 'payment_intent', message);
  }
  return charge;
}
