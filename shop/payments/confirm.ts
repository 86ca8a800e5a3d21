// Confirms of payments that settle at the same time, in one script: what comes while one is under way forms the next.
// The script decides; a reply that was lost is asked for again, which confirms nothing twice.
import type { ConfirmOutcome, StockStore } from '../../actors/stock-store.ts';
import { createActor } from '../../core/actor/actor.ts';
import type { Clock } from '../../core/clock.ts';
import { MAILBOX_MAX, REQUEST_DEADLINE_MS, RETRY_DELAY_MS, SLICE_MAX } from '../../core/constants.ts';

export type ConfirmPurchase = (purchaseId: string, paymentRef: string) => Promise<ConfirmOutcome>;

export function createConfirm(deps: { stock: Pick<StockStore, 'confirm'>; clock: Clock }): ConfirmPurchase {
  const { stock, clock } = deps;
  const actor = createActor<{ purchaseId: string; paymentRef: string }, ConfirmOutcome>({
    handle: (batch) => stock.confirm(batch),
    maxBatch: SLICE_MAX,
    maxMailbox: MAILBOX_MAX,
    clock,
    retryDelayMs: RETRY_DELAY_MS,
  });
  return async (purchaseId, paymentRef) => actor.ask({ purchaseId, paymentRef }, clock.now() + REQUEST_DEADLINE_MS);
}
