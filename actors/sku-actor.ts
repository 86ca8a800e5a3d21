// The counter where buyers queue: one actor per SKU of a sale and process, which turns whoever presses *Buy* meanwhile
// into one reserve call. It also remembers, for a moment, that a SKU is sold out, so that late crowds cost Redis nothing.
// An actor is a batcher, never a lock: another process may have one for the same SKU.
import { createActor } from '../core/actor/actor.ts';
import { createDirectory } from '../core/actor/directory.ts';
import type { Clock } from '../core/clock.ts';
import {
  ACTOR_IDLE_MS,
  ACTORS_MAX,
  MAILBOX_MAX,
  MAILBOX_WAIT_MAX_MS,
  RESERVE_BATCH_MAX,
  RESERVE_SECOND_FROM,
  RETRY_DELAY_MS,
} from '../core/constants.ts';
import { keepLast } from '../core/last-made.ts';
import { Later } from '../core/later.ts';
import { histogram, type Tally, tallies } from '../core/metrics.ts';
import { createSoldOutMemory } from './sold-out-memory.ts';
import type { StockFeed } from './stock-feed.ts';
import type { BuyOutcome, ReserveItem, StockStore } from './stock-store.ts';

export interface BuyRequest extends ReserveItem {
  readonly saleId: string;
  readonly sku: string;
  /** With a key the first answer is looked up, whatever is remembered here. */
  readonly hasKey: boolean;
}

export interface Counter {
  /** Rejects OVERLOADED (mailbox full), UNAVAILABLE (nothing was done) or OUTCOME_UNKNOWN (it may have been) by the deadline. */
  buy(request: BuyRequest, deadlineAt: number, isAbandoned?: () => boolean): Later<BuyOutcome>;
  /** The same as a `buy` without a key would find, as far as it is remembered here; counted as an answer where it is true. */
  isSoldOut(saleId: string, sku: string, quantity: number): boolean;
  /** Refuses newcomers and answers those who are in. */
  drain(): Promise<void>;
}

const batchSize = histogram(
  'doorbuster_reserve_batch_purchases',
  'Purchases in one reserve call',
  [],
  [1, 4, 16, 64, 128, 256, 512],
);
const outcomes = tallies('doorbuster_purchase_outcomes_total', 'Answers to purchases by outcome', ['outcome']);
const soldOut = outcomes('SOLD_OUT');
const boundOutcomes = new Map<string, Tally>();

function countOutcome(outcome: BuyOutcome): void {
  const name = outcome.kind === 'purchase' ? outcome.purchase.status : outcome.code;
  let bound = boundOutcomes.get(name);
  if (bound === undefined) {
    bound = outcomes(name);
    boundOutcomes.set(name, bound);
  }
  bound.inc();
}

export function createCounter(deps: { stock: StockStore; clock: Clock; feed?: StockFeed }): Counter {
  const { stock, clock, feed } = deps;
  const memory = createSoldOutMemory(clock);
  feed?.onLine((counters) => memory.update(counters));
  feed?.onResync(() => memory.clear());

  const directory = createDirectory<string, ReserveItem, BuyOutcome>({
    idleMs: ACTOR_IDLE_MS,
    maxActors: ACTORS_MAX,
    clock,
    activate: (key) => {
      const [saleId = '', sku = ''] = key.split(' ');
      return createActor<ReserveItem, BuyOutcome>({
        maxBatch: RESERVE_BATCH_MAX,
        secondFrom: RESERVE_SECOND_FROM,
        maxMailbox: MAILBOX_MAX,
        maxWaitMs: MAILBOX_WAIT_MAX_MS,
        retryDelayMs: RETRY_DELAY_MS,
        clock,
        async handle(batch) {
          batchSize.observe(batch.length);
          const { outcomes: replies, counters } = await stock.reserve(saleId, sku, batch);
          if (counters) memory.update(counters);
          replies.forEach(countOutcome);
          return replies;
        },
      });
    },
  });
  const eviction = setInterval(() => directory.evictIdle(), ACTOR_IDLE_MS / 2);
  eviction.unref();

  function isSoldOut(saleId: string, sku: string, quantity: number): boolean {
    if (!memory.isSoldOut(saleId, sku, quantity)) return false;
    soldOut.inc();
    return true;
  }

  const keyOf = keepLast((saleId: string, sku: string) => `${saleId} ${sku}`);

  return {
    buy(request, deadlineAt, isAbandoned) {
      const { saleId, sku, quantity, hasKey } = request;
      if (!hasKey && isSoldOut(saleId, sku, quantity))
        return Later.of<BuyOutcome>({ kind: 'refused', code: 'SOLD_OUT' });
      try {
        return directory.get(keyOf(saleId, sku)).ask(request, deadlineAt, isAbandoned);
      } catch (error) {
        return Later.failed(error);
      }
    },
    isSoldOut,
    async drain() {
      clearInterval(eviction);
      await directory.drain();
    },
  };
}
