// reserve, the verb of the hot path: batches of SKUs that share a partition go out in one call. One call a partition is in flight,
// or two where the second is large; what is asked for meanwhile makes up the next. A partition's calls run in the order in which
// they were sent, and tickets follow that order. How its answers are read: reserve-answer.ts.
import { OUTBOX_BACKLOG_MAX_RECORDS, RESERVE_BATCH_MAX, RESERVE_SECOND_FROM } from '../core/constants.ts';
import { fault, hasCode } from '../core/errors.ts';
import { partitionOf } from '../core/ids.ts';
import {
  type Batch,
  type BuyOutcome,
  type Reserved,
  type ReserveItem,
  toReserved,
  type WireAnswer,
} from './reserve-answer.ts';
import { bodyOf, type ScriptCaller } from './script-call.ts';
import { scripts } from './scripts.ts';

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
