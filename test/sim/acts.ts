// What happens in a history, act by act: sales are made, buyers and operators do things while faults come and go, and at last
// everything that was begun comes to an end.
import { hasCode } from '../../core/errors.ts';
import { partitionOf } from '../../core/ids.ts';
import { compareRows, openMoney, openPurchases, type Problem } from './books.ts';
import { type Acknowledged, type Buyers, createBuyers, type SoldItem } from './buyers.ts';
import type { Cast } from './cast.ts';
import { planDisasters } from './disasters.ts';
import type { Lookout } from './lookout.ts';
import { createOperators, type Operators } from './operators.ts';
import type { ApiProcess } from './processes.ts';
import type { Stage } from './stage.ts';
import { Violation } from './violation.ts';
import { CALM, drawWeather, type World } from './world.ts';

export interface Play {
  readonly seed: number;
  readonly steps: number;
  readonly startMs: number;
  readonly world: World;
  readonly stage: Stage;
  readonly cast: Cast;
  readonly lookout: Lookout;
}

/** How long after the last fault everything must have come to an end. */
const REST_LIMIT_MS = 300_000;
const PLAY_LIMIT_MS = 600_000;
/** Acknowledged this shortly before Redis was lost, it may have been lost with it. */
const EXCUSED_MS = 2_000;
const LOOK_MS = 500;

const endless = (): Problem => ({ rule: 'rest', text: 'the history did not end' });

export async function playActs(play: Play): Promise<void> {
  const { world, cast, lookout } = play;
  const items = await openSales(play);
  world.weather = drawWeather(world.random);
  world.timeline.note(`weather ${JSON.stringify(world.weather)}`);
  for (const name of ['api2', 'worker1', 'worker2']) cast.launch(name.startsWith('api') ? 'api' : 'worker', name);
  const { buyers, operators } = invite(play, items);
  const hasActed = letThemAct(play, buyers, operators);
  await lookout.runUntil(hasActed, PLAY_LIMIT_MS, endless);
  const endsAt = world.timeline.now + world.random.integer(500, 4_000);
  await lookout.runUntil(() => world.timeline.now >= endsAt, PLAY_LIMIT_MS, endless);
  world.timeline.note('the faults end');
  world.weather = { ...CALM };
  operators.openAll();
  await rest(play, () => buyers.busy + operators.busy, operators.openAll);
}

async function openSales({ seed, startMs, world, cast, lookout }: Play): Promise<SoldItem[]> {
  const { random } = world;
  const process = cast.start('api', 'api1');
  await lookout.settle(process.follow(), 'the first attachment');
  cast.watchOver(process);
  cast.attached(process);
  const { sales } = process as ApiProcess; // by its kind
  const items: SoldItem[] = [];
  for (let i = 0; i < random.pick([1, 1, 2]); i++) {
    const limit = random.pick([1, 1, 2, 3, 5]);
    const rate = random.pick([null, null, null, null, 2, 10]);
    const skus = Array.from({ length: random.pick([1, 1, 2]) }, (_, j) => `SKU-${i}${j}`);
    const opensAt = random.pick([null, null, startMs + random.integer(100, 1_500)]);
    const input = {
      ...{ name: 'Noon drop', opensAt, holdSeconds: random.integer(1, 4), perBuyerLimit: limit },
      closesAt: random.isLucky(0.12) ? startMs + random.integer(2_500, 9_000) : null,
      ...{ lineLimit: random.pick([null, null, null, 0, 3]), admissionPerSecond: rate },
      paymentStart: random.pick(['eager', 'eager', 'on_demand'] as const),
      buckets: 1,
      items: skus.map((sku) => ({ sku, stock: random.integer(1, 4), unitPrice: 49_900, currency: 'INR' })),
    };
    const creating = sales.create(input, { userId: 'u_admin', key: `sale-${seed}-${i}` });
    const { saleId } = (await lookout.settle(creating, 'creating a sale')).sale.row;
    cast.terms.push({ saleId, limit, isThrottled: rate !== null, skus });
    world.touched.add(partitionOf(saleId) ?? 0);
    items.push(...skus.map((sku) => ({ saleId, sku })));
    if (opensAt === null && random.isLucky(0.85)) {
      // Until the call is made its time to close may have come.
      const opening = sales.move(saleId, 'open').catch((error: unknown) => {
        if (input.closesAt === null || !hasCode(error, 'ILLEGAL_TRANSITION')) throw error;
      });
      await lookout.settle(opening, 'opening a sale');
    }
  }
  await lookout.observe();
  return items;
}

function invite({ world, cast, lookout }: Play, items: SoldItem[]): { buyers: Buyers; operators: Operators } {
  const { provider, api, loss } = cast;
  const { trail, report } = lookout;
  // What the loss of Redis took with it may have been told of a moment later still; what it must not take, the lookout knows.
  const isExcused = ({ at }: Acknowledged): boolean => lookout.isLost || (loss.at > 0 && at <= loss.at + EXCUSED_MS);
  const wasLostSince = (at: number): boolean => loss.at > 0 && at <= loss.at;
  const buyers = createBuyers({ world, trail, provider, items, api, isExcused, wasLostSince, report });
  const acknowledged = () => [...buyers.acknowledged.values()];
  return { buyers, operators: createOperators({ world, items, api, report, acknowledged }) };
}

/** Plans all deeds and disasters; answers whether the last deed was done. */
function letThemAct({ steps, world, stage, cast }: Play, buyers: Buyers, operators: Operators): () => boolean {
  const { random, timeline } = world;
  let left = steps;
  const paceMs = random.pick([15, 60, 150]);
  const act = (): void => {
    left -= 1;
    if (random.isLucky(0.78)) buyers.act();
    else operators.act();
    if (left > 0) timeline.schedule(random.integer(0, 2 * paceMs), act);
  };
  timeline.schedule(0, act);
  const living = () => cast.processes.map((process) => process.node);
  planDisasters({ world, redis: stage.redis, queue: cast.queue, living, kill: cast.kill }, steps * paceMs + 1_500);
  cast.loss.plan(steps * paceMs);
  return () => left === 0;
}

async function rest(play: Play, busy: () => number, openAll: () => void): Promise<void> {
  const { world, stage, cast, lookout } = play;
  const { timeline } = world;
  const { trail } = lookout;
  const limit = timeline.now + REST_LIMIT_MS;
  for (;;) {
    const pauseUntil = timeline.now + LOOK_MS;
    timeline.schedule(LOOK_MS, () => undefined);
    const still = (): Problem => ({ rule: 'rest', text: 'nothing moves' });
    await lookout.runUntil(() => timeline.now >= pauseUntil, REST_LIMIT_MS, still);
    let problems = whatMoves(play, busy());
    // A pause that was asked for before, and performed late: somebody sees it and opens again.
    if (busy() === 0 && [...trail.purchases.values()].some((p) => p.status === 'WAITING')) openAll();
    if (problems.length === 0) problems = await compareRows(stage.postgres, trail, cast.provider);
    const [first] = problems;
    if (first === undefined) return;
    if (timeline.now <= limit) continue;
    const after = `${REST_LIMIT_MS / 1000} s after the last fault; ${problems.length} in all`;
    throw new Violation(first.rule, `${first.text} (${after})`);
  }
}

function whatMoves({ cast: { agenda, queue, provider }, lookout: { trail } }: Play, busy: number): Problem[] {
  const found = [...openPurchases(trail), ...openMoney(trail, provider)];
  const say = (text: string): void => void found.push({ rule: 'rest', text });
  if (agenda().outbox > 0) say(`${agenda().outbox} outbox entries are not applied`);
  if (queue.size > 0) say(`${queue.size} jobs are not done`);
  if (provider.underWay > 0) say(`${provider.underWay} events are under way`);
  if (busy > 0) say(`${busy} requests are not answered`);
  const [dead] = queue.dead;
  if (dead !== undefined) throw new Violation('rest', `a job is a dead letter: ${dead.name} ${dead.reason}`);
  return found;
}
