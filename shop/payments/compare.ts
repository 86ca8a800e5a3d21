// One open payment held against the provider's. Answers the kind of difference that was found and dealt with, undefined where
// both say the same. The provider's word about money is settled as its webhook would have been.
import { isHolding } from '../sales/sales.ts';
import { withdrawOrSettle } from './cancel.ts';
import type { ConfirmPurchase } from './confirm.ts';
import { insertNotes } from './decision-store.ts';
import type { PaymentDependencies } from './dependencies.ts';
import type { ProviderIntent } from './gateway.ts';
import { linesOf } from './lines.ts';
import { noteProgress } from './progress.ts';
import { hasOpenEvent } from './reconcile-store.ts';
import { checkAmount, settlePaid } from './settle-money.ts';
import { movePayment, saveIntent } from './store.ts';
import type { Payment } from './store.ts';

const SOURCE = 'reconciliation';

export function createComparison(
  deps: PaymentDependencies,
  confirm: ConfirmPurchase,
): (payment: Payment) => Promise<string | undefined> {
  const { postgres, gateway, queue } = deps;

  async function isLive(payment: Payment): Promise<boolean> {
    const lines = await linesOf(deps, payment);
    const views = await deps.stock.look(lines.map((line) => line.purchaseId));
    return views.length > 0 && views.every((view) => view !== undefined && isHolding(view.status));
  }

  /** Its job was lost, or died half-way. */
  async function startAgain(payment: Payment): Promise<void> {
    const [line] = await linesOf(deps, payment);
    if (line === undefined) return;
    await queue.add('payment.start', { purchaseIds: [line.purchaseId] }, { jobId: `start-${line.purchaseId}` });
  }

  /** Begun here, and nobody knows how far it came: its process died, or the provider's answer was lost. */
  async function compareUnknown(payment: Payment): Promise<string | undefined> {
    const intent = await gateway.find(payment.key, payment.createdAt);
    const isAlive = await isLive(payment);
    if (intent === undefined) {
      if (isAlive) {
        await startAgain(payment);
        return undefined;
      }
      const why = 'The hold ended before its payment was begun at the provider.';
      const notes = [{ decision: 'INTENT_CANCELED', why, source: SOURCE } as const];
      await movePayment(postgres, { key: payment.key, status: 'canceled', reason: 'the hold ended', notes });
      return undefined;
    }
    if ((await checkAmount(deps, payment, intent, SOURCE)) !== undefined) return 'amount';
    const why = 'The provider had a payment of this purchase that nobody here knew of, after an answer that was lost.';
    const { intentId, clientSecret } = intent;
    const notes = [{ decision: 'ADOPTED', why, source: SOURCE, providerId: intentId } as const];
    const { key, attempt } = payment;
    if (!(await saveIntent(postgres, { key, intentId, clientSecret, attempt, notes }))) return undefined; // somebody else just did
    const adopted = { ...payment, intentId, clientSecret };
    if (intent.status === 'succeeded') await settle(adopted, intent);
    else if (isAlive) await startAgain(payment);
    else await withdrawOrSettle(deps, confirm, adopted, SOURCE);
    return 'adopted';
  }

  async function settle(payment: Payment, intent: ProviderIntent): Promise<void> {
    const paid = { amount: intent.amountReceived, currency: intent.currency };
    await settlePaid(deps, confirm, payment, paid, { source: SOURCE });
  }

  async function noteMissed(payment: Payment, intent: ProviderIntent): Promise<void> {
    const why = `The provider had this payment as "${intent.status}", of which no webhook had told.`;
    await insertNotes(postgres, payment.key, [{ decision: 'MISSED_WEBHOOK', why, source: SOURCE }]);
  }

  return async (payment) => {
    if (payment.amount === 0) {
      // The provider takes no payment of nothing; what is free was begun and not ended.
      await startAgain(payment);
      return undefined;
    }
    if (payment.intentId === null) return compareUnknown(payment);
    if (await hasOpenEvent(postgres, payment.intentId)) return undefined; // told, and about to be settled
    const intent = await gateway.retrieve(payment.intentId);
    if (intent === undefined) {
      const why =
        'The provider does not know this payment, which it had given. Look whether the keys are of another account.';
      const note = { decision: 'OPERATOR_NEEDED', why, source: SOURCE } as const;
      const isNew = await insertNotes(postgres, payment.key, [note]);
      if (isNew > 0) deps.log.error({ purchaseId: payment.key }, 'the provider does not know a payment it had given');
      return 'intent_missing';
    }
    if ((await checkAmount(deps, payment, intent, SOURCE)) !== undefined) return 'amount';
    switch (intent.status) {
      case 'succeeded':
        await noteMissed(payment, intent);
        await settle(payment, intent);
        return 'missed_success';
      case 'canceled': {
        const why = 'The payment was canceled at the provider.';
        const notes = [{ decision: 'INTENT_CANCELED', why, source: SOURCE } as const];
        await movePayment(postgres, { key: payment.key, status: 'canceled', reason: 'canceled', notes });
        return 'missed_cancel';
      }
      case 'processing':
        if (payment.status === 'processing') return undefined;
        await noteProgress(deps, payment, 'processing', '');
        return 'missed_processing';
      default:
        if (intent.failure === '' || payment.status === 'failed') return undefined;
        await noteProgress(deps, payment, 'failed', intent.failure);
        return 'missed_failure';
    }
  };
}
