// The processes of the shop, made of the real parts: the API's (counter, purchases, sales, inventory, orders, webhooks) and
// the workers' (relay, jobs, periodic work). Each life has its own memory and its own clock; what a process does by itself
// (sweep, relay, look for what was lost) is a beat, which comes when it is due and not while nothing could be done.
import { sweepPartition } from '../../actors/hold-sweeper.ts';
import { createCounter, type Counter } from '../../actors/sku-actor.ts';
import type { StockFeed } from '../../actors/stock-feed.ts';
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import type { SkuCounters } from '../../actors/records.ts';
import {
  EPOCH_FOLLOW_INTERVAL_MS,
  RECONCILE_INTERVAL_MS,
  RESCUE_INTERVAL_MS,
  SWEEP_INTERVAL_MS,
} from '../../core/constants.ts';
import { hasCode } from '../../core/errors.ts';
import { createLog } from '../../core/log.ts';
import type { Redis } from '../../core/redis/redis.ts';
import {
  createEpochFollower,
  createOrderJobs,
  createOrders,
  createSaleTerms,
  type Orders,
} from '../../shop/orders/orders.ts';
import type { ApplyStep } from '../../shop/orders/apply.ts';
import { createPayments, type PaymentDependencies, type Payments } from '../../shop/payments/payments.ts';
import { createInventory, type Inventory } from '../../shop/sales/inventory.ts';
import { createPurchases, type Purchases } from '../../shop/sales/purchases.ts';
import { createSales, type Sales } from '../../shop/sales/sales.ts';
import { createRelay, type Relay } from '../../workers/relay.ts';
import type { SimulatedQueue, WorkerNode } from './job-queue.ts';
import type { SharedPostgres } from './postgres-wire.ts';
import type { Provider } from './provider.ts';
import { createRedisWire } from './redis-wire.ts';
import { createNode, type Node, type World } from './world.ts';

export interface ApiProcess {
  readonly kind: 'api';
  readonly node: Node;
  readonly stock: StockStore;
  readonly purchases: Purchases;
  readonly sales: Sales;
  readonly inventory: Inventory;
  readonly orders: Orders;
  readonly payments: Payments;
  readonly feedListeners: readonly ((counters: SkuCounters) => void)[];
  readonly counter: Counter;
  readonly follow: () => Promise<unknown>;
}

export interface WorkerProcess extends WorkerNode {
  readonly kind: 'worker';
  readonly stock: StockStore;
  readonly relay: Relay;
  readonly payments: Payments;
  readonly follow: () => Promise<unknown>;
  readonly rescue: () => Promise<unknown>;
  readonly reconcile: () => Promise<unknown>;
}

export type Process = ApiProcess | WorkerProcess;

/** Faulty versions of what a process is made of: how a bug is planted in TypeScript. */
export interface Surgery {
  stock?(stock: StockStore, world: World): StockStore;
  gateway?(gateway: PaymentDependencies['gateway'], world: World): PaymentDependencies['gateway'];
  /** After the step of `outbox.apply`. */
  applied?(step: ApplyStep, stock: StockStore, partition: number, entryIds: readonly string[]): Promise<void>;
}

export interface Parts {
  readonly world: World;
  readonly redis: Redis;
  readonly postgres: SharedPostgres;
  readonly queue: SimulatedQueue;
  readonly provider: Provider;
  readonly surgery: Surgery;
  readonly rebuild: (node: Node) => Promise<void>;
  /** The partitions that have sales; the others have nothing to relay or sweep. */
  readonly partitions: () => readonly number[];
}

const log = createLog({ logLevel: 'silent' }, 'simulation');
/** In real time, which must decide nothing: as long as a timer can be. What dies is not answered, and its timer never fires. */
const REAL_TIMEOUT_MS = 2 ** 31 - 1;

function createParts({ world, redis: real, postgres: shared, surgery }: Parts, name: string) {
  const node = createNode(world, name);
  const redis = createRedisWire(world, node, real);
  const postgres = shared.wireFor(node);
  const plain = createStockStore({ redis, testNow: () => world.timeline.now, timeoutMs: REAL_TIMEOUT_MS });
  const stock = surgery.stock?.(plain, world) ?? plain;
  return { node, redis, postgres, stock, clock: node, follow: createEpochFollower({ postgres, stock }) };
}

function paymentDependencies(parts: Parts, own: ReturnType<typeof createParts>): PaymentDependencies {
  const gateway = parts.provider.gatewayFor(own.node);
  return {
    ...{ postgres: own.postgres, stock: own.stock, queue: parts.queue.portFor(own.node), clock: own.node, log },
    gateway: parts.surgery.gateway?.(gateway, parts.world) ?? gateway,
    feed: { publishPayment: async () => undefined },
    startsPerSecond: 500,
  };
}

export function createApi(parts: Parts, name: string): ApiProcess {
  const own = createParts(parts, name);
  const { postgres, stock, clock } = own;
  const feedListeners: ((counters: SkuCounters) => void)[] = [];
  const feed: StockFeed = {
    onPurchases: () => undefined,
    onLine: (listener) => void feedListeners.push(listener),
    onPayment: () => undefined,
    onResync: () => undefined,
    publishPayment: async () => undefined,
    close: async () => undefined,
  };
  const counter = createCounter({ stock, clock, feed });
  const payments = createPayments(paymentDependencies(parts, own));
  const { lookup: paymentOf, onPaymentWanted } = payments;
  return {
    ...{ kind: 'api', node: own.node, stock, follow: own.follow, feedListeners, counter, payments },
    purchases: createPurchases({ postgres, stock, counter, paymentOf, onPaymentWanted, log }),
    sales: createSales({ postgres, stock, clock, log }),
    inventory: createInventory({ postgres, stock, clock }),
    orders: createOrders({ postgres, stock }),
  };
}

export function createWorker(parts: Parts, name: string): WorkerProcess {
  const own = createParts(parts, name);
  const { postgres, redis, stock, clock } = own;
  const queue = parts.queue.portFor(own.node);
  const payments = createPayments(paymentDependencies(parts, own));
  const sales = createSales({ postgres, stock, clock, log });
  const terms = createSaleTerms(postgres);
  const { applied } = parts.surgery;
  const { begunAmong } = payments;
  const deps = { postgres, redis, stock, queue, terms, begunAmong, clock, log };
  const orderJobs = createOrderJobs(deps);
  const apply: (typeof orderJobs)['outbox.apply'] =
    applied === undefined
      ? orderJobs['outbox.apply']
      : (payload, job) =>
          createOrderJobs({ ...deps, stepHook: (step) => applied(step, stock, payload.partition, payload.entryIds) })[
            'outbox.apply'
          ](payload, job);
  /** As workers/work.ts does where the rebuild is theirs to decide. */
  async function follow(): Promise<unknown> {
    try {
      return await own.follow();
    } catch (error) {
      if (!hasCode(error, 'FENCED')) throw error;
      await parts.rebuild(own.node);
      return own.follow();
    }
  }

  return {
    ...{ kind: 'worker', node: own.node, stock, follow, payments },
    handlers: { ...orderJobs, 'outbox.apply': apply, ...payments.handlers },
    relay: createRelay({ redis, queue, log, clock, partitions: [...parts.partitions()] }),
    async rescue() {
      await sales.installMissing();
      await payments.settlePending();
      await payments.recoverLost();
      await createOrders({ postgres, stock }).finishTakenBack();
    },
    reconcile: () => payments.reconcile(),
  };
}

export interface Beats {
  /** When the next beat that could do something is due; Infinity where none is. */
  nextAt(): number;
  /** Starts every beat that is due now. */
  start(): void;
}

/** What may be to do, as Redis was last seen. */
export interface Agenda {
  readonly firstDue: number;
  readonly outbox: number;
  /** Grows with every script: there is something to witness. */
  readonly progress: number;
  /** What was seen is of use later: Redis will lose something. */
  readonly isWitnessing: boolean;
  /** Something may be lost, and is to be looked for. */
  readonly isSearching: boolean;
}

export function createBeats(process: Process, parts: Parts, agenda: () => Agenda, onAttached: () => void): Beats {
  const { world } = parts;
  const { timeline, random } = world;
  const { stock, node } = process;
  const tasks: { everyMs: number; at: number; isBusy: boolean; isDue: () => number; run: () => Promise<unknown> }[] =
    [];
  let witnessed = -1;

  const add = (everyMs: number, isDue: () => number, run: () => Promise<unknown>): void => {
    tasks.push({ everyMs, at: timeline.now + random.integer(0, everyMs), isBusy: false, isDue, run });
  };
  add(
    SWEEP_INTERVAL_MS,
    () => (stock.isAttached ? agenda().firstDue : Number.POSITIVE_INFINITY),
    async () => {
      for (const partition of parts.partitions()) await sweepPartition(stock, partition).catch(() => undefined);
    },
  );
  add(
    EPOCH_FOLLOW_INTERVAL_MS,
    () =>
      stock.isDoubted || !stock.isAttached || (agenda().isWitnessing && witnessed !== agenda().progress)
        ? 0
        : Number.POSITIVE_INFINITY,
    async () => {
      const { progress } = agenda();
      await process.follow();
      onAttached();
      witnessed = progress;
    },
  );
  if (process.kind === 'worker') {
    add(
      60,
      () => (agenda().outbox > 0 && stock.isAttached ? 0 : Number.POSITIVE_INFINITY),
      () => process.relay.turn(),
    );
    // As often as one worker would: they share what is to be found.
    const isDue = (): number => (agenda().isSearching ? 0 : Number.POSITIVE_INFINITY);
    add(2 * RESCUE_INTERVAL_MS, isDue, process.rescue);
    add(RECONCILE_INTERVAL_MS, isDue, process.reconcile);
  }

  return {
    nextAt() {
      if (!node.isAlive) return Number.POSITIVE_INFINITY;
      let next = Number.POSITIVE_INFINITY;
      for (const task of tasks) if (!task.isBusy) next = Math.min(next, Math.max(task.at, task.isDue()));
      return next;
    },
    start() {
      if (!node.isAlive) return;
      for (const task of tasks) {
        if (task.isBusy || Math.max(task.at, task.isDue()) > timeline.now) continue;
        task.isBusy = true;
        const end = (): void => {
          task.isBusy = false;
          task.at = timeline.now + random.integer(Math.ceil(task.everyMs / 2), task.everyMs);
        };
        task.run().then(end, end);
      }
    },
  };
}
