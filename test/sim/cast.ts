// Who plays in a history: the processes of the shop, each with its beats, and those they deal with (the queue, the provider,
// Postgres over a wire that fails). Starts them, kills them, starts them again.
import type { SimulatedTime } from '../../core/clock.ts';
import { partitionOf } from '../../core/ids.ts';
import { createSimulatedQueue, type SimulatedQueue } from './job-queue.ts';
import type { Light } from './observer.ts';
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
import { createProvider, type Provider } from './provider.ts';
import { createRedisLoss, type RedisLoss } from './redis-loss.ts';
import type { Stage } from './stage.ts';
import type { Node, World } from './world.ts';

/** A sale of the history, as its makers know it. */
export interface Terms {
  readonly saleId: string;
  readonly limit: number;
  readonly isThrottled: boolean;
  readonly skus: readonly string[];
}

export interface Cast {
  readonly terms: Terms[];
  /** What was seen last of each partition. */
  readonly lights: Map<number, Light>;
  readonly processes: readonly Process[];
  readonly queue: SimulatedQueue;
  readonly provider: Provider;
  readonly loss: RedisLoss;
  /** One of those that live. */
  api(): ApiProcess | undefined;
  agenda(): Agenda;
  /** The partitions that have sales. */
  partitions(): number[];
  /** When the next process will do something by itself. */
  nextBeatAt(): number;
  beat(): void;
  /** Made, and not yet doing anything by itself. */
  start(kind: Process['kind'], name: string): Process;
  watchOver(process: Process): void;
  launch(kind: Process['kind'], name: string): void;
  kill(node: Node): Promise<void>;
  /** When it was last known to be attached to every partition; undefined if never. */
  attachedAt(process: Process): number | undefined;
  attached(process: Process): void;
  /** Ends them all. */
  dismiss(): Promise<void>;
}

export interface CastOptions {
  world: World;
  stage: Stage;
  time: SimulatedTime;
  surgery: Surgery;
  patchSql: SqlPatch;
  /** Redis was emptied. */
  onStrike(): void;
}

export function createCast({ world, stage, time, surgery, patchSql, onStrike }: CastOptions): Cast {
  const { random, timeline } = world;
  const processes: Process[] = [];
  const beats = new Map<Process, Beats>();
  const attachments = new WeakMap<Process, number>();
  const terms: Terms[] = [];
  const lights = new Map<number, Light>();
  const shared = sharePostgres(world, stage.postgres, patchSql);
  const queue = createSimulatedQueue(world, () => processes.filter((process) => process.kind === 'worker'));
  const provider = createProvider(world, async (raw) => {
    const process = api();
    if (process === undefined) throw new Error('nobody is there');
    await process.payments.receive(raw, 'signed');
  });
  const loss = createRedisLoss({ world, stage, shared, queue, time, onStrike });
  const rebuild: Parts['rebuild'] = (node) => loss.rebuild(node);
  const parts: Parts = { world, redis: stage.redis, postgres: shared, queue, provider, surgery, partitions, rebuild };

  function api(): ApiProcess | undefined {
    const living = processes.filter((process) => process.kind === 'api' && process.node.isAlive);
    return living.length === 0 ? undefined : (random.pick(living) as ApiProcess); // filtered by its kind
  }

  function partitions(): number[] {
    return [...new Set(terms.map((sale) => partitionOf(sale.saleId) ?? 0))].sort((a, b) => a - b);
  }

  function agenda(): Agenda {
    const all = [...lights.values()];
    // A sweep asks Redis whether or not there is something to do, and so finds out that it was lost.
    const isShut = all.some((light) => !light.isOpen);
    return {
      firstDue: isShut ? 0 : Math.min(Number.POSITIVE_INFINITY, ...all.map((light) => light.firstDue)),
      outbox: all.reduce((sum, light) => sum + light.outbox, 0),
      progress: all.reduce((sum, light) => sum + light.seq + light.epoch * 1e6, 0),
      isSearching: true,
      isWitnessing: world.weather.redisLosses > 0,
    };
  }

  const attached = (process: Process): void => void attachments.set(process, timeline.now);

  function watchOver(process: Process): void {
    const onAttached = (): void => attached(process);
    beats.set(process, createBeats(process, parts, agenda, onAttached));
  }

  function start(kind: Process['kind'], name: string): Process {
    const process = kind === 'api' ? createApi(parts, name) : createWorker(parts, name);
    processes.push(process);
    return process;
  }

  const launch = (kind: Process['kind'], name: string): void => watchOver(start(kind, name));

  /** What a dead process would still have running by the real clock. */
  async function retire(process: Process): Promise<void> {
    process.node.isAlive = false;
    await shared.abandon(process.node);
    beats.delete(process);
    processes.splice(processes.indexOf(process), 1);
    if (process.kind === 'api') void process.counter.drain();
  }

  async function kill(node: Node): Promise<void> {
    const process = processes.find((one) => one.node === node);
    if (process === undefined) return;
    timeline.note(`${node.name} dies`);
    await retire(process);
    const [role = '', life = '1'] = node.name.split('.');
    timeline.schedule(random.integer(50, 800), () => {
      timeline.note(`${role} is started again`);
      launch(process.kind, `${role}.${Number(life) + 1}`);
    });
  }

  return {
    ...{ terms, lights, processes, queue, provider, loss, api, agenda, partitions, start, watchOver, launch, kill },
    nextBeatAt: () => Math.min(Number.POSITIVE_INFINITY, ...[...beats.values()].map((one) => one.nextAt())),
    beat() {
      for (const one of beats.values()) one.start();
    },
    attachedAt: (process) => attachments.get(process),
    attached,
    async dismiss() {
      for (const process of [...processes]) await retire(process);
    },
  };
}
