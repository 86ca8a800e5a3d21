// payment.start: creates the payment intents of purchases that got a hold. Asks Redis whether the hold lives before and
// after the call, and cancels the intent if it died in between. Runs at least once: a payment that has its intent is only
// announced again, and the first intent that is saved is the only one whose secret leaves this file.
import { PAYMENT_START_CONCURRENCY, PAYMENT_START_TRIES } from '../../core/constants.ts';
import { fault } from '../../core/errors.ts';
import { counter } from '../../core/metrics.ts';
import { withdraw } from './cancel.ts';
import type { ProviderIntent } from './gateway.ts';
import { forEachAtOnce } from './lanes.ts';
import type { Pacer } from './pacer.ts';
import { findPayables } from './payable.ts';
import type { Payable } from './payable.ts';
import type { PaymentDependencies } from './dependencies.ts';
import { findPayments, insertPayments, movePayment, raiseAttempt, saveIntent } from './store.ts';
import type { Payment } from './store.ts';

const started = counter('doorbuster_payment_starts_total', 'Payment intents asked for, by outcome.', ['outcome']);

const CREATED = [
  {
    decision: 'INTENT_CREATED',
    why: 'The order is written: its payment was begun at the provider.',
    source: 'purchase',
  },
] as const;

export type StartPayments = (purchaseIds: readonly string[]) => Promise<void>;

export function createStart(deps: PaymentDependencies, pacer: Pacer): StartPayments {
  const { postgres, stock, gateway, feed, log } = deps;

  async function announce(payable: Payable, clientSecret: string): Promise<void> {
    const news = { purchaseId: payable.key, buyer: payable.buyer, clientSecret, status: 'requires_payment_method' };
    await feed.publishPayment(news);
  }

  /** Marks the holds; when one has died meanwhile the intent must not be paid any more. */
  async function handOver(payable: Payable, intent: Pick<ProviderIntent, 'intentId' | 'clientSecret'>): Promise<void> {
    const marks = payable.lines.map(({ purchaseId }) => ({ purchaseId, status: 'PAYMENT_PENDING' }) as const);
    const outcomes = await stock.mark(marks);
    const isAlive = outcomes.every(
      ({ outcome, purchase }) => outcome === 'MARKED' || outcome === 'REPLAY' || purchase?.status === 'CONFIRMED',
    );
    if (isAlive) {
      started.inc({ outcome: 'started' });
      return announce(payable, intent.clientSecret);
    }
    await withdraw(deps, payable.key, intent.intentId, 'hold_ended');
    started.inc({ outcome: 'too_late' });
  }

  async function refuse(payable: Payable, reason: string): Promise<void> {
    const why = `The provider refuses to take this payment (${reason}): the purchase was ended.`;
    const notes = [{ decision: 'INTENT_REFUSED', why, source: 'purchase' } as const];
    await movePayment(postgres, { key: payable.key, status: 'refused', reason, notes });
    await stock.release(payable.lines.map(({ purchaseId }) => ({ purchaseId, reason: 'DATA_ERROR' })));
    log.error({ purchaseId: payable.key, reason }, 'the provider refused a payment; its purchase is ended');
    await feed.publishPayment({ purchaseId: payable.key, buyer: payable.buyer, clientSecret: '', status: 'refused' });
    started.inc({ outcome: 'refused' });
  }

  async function createIntent(payable: Payable, payment: Payment): Promise<void> {
    for (let attempt = payment.attempt; attempt < payment.attempt + PAYMENT_START_TRIES; attempt += 1) {
      await pacer.turn();
      const outcome = await gateway.start(payable, attempt, payment.createdAt);
      if (outcome.kind === 'refused') return refuse(payable, outcome.reason);
      if (outcome.kind === 'again') {
        await raiseAttempt(postgres, payable.key, attempt);
        continue;
      }
      const { intentId, clientSecret } = outcome.intent;
      if (await saveIntent(postgres, { key: payable.key, intentId, clientSecret, attempt, notes: CREATED })) {
        return handOver(payable, outcome.intent);
      }
      // Another run saved its intent first, or the payment has been decided: this one's secret is shown to nobody.
      await abandonUnlessSaved(deps, payable.key, intentId);
      return;
    }
    throw fault('UNAVAILABLE', `The payment provider failed ${PAYMENT_START_TRIES} times for ${payable.key}`);
  }

  async function startOne(payable: Payable, payment: Payment): Promise<void> {
    if (payment.intentId !== null && payment.clientSecret !== null) {
      const isOpen = payment.status === 'requires_payment_method';
      if (isOpen && payable.isFresh)
        await handOver(payable, { intentId: payment.intentId, clientSecret: payment.clientSecret });
      return;
    }
    if (payment.status !== 'starting') return;
    if (payable.amount === 0) return confirmFree(deps, payable);
    await createIntent(payable, payment);
  }

  return async (purchaseIds) => {
    const { payables, unwritten } = await findPayables(deps, purchaseIds);
    // A free purchase is sold by the first half of confirmFree; the second half may still be to do.
    const live = payables.filter((payable) => payable.isLive || (payable.amount === 0 && payable.isSold));
    await insertPayments(postgres, live.map(toNewPayment));
    const payments = await findPayments(
      postgres,
      live.map((payable) => payable.key),
    );
    const failures: unknown[] = [];
    await forEachAtOnce(live, PAYMENT_START_CONCURRENCY, async (payable) => {
      const payment = payments.get(payable.key);
      if (payment !== undefined) await startOne(payable, payment).catch((error: unknown) => failures.push(error));
    });
    // The job runs again for those that failed; the others find their intent saved and are left alone.
    if (failures.length > 0) throw failures[0];
    if (unwritten.length > 0) throw fault('UNAVAILABLE', `${unwritten.length} orders are not written yet`);
  };
}

async function abandonUnlessSaved(deps: PaymentDependencies, key: string, intentId: string): Promise<void> {
  const saved = (await findPayments(deps.postgres, [key])).get(key);
  if (saved?.intentId === intentId) return;
  await deps.gateway.cancel(intentId);
  started.inc({ outcome: 'duplicate' });
}

/** The provider takes no payment of nothing; a free purchase is confirmed by its own key. */
async function confirmFree(deps: PaymentDependencies, payable: Payable): Promise<void> {
  await deps.stock.confirm(payable.lines.map(({ purchaseId }) => ({ purchaseId, paymentRef: 'free' })));
  const why = 'It costs nothing: it was confirmed without a payment.';
  const notes = [{ decision: 'CONFIRMED', why, source: 'purchase' } as const];
  await movePayment(deps.postgres, { key: payable.key, status: 'succeeded', reason: 'free', notes });
}

export function paymentIdOf(key: string): string {
  return `pay_${key.slice('pur_'.length)}`;
}

function toNewPayment({ key, orderId, amount, currency }: Payable) {
  return { paymentId: paymentIdOf(key), key, orderId, amount, currency };
}
