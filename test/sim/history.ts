// One history: a seed, from the empty stores to the last check. First things happen, and go wrong; then the faults end,
// everything that was begun is finished, and the books must agree.
import type { SkuCounters } from '../../actors/records.ts';
import { type SimulatedTime, simulateTime } from '../../core/clock.ts';
import { partitionOf, seedIds } from '../../core/ids.ts';
import { type Problem, checkOnce, compareRows, openMoney, openPurchases } from './books.ts';
import { type Acknowledged, createBuyers, FEED_DELAY_MAX_MS, type SoldItem } from './buyers.ts';
import { planDisasters } from './disasters.ts';
import { createRedisLoss } from './redis-loss.ts';
import { createSimulatedQueue } from './job-queue.ts';
import { createObserver, type Light, type Look, type Observed, type SaleLook } from './observer.ts';
import { createOperators } from './operators.ts';
import { type SqlPatch, sharePostgres } from './postgres-wire.ts';
import {
  type Agenda,
  type ApiProcess,
  type Beats,
  createApi,
  createBeats,
  createWorker,
  type Parts,
  type Process,
  type Surgery,
} from './processes.ts';
import { createProvider } from './provider.ts';
import { createRandom } from './random.ts';
import type { Stage } from './stage.ts';
import { createWatch } from './stock-state.ts';
import { createTrail } from './stock-trail.ts';
import { createTimeline } from './timeline.ts';
import { Violation } from './violation.ts';
import { CALM, drawWeather, type Node, type World } from './world.ts';

export interface HistoryOptions {
  readonly seed: number;
  /** Things that buyers and operators do. */
  readonly steps: number;
  readonly surgery?: Surgery;
  readonly patchSql?: SqlPatch;
  readonly keepsTrace?: boolean;
}

export interface HistoryResult {
  readonly seed: number;
  readonly hash: string;
  readonly events: number;
  /** Virtual. */
  readonly spanMs: number;
  readonly purchases: number;
  readonly paid: number;
  readonly violation?: { readonly rule: string; readonly message: string; readonly event: number };
  readonly tail: readonly string[];
  readonly trace: readonly string[] | undefined;
}

const START_MS = 1_800_000_000_000;
/** How long after the last fault everything must have come to an end. */
const REST_LIMIT_MS = 300_000;

interface Terms {
  readonly saleId: string;
  readonly limit: number;
  readonly isThrottled: boolean;
  readonly skus: readonly string[];
}

export async function playHistory(stage: Stage, options: HistoryOptions): Promise<HistoryResult> {
  const { seed, steps, surgery = {}, patchSql = (text) => text } = options;
  const random = createRandom(seed);
  const timeline = createTimeline(random, START_MS, options.keepsTrace ?? false);
  const world: World = {
    ...{ random, timeline, weather: { ...CALM }, redisDownUntil: 0, postgresDownUntil: 0 },
    ...{ touched: new Set<number>(), cutListeners: [], redisRun: stage.redisRun },
  };
  const chance = createRandom(seed ^ 0x5bd1e995);
  const time: SimulatedTime = { wait: (ms) => timeline.wait(ms), random: () => random.next() };
  simulateTime(time);
  seedIds((count) => chance.bytes(count));
  await stage.reset();

  const processes: Process[] = [];
  const beats = new Map<Process, Beats>();
  /** When each process was last known to be attached to every partition. */
  const attachedAt = new WeakMap<Process, number>();
  const terms: Terms[] = [];
  const lights = new Map<number, Light>();
  const isSearching = true;
  let failure: Error | undefined;
  const report = (error: unknown): void => {
    failure ??= error instanceof Error ? error : new Error(String(error));
  };

  // --- the cast ---

  const shared = sharePostgres(world, stage.postgres, patchSql);
  const workers = () => processes.filter((process) => process.kind === 'worker');
  const api = (): ApiProcess | undefined => {
    const living = processes.filter((process) => process.kind === 'api' && process.node.isAlive);
    return living.length === 0 ? undefined : (random.pick(living) as ApiProcess); // filtered by its kind
  };
  const queue = createSimulatedQueue(world, workers);
  const provider = createProvider(world, async (raw) => {
    const process = api();
    if (process === undefined) throw new Error('nobody is there');
    await process.payments.receive(raw, 'signed');
  });
  const partitions = (): number[] =>
    [...new Set(terms.map((sale) => partitionOf(sale.saleId) ?? 0))].sort((a, b) => a - b);
  const parts: Parts = {
    world,
    redis: stage.redis,
    postgres: shared,
    queue,
    provider,
    surgery,
    partitions,
    rebuild: (node) => loss.rebuild(node),
  };
  const agenda = (): Agenda => {
    const all = [...lights.values()];
    return {
      // A sweep asks Redis whether or not there is something to do, and so finds out that it was lost.
      firstDue: all.some((light) => !light.isOpen)
        ? 0
        : Math.min(Number.POSITIVE_INFINITY, ...all.map((light) => light.firstDue)),
      outbox: all.reduce((sum, light) => sum + light.outbox, 0),
      progress: all.reduce((sum, light) => sum + light.seq + light.epoch * 1e6, 0),
      isSearching,
      isWitnessing: world.weather.redisLosses > 0,
    };
  };

  function watchOver(process: Process): void {
    const onAttached = (): void => void attachedAt.set(process, timeline.now);
    beats.set(process, createBeats(process, parts, agenda, onAttached));
  }

  function launch(kind: Process['kind'], name: string): void {
    const process = start(kind, name);
    watchOver(process);
  }

  function start(kind: Process['kind'], name: string): Process {
    const process = kind === 'api' ? createApi(parts, name) : createWorker(parts, name);
    processes.push(process);
    return process;
  }

  async function kill(node: Node): Promise<void> {
    const process = processes.find((one) => one.node === node);
    if (process === undefined) return;
    timeline.note(`${node.name} dies`);
    node.isAlive = false;
    await shared.abandon(node);
    retire(process);
    const [role = '', life = '1'] = node.name.split('.');
    timeline.schedule(random.integer(50, 800), () => {
      timeline.note(`${role} is started again`);
      launch(process.kind, `${role}.${Number(life) + 1}`);
    });
  }

  /** What a dead process would still have running by the real clock. */
  function retire(process: Process): void {
    beats.delete(process);
    processes.splice(processes.indexOf(process), 1);
    if (process.kind === 'api') void process.counter.drain();
  }

  // --- watching ---

  const observer = createObserver(stage.redis);
  const isPaid = (purchaseId: string): boolean =>
    [...provider.intents.values()].some((intent) => intent.key === purchaseId && intent.status === 'succeeded');
  const trail = createTrail({
    limitOf: (saleId) => terms.find((sale) => sale.saleId === saleId)?.limit ?? 0,
    isPaid: ({ purchaseId }) => isPaid(purchaseId),
  });
  const watch = createWatch(trail, (saleId) => terms.find((sale) => sale.saleId === saleId)?.isThrottled ?? false);
  let upSince = START_MS;
  /** When Redis was last away, or not compared with Postgres. */
  let closedAt = 0;
  let isLost = false;
  const onStrike = (): void => {
    isLost = true;
    for (const partition of partitions()) observer.forget(partition);
    watch.forget(partitions());
  };
  const loss = createRedisLoss({ world, stage, shared, queue, time, onStrike });

  /** What Postgres had when Redis was lost must be there again, as it was or further on. */
  function checkKept(): void {
    for (const [id, { version, status }] of loss.durable) {
      const now = trail.purchases.get(id);
      const isKept = now !== undefined && now.version >= version;
      if (!isKept)
        throw new Violation(
          'acknowledged',
          `${id} was ${status} in Postgres and is ${now?.status ?? 'lost'} after the loss of Redis`,
        );
    }
  }

  function tellFeed(sale: SaleLook): void {
    for (const process of processes) {
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

  async function observe(): Promise<void> {
    for (const partition of world.touched) {
      if (!partitions().includes(partition)) continue;
      const sales: Observed[] = terms.filter((sale) => partitionOf(sale.saleId) === partition);
      const look: Look = await observer.look(partition, sales);
      lights.set(partition, look);
      // Until it was compared with Postgres, what is there does not count.
      if (isLost && !look.isOpen) {
        observer.forget(partition);
        continue;
      }
      watch.see(look, timeline.now);
      for (const sale of look.news?.sales ?? []) tellFeed(sale);
    }
    world.touched.clear();
    const isOpen = timeline.now >= world.redisDownUntil && [...lights.values()].every((light) => light.isOpen);
    if (!isOpen) closedAt = timeline.now;
    // While Postgres is away, a process that starts cannot know whether this Redis is the right one, and leaves it alone.
    const isAttended = processes.some((one) => one.node.isAlive && (attachedAt.get(one) ?? -1) >= closedAt);
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
      const nextBeat = Math.min(Number.POSITIVE_INFINITY, ...[...beats.values()].map((one) => one.nextAt()));
      if (nextBeat <= timeline.nextAt && nextBeat !== Number.POSITIVE_INFINITY) {
        timeline.schedule(nextBeat - timeline.now, () => {
          for (const one of beats.values()) one.start();
        });
      }
      const hasStepped = await timeline.step();
      await observe();
      if (!hasStepped || timeline.now > limit) {
        const { rule, text } = why();
        throw new Violation(rule, `${text} (${Math.round(limitMs / 1000)} s after the last fault)`);
      }
    }
  }

  async function settle<T>(request: Promise<T>, what: string): Promise<T> {
    let answer: { value: T } | { error: Error } | undefined;
    request.then(
      (value) => (answer = { value }),
      (error: unknown) => (answer = { error: error instanceof Error ? error : new Error(String(error)) }),
    );
    await runUntil(
      () => answer !== undefined,
      60_000,
      () => ({ rule: 'rest', text: `${what} never ended` }),
    );
    if (answer === undefined) throw new Error(what);
    if ('error' in answer) throw answer.error;
    return answer.value;
  }

  // --- the acts ---

  async function openSales(): Promise<SoldItem[]> {
    const process = start('api', 'api1');
    await settle(process.follow(), 'the first attachment');
    watchOver(process);
    attachedAt.set(process, timeline.now);
    const items: SoldItem[] = [];
    for (let i = 0; i < random.pick([1, 1, 2]); i++) {
      const limit = random.pick([1, 1, 2, 3, 5]);
      const rate = random.pick([null, null, null, null, 2, 10]);
      const skus = Array.from({ length: random.pick([1, 1, 2]) }, (_, j) => `SKU-${i}${j}`);
      const opensAt = random.pick([null, null, START_MS + random.integer(100, 1_500)]);
      const input = {
        ...{ name: 'Noon drop', opensAt, holdSeconds: random.integer(1, 4), perBuyerLimit: limit },
        closesAt: random.isLucky(0.12) ? START_MS + random.integer(2_500, 9_000) : null,
        ...{ lineLimit: random.pick([null, null, null, 0, 3]), admissionPerSecond: rate },
        paymentStart: random.pick(['eager', 'eager', 'on_demand'] as const),
        items: skus.map((sku) => ({ sku, stock: random.integer(1, 4), unitPrice: 49_900, currency: 'INR' })),
      };
      if (process.kind !== 'api') throw new Error('unreachable');
      const { sale } = await settle(
        process.sales.create(input, { userId: 'u_admin', key: `sale-${seed}-${i}` }),
        'creating a sale',
      );
      const { saleId } = sale.row;
      terms.push({ saleId, limit, isThrottled: rate !== null, skus });
      world.touched.add(partitionOf(saleId) ?? 0);
      items.push(...skus.map((sku) => ({ saleId, sku })));
      if (opensAt === null && random.isLucky(0.85)) await settle(process.sales.move(saleId, 'open'), 'opening a sale');
    }
    await observe();
    return items;
  }

  async function play(): Promise<void> {
    const items = await openSales();
    world.weather = drawWeather(random);
    timeline.note(`weather ${JSON.stringify(world.weather)}`);
    for (const [kind, name] of [
      ['api', 'api2'],
      ['worker', 'worker1'],
      ['worker', 'worker2'],
    ] as const)
      launch(kind, name);
    // What the loss of Redis took with it may have been told of a moment later still; what it must not take, checkKept knows.
    const isExcused = ({ at }: Acknowledged): boolean => isLost || (loss.at > 0 && at <= loss.at + 2_000);
    const buyers = createBuyers({ world, trail, provider, items, api, isExcused, report });
    const operators = createOperators({
      world,
      items,
      api,
      report,
      acknowledged: () => [...buyers.acknowledged.values()],
    });
    let left = steps;
    const paceMs = random.pick([15, 60, 150]);
    const act = (): void => {
      left -= 1;
      if (random.isLucky(0.78)) buyers.act();
      else operators.act();
      if (left > 0) timeline.schedule(random.integer(0, 2 * paceMs), act);
    };
    timeline.schedule(0, act);
    const living = (): Node[] => processes.map((process) => process.node);
    planDisasters({ world, redis: stage.redis, queue, living, kill }, steps * paceMs + 1_500);
    loss.plan(steps * paceMs);
    await runUntil(
      () => left === 0,
      600_000,
      () => ({ rule: 'rest', text: 'the history did not end' }),
    );
    const endsAt = timeline.now + random.integer(500, 4_000);
    await runUntil(
      () => timeline.now >= endsAt,
      600_000,
      () => ({ rule: 'rest', text: 'the history did not end' }),
    );
    timeline.note('the faults end');
    world.weather = { ...CALM };
    operators.openAll();
    await rest(() => buyers.busy + operators.busy, operators.openAll);
  }

  async function rest(busy: () => number, openAll: () => void): Promise<void> {
    let problems: Problem[] = [];
    const moving = (): Problem[] => {
      const found = [...openPurchases(trail), ...openMoney(trail, provider)];
      const say = (text: string): void => void found.push({ rule: 'rest', text });
      if (agenda().outbox > 0) say(`${agenda().outbox} outbox entries are not applied`);
      if (queue.size > 0) say(`${queue.size} jobs are not done`);
      if (provider.underWay > 0) say(`${provider.underWay} events are under way`);
      if (busy() > 0) say(`${busy()} requests are not answered`);
      if (queue.dead.length > 0)
        throw new Violation('rest', `a job is a dead letter: ${queue.dead[0]?.name} ${queue.dead[0]?.reason}`);
      return found;
    };
    const limit = timeline.now + REST_LIMIT_MS;
    for (;;) {
      const pauseUntil = timeline.now + 500;
      timeline.schedule(500, () => undefined);
      await runUntil(
        () => timeline.now >= pauseUntil,
        REST_LIMIT_MS,
        () => ({ rule: 'rest', text: 'nothing moves' }),
      );
      problems = moving();
      // A pause that was asked for before, and performed late: somebody sees it and opens again.
      if (busy() === 0 && [...trail.purchases.values()].some((p) => p.status === 'WAITING')) openAll();
      if (problems.length === 0) problems = await compareRows(stage.postgres, trail, provider);
      const [first] = problems;
      if (first === undefined) return;
      if (timeline.now > limit)
        throw new Violation(
          first.rule,
          `${first.text} (${REST_LIMIT_MS / 1000} s after the last fault; ${problems.length} in all)`,
        );
    }
  }

  let violation: HistoryResult['violation'];
  try {
    await play();
  } catch (error) {
    // What is no violation is a fault of the simulation, or of the code, that nobody expected; both are to be seen.
    const rule = error instanceof Violation ? error.rule : 'error';
    violation = {
      rule,
      message:
        error instanceof Error ? (error instanceof Violation ? error.message : String(error.stack)) : String(error),
      event: timeline.events,
    };
  } finally {
    for (const process of [...processes]) {
      process.node.isAlive = false;
      await shared.abandon(process.node);
      retire(process);
    }
    simulateTime(undefined);
    seedIds(undefined);
  }
  timeline.note('end');
  const paid = [...trail.purchases.values()].filter((p) => p.status === 'CONFIRMED').length;
  return {
    ...{ seed, hash: timeline.hash(), events: timeline.events, spanMs: timeline.now - START_MS, paid },
    ...{ purchases: trail.purchases.size, tail: timeline.tail, trace: timeline.lines },
    ...(violation === undefined ? {} : { violation }),
  };
}
