// Sees what every event of a history has changed, holds it against the promises, and lets time pass: nothing happens between
// two looks that the watch is not told of.
import type { SkuCounters } from '../../actors/records.ts';
import { partitionOf } from '../../core/ids.ts';
import { checkOnce, type Problem } from './books.ts';
import { FEED_DELAY_MAX_MS } from './buyers.ts';
import type { Cast } from './cast.ts';
import { createObserver, type SaleLook } from './observer.ts';
import type { Stage } from './stage.ts';
import { createWatch } from './stock-state.ts';
import { createTrail, type Trail } from './stock-trail.ts';
import { Violation } from './violation.ts';
import type { World } from './world.ts';

export interface Lookout {
  readonly trail: Trail;
  /** Redis was emptied, and nobody has made it whole yet. */
  readonly isLost: boolean;
  struck(): void;
  /** What a buyer or an operator found wrong; told at the next look. */
  report(error: unknown): void;
  observe(): Promise<void>;
  runUntil(isDone: () => boolean, limitMs: number, why: () => Problem): Promise<void>;
  /** Lets time pass until it is answered. */
  settle<T>(request: Promise<T>, what: string): Promise<T>;
}

const ANSWER_LIMIT_MS = 60_000;

export function createLookout(world: World, stage: Stage, cast: Cast, startMs: number): Lookout {
  const { random, timeline } = world;
  const { terms, lights, provider, loss } = cast;
  const observer = createObserver(stage.redis);
  const isPaid = (purchaseId: string): boolean =>
    [...provider.intents.values()].some((intent) => intent.key === purchaseId && intent.status === 'succeeded');
  const termsOf = (saleId: string) => terms.find((sale) => sale.saleId === saleId);
  const trail = createTrail({
    limitOf: (saleId) => termsOf(saleId)?.limit ?? 0,
    isPaid: ({ purchaseId }) => isPaid(purchaseId),
  });
  const watch = createWatch(trail, (saleId) => termsOf(saleId)?.isThrottled ?? false);
  let upSince = startMs;
  /** When Redis was last away, or not compared with Postgres. */
  let closedAt = 0;
  let isLost = false;
  /** Partitions that were compared, or built again, since the loss: what is told of them from then on goes on where it was. */
  const regained = new Set<number>();
  let failure: Error | undefined;

  /** What Postgres had when Redis was lost must be there again, as it was or further on. */
  function checkKept(): void {
    for (const [id, { version, status }] of loss.durable) {
      const now = trail.purchases.get(id);
      if (now !== undefined && now.version >= version) continue;
      const found = now?.status ?? 'lost';
      throw new Violation('acknowledged', `${id} was ${status} in Postgres and is ${found} after the loss of Redis`);
    }
  }

  /** What Postgres had must be all that there was up to some moment: of anything else the sum may be of no moment at all. */
  function checkPrefix(): void {
    for (const [partition, committed] of loss.ledger) {
      const newest = Math.max(...committed);
      const gap = trail.moves.get(partition)?.find((seq) => seq < newest && !committed.has(seq));
      if (gap === undefined) continue;
      throw new Violation('order', `Postgres had record ${newest} of partition ${partition} and not ${gap} before it`);
    }
  }

  function tellFeed(sale: SaleLook): void {
    for (const process of cast.processes) {
      if (process.kind !== 'api' || random.isLucky(world.weather.feedLost)) continue;
      const delayMs = random.integer(0, Math.min(FEED_DELAY_MAX_MS, world.weather.maxEventDelayMs));
      timeline.schedule(delayMs, () => {
        if (!process.node.isAlive) return;
        for (const s of sale.skus) {
          const counters = { ...s.counts, saleId: s.saleId, sku: s.sku, saleStatus: sale.status, head: 0 };
          // The counts of the hash are the members of SkuCounters that the memory reads.
          for (const listener of process.feedListeners) listener(counters as unknown as SkuCounters);
        }
      });
    }
  }

  async function lookAt(partition: number): Promise<void> {
    const sales = terms.filter((sale) => partitionOf(sale.saleId) === partition);
    const look = await observer.look(partition, sales);
    lights.set(partition, look);
    // Until it was compared with Postgres, what is there does not count.
    if (isLost && !look.isOpen && !regained.has(partition)) return observer.forget(partition);
    if (isLost && look.isOpen) regained.add(partition);
    watch.see(look, timeline.now);
    for (const sale of look.news?.sales ?? []) tellFeed(sale);
  }

  async function observe(): Promise<void> {
    for (const partition of world.touched) if (cast.partitions().includes(partition)) await lookAt(partition);
    world.touched.clear();
    const isOpen = timeline.now >= world.redisDownUntil && [...lights.values()].every((light) => light.isOpen);
    if (!isOpen) closedAt = timeline.now;
    // While Postgres is away, a process that starts cannot know whether this Redis is the right one, and leaves it alone. One
    // that is slow and all alone keeps no promise of a second.
    const isAttended = cast.processes.some(
      (one) => one.node.isAlive && one.node.slowUntil <= timeline.now && (cast.attachedAt(one) ?? -1) >= closedAt,
    );
    const isUp = isOpen && isAttended;
    if (!isUp) upSince = timeline.now;
    if (isUp && isLost) {
      isLost = false;
      checkKept();
    }
    watch.checkTime(timeline.now, upSince);
    checkOnce(provider);
    if (failure !== undefined) throw failure;
  }

  async function runUntil(isDone: () => boolean, limitMs: number, why: () => Problem): Promise<void> {
    const limit = timeline.now + limitMs;
    while (!isDone()) {
      const nextBeat = cast.nextBeatAt();
      if (nextBeat <= timeline.nextAt && nextBeat !== Number.POSITIVE_INFINITY) {
        timeline.schedule(nextBeat - timeline.now, cast.beat);
      }
      const hasStepped = await timeline.step();
      await observe();
      if (hasStepped && timeline.now <= limit) continue;
      const { rule, text } = why();
      throw new Violation(rule, `${text} (${Math.round(limitMs / 1000)} s after the last fault)`);
    }
  }

  async function settle<T>(request: Promise<T>, what: string): Promise<T> {
    let answer: { value: T } | { error: Error } | undefined;
    request.then(
      (value) => (answer = { value }),
      (error: unknown) => (answer = { error: error instanceof Error ? error : new Error(String(error)) }),
    );
    const never = (): Problem => ({ rule: 'rest', text: `${what} never ended` });
    await runUntil(() => answer !== undefined, ANSWER_LIMIT_MS, never);
    if (answer === undefined) throw new Error(what);
    if ('error' in answer) throw answer.error;
    return answer.value;
  }

  return {
    ...{ trail, observe, runUntil, settle },
    get isLost() {
      return isLost;
    },
    struck() {
      try {
        checkPrefix();
      } catch (error) {
        this.report(error);
      }
      isLost = true;
      regained.clear();
      for (const partition of cast.partitions()) observer.forget(partition);
      watch.forget(cast.partitions());
    },
    report(error) {
      failure ??= error instanceof Error ? error : new Error(String(error));
    },
  };
}
