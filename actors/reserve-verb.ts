// reserve, the verb of the hot path: batches of SKUs that share a partition go out in one call, and its short answers become
// purchases again here. One call a partition is in flight, or two where the second is large; what is asked for meanwhile makes
// up the next. A partition's calls run in the order in which they were sent, and tickets follow that order.
import { OUTBOX_BACKLOG_MAX_RECORDS, RESERVE_BATCH_MAX, RESERVE_SECOND_FROM } from '../core/constants.ts';
import { fault, hasCode } from '../core/errors.ts';
import { partitionOf } from '../core/ids.ts';
import { type SkuCounters, toCounters, toPurchase } from './records.ts';
import { bodyOf, type ScriptCaller } from './script-call.ts';
import { scripts } from './scripts.ts';
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

interface Batch {
  readonly saleId: string;
  readonly sku: string;
  readonly items: readonly ReserveItem[];
}

interface Asked extends Batch {
  readonly resolve: (reserved: Reserved) => void;
  readonly reject: (error: unknown) => void;
}

/** The calls of a partition in flight, and who waits for the next. */
interface Traffic {
  calls: number;
  readonly asked: Asked[];
}

const sizeOf = (asked: readonly Asked[]): number => asked.reduce((sum, { items }) => sum + items.length, 0);

type WirePurchase = Parameters<typeof toPurchase>[1];
/** See scripts/lua/reserve.lua. */
type WireOutcome =
  | number
  | RefusalCode
  | readonly [purchase: WirePurchase, purchaseId?: string]
  | readonly [code: RefusalCode, purchaseId: string];
type WireAnswer = readonly [
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

function toReserved(batch: Batch, answer: WireAnswer, now: number): Reserved {
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

export function createReserveVerb(caller: ScriptCaller) {
  const traffic = new Map<number, Traffic>();

  async function send(partition: number, batches: readonly Asked[]): Promise<void> {
    const rows = batches.map(({ saleId, sku, items }) => [
      saleId,
      sku,
      items.map((i) => i.purchaseId),
      items.map((i) => i.buyer),
      items.map((i) => i.quantity),
      items.map((i) => i.fingerprint),
    ]);
    try {
      const reply = await caller.call(partition, scripts.reserve, [OUTBOX_BACKLOG_MAX_RECORDS, rows]);
      const answers = bodyOf(reply) as WireAnswer[];
      batches.forEach((batch, i) => batch.resolve(toReserved(batch, answers[i] as WireAnswer, reply.now)));
    } catch (error) {
      // A fault of the script may be that of one sale's keys: the others must not suffer for it. All of it is idempotent.
      if (batches.length > 1 && hasCode(error, 'INTERNAL')) for (const batch of batches) await send(partition, [batch]);
      else for (const batch of batches) batch.reject(error);
      // Whoever waited behind a call without an answer has waited long enough; nothing of theirs was sent.
      const waited = hasCode(error, 'OUTCOME_UNKNOWN') ? (traffic.get(partition)?.asked.splice(0) ?? []) : [];
      for (const batch of waited) batch.reject(fault('UNAVAILABLE', 'Redis does not answer'));
    }
  }

  /** Whole batches, in the order in which they came, as many as fit. */
  function takeNext(asked: Asked[]): Asked[] {
    let size = 0;
    const end = asked.findIndex(({ items }, i) => (size += items.length) > RESERVE_BATCH_MAX && i > 0);
    return asked.splice(0, end < 0 ? asked.length : end);
  }

  /** One call, and another behind it where it would be large: Redis goes on to it while this process reads the first one's reply. */
  function sendDue(partition: number, road: Traffic): void {
    const { asked } = road;
    while (asked.length > 0 && (road.calls === 0 || (road.calls === 1 && sizeOf(asked) >= RESERVE_SECOND_FROM))) {
      road.calls += 1;
      // It never rejects.
      void send(partition, takeNext(asked)).then(() => {
        road.calls -= 1;
        sendDue(partition, road);
      });
    }
  }

  return async (saleId: string, sku: string, items: readonly ReserveItem[]): Promise<Reserved> => {
    const partition = partitionOf(saleId);
    if (partition === undefined) {
      return { outcomes: items.map((): BuyOutcome => ({ kind: 'refused', code: 'SALE_NOT_FOUND' })) };
    }
    return new Promise((resolve, reject) => {
      const asked = { saleId, sku, items, resolve, reject };
      const road = traffic.get(partition) ?? { calls: 0, asked: [] };
      traffic.set(partition, road);
      road.asked.push(asked);
      sendDue(partition, road);
    });
  };
}
