// What the script of reserve answers, read into what callers are told: its short answers become purchases again here. Sends nothing.
import { type SkuCounters, toCounters, toPurchase } from './records.ts';
import { type PurchaseView, retryAfterSeconds, toPlace, type WireContext } from './waiting.ts';

type RefusalCode =
  | 'SOLD_OUT'
  | 'LINE_FULL'
  | 'LIMIT_EXCEEDED'
  | 'SALE_PAUSED'
  | 'SALE_CLOSED'
  | 'KEY_REUSED'
  | 'SALE_NOT_FOUND'
  | 'SKU_NOT_FOUND'
  | 'BACKLOG_FULL'
  | 'LOW_MEMORY'
  | 'BAD_REQUEST';

interface Refusal {
  readonly kind: 'refused';
  readonly code: RefusalCode;
  /** The buyer's live purchase, with LIMIT_EXCEEDED. */
  readonly purchaseId?: string;
  readonly retryAfterSeconds?: number;
}
export type BuyOutcome =
  | { readonly kind: 'purchase'; readonly purchase: PurchaseView; readonly isReplay: boolean }
  | Refusal;

export interface ReserveItem {
  readonly purchaseId: string;
  readonly buyer: string;
  readonly quantity: number;
  readonly fingerprint: string;
}

export interface Reserved {
  readonly outcomes: BuyOutcome[];
  /** The SKU's counts as they are afterwards; absent where sale or SKU are unknown. */
  readonly counters?: SkuCounters;
}

/** What one call asks of a SKU. */
export interface Batch {
  readonly saleId: string;
  readonly sku: string;
  readonly items: readonly ReserveItem[];
}

type WirePurchase = Parameters<typeof toPurchase>[1];
/** See scripts/lua/reserve.lua. */
type WireOutcome =
  | number
  | RefusalCode
  | readonly [purchase: WirePurchase, purchaseId?: string]
  | readonly [code: RefusalCode, purchaseId: string];
export type WireAnswer = readonly [
  context: WireContext | false,
  outcomes: readonly WireOutcome[],
  unitPrice: number,
  currency: string,
];

type WireReplay = readonly [purchase: WirePurchase, purchaseId?: string];
const isReplayed = (outcome: readonly unknown[]): outcome is WireReplay => typeof outcome[0] !== 'string';

interface Told {
  readonly batch: Batch;
  readonly answer: WireAnswer;
  readonly context: WireContext;
  readonly counters: SkuCounters;
  readonly now: number;
}

/** A purchase that was accepted in this very call: what the script did not repeat is known here. */
function accept(item: ReserveItem, ticket: number, { batch, answer, context, counters, now }: Told): PurchaseView {
  const isReserved = ticket > 0;
  const view = {
    purchaseId: item.purchaseId,
    version: 1,
    status: isReserved ? ('RESERVED' as const) : ('WAITING' as const),
    buyer: item.buyer,
    saleId: batch.saleId,
    sku: batch.sku,
    quantity: item.quantity,
    ticket: Math.abs(ticket),
    expiresAt: isReserved ? now + context[3] : 0,
    unitPrice: answer[2],
    currency: answer[3],
    createdAt: now,
    updatedAt: now,
    reason: '',
    orderRef: '',
    fingerprint: item.fingerprint,
    isRefundDue: false,
    hadHold: isReserved,
    // In the same object: a copy of all this for each of a crowd, only to add three members, shows in the profile.
    ahead: 0,
    estimatedWaitSeconds: 0 as number | null,
    counters,
  };
  if (isReserved) return view;
  const { ahead, estimatedWaitSeconds } = toPlace(view, context, counters, now);
  view.ahead = ahead;
  view.estimatedWaitSeconds = estimatedWaitSeconds;
  return view;
}

export function toReserved(batch: Batch, answer: WireAnswer, now: number): Reserved {
  const [context, outcomes] = answer;
  if (!context) {
    return { outcomes: outcomes.map((code): BuyOutcome => ({ kind: 'refused', code: code as RefusalCode })) };
  }
  const counters = toCounters(context[0]);
  const told = { batch, answer, context, counters, now };
  return {
    counters,
    outcomes: batch.items.map((item, i): BuyOutcome => {
      // The script answers one outcome per item.
      const outcome = outcomes[i] as WireOutcome;
      if (typeof outcome === 'number') {
        return { kind: 'purchase', purchase: accept(item, outcome, told), isReplay: false };
      }
      if (typeof outcome === 'string') {
        if (outcome !== 'LINE_FULL') return { kind: 'refused', code: outcome };
        return { kind: 'refused', code: outcome, retryAfterSeconds: retryAfterSeconds(context, now) };
      }
      if (isReplayed(outcome)) {
        const purchase = toPurchase(outcome[1] ?? item.purchaseId, outcome[0]);
        const view = { ...purchase, ...toPlace(purchase, context, counters, now), counters };
        return { kind: 'purchase', purchase: view, isReplay: true };
      }
      return { kind: 'refused', code: outcome[0], purchaseId: outcome[1] };
    }),
  };
}
