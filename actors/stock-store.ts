// The stock, as the rest of the system may touch it: one typed function a script verb. Batches are split by partition
// and into slices; the decisions are the scripts' alone.
import { OUTBOX_BACKLOG_MAX_RECORDS, SLICE_MAX } from '../core/constants.ts';
import { partitionOf } from '../core/ids.ts';
import { createOrderVerbs, type OrderVerbs } from './order-verbs.ts';
import { OUTBOX_GROUP } from './keys.ts';
import { type Purchase, toPurchase } from './records.ts';
import { createRebuildVerbs, type RebuildVerbs } from './rebuild-verbs.ts';
import type { Reserved, ReserveItem } from './reserve-answer.ts';
import { createReserveVerb } from './reserve-verb.ts';
import { createSaleVerbs, type SaleVerbs } from './sale-verbs.ts';
import { bodyOf, createScriptCaller, type EpochRecord, type ScriptCallerOptions } from './script-call.ts';
import { scripts } from './scripts.ts';
import { type PurchaseView, toView, type WireContext } from './waiting.ts';

export type { EpochRecord } from './script-call.ts';
export type { BuyOutcome, ReserveItem } from './reserve-answer.ts';
export type { PurchaseView } from './waiting.ts';

type Outcome<Name extends string, Value extends string> = {
  readonly purchaseId: string;
  readonly purchase?: Purchase;
} & {
  readonly [N in Name]: Value;
};
export type ConfirmOutcome = Outcome<'decision', 'CONFIRMED' | 'REFUND' | 'NOT_FOUND' | 'ILLEGAL'>;
export type ReleaseOutcome = Outcome<'outcome', 'RELEASED' | 'REPLAY' | 'CONFIRMED' | 'NOT_FOUND'>;
export type MarkOutcome = Outcome<'outcome', 'MARKED' | 'REPLAY' | 'ILLEGAL' | 'NOT_FOUND'>;
export type ReleaseReason = 'BUYER' | 'OPERATOR' | 'DATA_ERROR' | 'REFUND' | 'ORDER_CANCELLED';

export interface StockStore extends SaleVerbs, OrderVerbs, RebuildVerbs {
  /** Used by the SKU's actor only. One outcome per item, in order; the SKU's counts as they are afterwards. */
  reserve(saleId: string, sku: string, items: readonly ReserveItem[]): Promise<Reserved>;
  look(purchaseIds: readonly string[]): Promise<(PurchaseView | undefined)[]>;
  /** REFUND is sticky: a payment that once found no stock is refunded, however often it is told. */
  confirm(items: readonly { purchaseId: string; paymentRef: string }[]): Promise<ConfirmOutcome[]>;
  /** `buyer` given: only that buyer's. CONFIRMED is given back with reason REFUND only. */
  release(items: readonly { purchaseId: string; buyer?: string; reason: ReleaseReason }[]): Promise<ReleaseOutcome[]>;
  mark(
    items: readonly {
      purchaseId: string;
      status: 'PAYMENT_PENDING' | 'PAYMENT_FAILED' | 'REFUNDED';
      reason?: string;
    }[],
  ): Promise<MarkOutcome[]>;
  expire(partition: number): Promise<{ ended: number; hasMore: boolean; lagMs: number }>;
  admit(partition: number): Promise<{ admitted: number; hasMore: boolean }>;
  /** Entries whose records are committed in Postgres leave the outbox. Returns how many were still there. */
  acknowledge(partition: number, entryIds: readonly string[]): Promise<number>;
  /** Throws FENCED where Redis is empty or behind what Postgres knows. */
  attach(record: EpochRecord): Promise<void>;
  /** Writes down for Postgres what this process was told of since the last time. */
  witness(): Promise<void>;
  /** Resolves when the replicas have all that Redis has now; at once where none are asked for. */
  replicated(partition: number): Promise<void>;
  /** Attached to some partition. */
  readonly isAttached: boolean;
  /** A call was refused by the fence since the last attachment: it is time for another. */
  readonly isDoubted: boolean;
}

type WirePurchase = Parameters<typeof toPurchase>[1];
type WireOutcome = readonly [purchaseId: string, code: string, purchase: WirePurchase | false];

/** Groups by partition, keeps the places of the answers; ids that name no partition stay unanswered. */
function groupByPartition(ids: readonly string[]): Map<number, number[]> {
  const groups = new Map<number, number[]>();
  ids.forEach((id, place) => {
    const partition = partitionOf(id);
    if (partition === undefined) return;
    const places = groups.get(partition);
    if (places) places.push(place);
    else groups.set(partition, [place]);
  });
  return groups;
}

export function createStockStore(options: ScriptCallerOptions): StockStore {
  const caller = createScriptCaller(options);

  /** Sends items in slices, partition by partition, and puts each answer at its item's place. */
  async function inSlices<T>(
    ids: readonly string[],
    run: (partition: number, places: readonly number[]) => Promise<readonly (T | undefined)[]>,
  ): Promise<(T | undefined)[]> {
    const answers: (T | undefined)[] = ids.map(() => undefined);
    for (const [partition, places] of groupByPartition(ids)) {
      for (let from = 0; from < places.length; from += SLICE_MAX) {
        const slice = places.slice(from, from + SLICE_MAX);
        const replies = await run(partition, slice);
        slice.forEach((place, i) => {
          answers[place] = replies[i];
        });
      }
    }
    return answers;
  }

  /** A verb over purchases by id; an id of no partition or with unreadable bytes is NOT_FOUND. */
  async function runVerb(
    script: (typeof scripts)['confirm'],
    rows: readonly (readonly [purchaseId: string, ...rest: string[]])[],
  ): Promise<{ purchaseId: string; code: string; purchase?: Purchase }[]> {
    const ids = rows.map((row) => row[0]);
    const answers = await inSlices<WireOutcome>(ids, async (partition, places) => {
      const reply = await caller.call(partition, script, [places.map((place) => rows[place])]);
      return bodyOf(reply) as WireOutcome[];
    });
    return answers.map((answer, i) => {
      const purchaseId = ids[i] ?? '';
      if (!answer || answer[1] === 'CORRUPT') return { purchaseId, code: 'NOT_FOUND' };
      return answer[2]
        ? { purchaseId, code: answer[1], purchase: toPurchase(purchaseId, answer[2]) }
        : { purchaseId, code: answer[1] };
    });
  }

  async function look(purchaseIds: readonly string[]): Promise<(PurchaseView | undefined)[]> {
    return inSlices<PurchaseView>(purchaseIds, async (partition, places) => {
      const ids = places.map((place) => purchaseIds[place] ?? '');
      const reply = await caller.call(partition, scripts.look, [ids]);
      const rows = bodyOf(reply) as (readonly [WirePurchase, WireContext] | false)[];
      return rows.map((row, i) => (row ? toView(toPurchase(ids[i] ?? '', row[0]), row[1], reply.now) : undefined));
    });
  }

  return {
    reserve: createReserveVerb(caller),
    look,
    ...createSaleVerbs(caller),
    ...createOrderVerbs(caller),
    ...createRebuildVerbs(caller),
    async confirm(items) {
      const rows = await runVerb(
        scripts.confirm,
        items.map((i) => [i.purchaseId, i.paymentRef] as const),
      );
      return rows.map(({ code, ...rest }) => ({ ...rest, decision: code as ConfirmOutcome['decision'] }));
    },
    async release(items) {
      const rows = await runVerb(
        scripts.release,
        items.map((i) => [i.purchaseId, i.buyer ?? '', i.reason] as const),
      );
      return rows.map(({ code, ...rest }) => ({ ...rest, outcome: code as ReleaseOutcome['outcome'] }));
    },
    async mark(items) {
      const rows = await runVerb(
        scripts.mark,
        items.map((i) => [i.purchaseId, i.status, i.reason ?? ''] as const),
      );
      return rows.map(({ code, ...rest }) => ({ ...rest, outcome: code as MarkOutcome['outcome'] }));
    },
    async expire(partition) {
      const body = bodyOf(await caller.call(partition, scripts.expire, [])) as [number, number, number];
      return { ended: body[0], hasMore: body[1] === 1, lagMs: body[2] };
    },
    async admit(partition) {
      const body = bodyOf(await caller.call(partition, scripts.admit, [OUTBOX_BACKLOG_MAX_RECORDS])) as [
        number,
        number,
      ];
      return { admitted: body[0], hasMore: body[1] === 1 };
    },
    async acknowledge(partition, entryIds) {
      const body = bodyOf(await caller.call(partition, scripts.acknowledge, [OUTBOX_GROUP, entryIds])) as [number];
      return body[0];
    },
    attach: (record) => caller.attach(record),
    witness: () => caller.witness(),
    replicated: (partition) => caller.replicated(partition),
    get isAttached() {
      return caller.isAttached;
    },
    get isDoubted() {
      return caller.isDoubted;
    },
  };
}
