// The job queue, simulated: what BullMQ promises and no more. A job runs at least once, on any worker that lives, late, or
// on two at once; its id dedupes only while it exists; what it throws is sorted as core/queue sorts it. At a restart of
// Redis jobs may be lost.
import { JOB_BACKOFF_MAX_MS, JOB_BACKOFF_MIN_MS, JOB_FAULTS_MAX, JOB_LOCK_MS } from '../../core/constants.ts';
import { messageOf } from '../../core/errors.ts';
import { isInfrastructureError } from '../../core/postgres/postgres.ts';
import {
  type DeadLetter,
  type JobHandlers,
  type JobOptions,
  type JobQueue,
  TerminalError,
} from '../../core/queue/queue.ts';
import type { JobMap } from '../../shop/job-map.ts';
import { redisFate } from './redis-wire.ts';
import { cross, digestOf, type Node, type World } from './world.ts';

export interface WorkerNode {
  readonly node: Node;
  readonly handlers: JobHandlers<JobMap>;
}

export interface SimulatedQueue {
  /** The queue as one process sees it. */
  portFor(node: Node): JobQueue<JobMap>;
  /** For what is no process. */
  readonly direct: Pick<JobQueue<JobMap>, 'addBulk'>;
  /** Jobs that were not finished. */
  readonly size: number;
  readonly dead: readonly DeadLetter[];
  /** Redis was restarted: what waited may be gone. */
  lose(chance: number): void;
  /** Redis was replaced: everything is gone. */
  clear(): void;
}

interface Job {
  readonly id: string;
  readonly name: keyof JobMap;
  readonly payload: unknown;
  attempts: number;
  faults: number;
  running: number;
}

export function createSimulatedQueue(world: World, workers: () => readonly WorkerNode[]): SimulatedQueue {
  const { timeline, random } = world;
  const jobs = new Map<string, Job>();
  const dead: DeadLetter[] = [];
  let numbered = 0;

  function put(name: keyof JobMap, payload: unknown, { jobId, delayMs = 0 }: JobOptions): void {
    numbered += 1;
    const id = jobId ?? `job-${numbered}`;
    if (jobs.has(id)) return;
    const job: Job = { id, name, payload: structuredClone(payload), attempts: 0, faults: 0, running: 0 };
    jobs.set(id, job);
    startIn(job, delayMs + random.integer(0, world.weather.maxJobDelayMs));
    if (random.isLucky(world.weather.jobRepeated)) startIn(job, delayMs + random.integer(0, 2_000));
  }

  function startIn(job: Job, delayMs: number): void {
    timeline.schedule(delayMs, () => {
      if (jobs.get(job.id) !== job) return;
      const living = workers().filter(({ node }) => node.isAlive);
      if (living.length === 0 || timeline.now < world.redisDownUntil) return startIn(job, 100);
      run(job, random.pick(living));
    });
  }

  function run(job: Job, worker: WorkerNode): void {
    job.attempts += 1;
    job.running += 1;
    const attempt = job.attempts;
    timeline.note(`${worker.node.name} job ${job.name} ${digestOf(job.payload)} #${attempt}`);
    // The map pairs each name with its payload; a map of handlers looked up by name loses that.
    const handler = worker.handlers[job.name] as
      | ((payload: unknown, job: { id: string; attempt: number }) => Promise<void>)
      | undefined;
    const work =
      handler === undefined
        ? Promise.reject(new Error(`no handler for ${job.name}`))
        : handler(job.payload, { id: job.id, attempt });
    let isOver = false;
    // What a dead worker had is given to another once its lock has run out.
    const watch = (): void =>
      timeline.schedule(JOB_LOCK_MS, () => {
        if (isOver || jobs.get(job.id) !== job) return;
        if (worker.node.isAlive) return watch();
        job.running -= 1;
        startIn(job, 0);
      });
    watch();
    work.then(
      () => {
        isOver = true;
        job.running -= 1;
        if (jobs.get(job.id) === job) jobs.delete(job.id);
      },
      (error: unknown) => {
        isOver = true;
        job.running -= 1;
        if (jobs.get(job.id) === job) fail(job, error);
      },
    );
  }

  function fail(job: Job, error: unknown): void {
    timeline.note(`job ${job.name} ${digestOf(job.payload)} failed: ${messageOf(error).slice(0, 160)}`);
    const isLater = isInfrastructureError(error);
    if (!isLater) job.faults += 1;
    if (error instanceof TerminalError || job.faults >= JOB_FAULTS_MAX) {
      jobs.delete(job.id);
      const { id, name, payload, attempts } = job;
      dead.push({ id, name, payload, attempts, reason: messageOf(error), failedAt: timeline.now });
      return;
    }
    const backoffMs = Math.min(JOB_BACKOFF_MIN_MS * 2 ** Math.min(job.attempts, 20), JOB_BACKOFF_MAX_MS);
    if (job.running === 0) startIn(job, random.integer(Math.floor(backoffMs / 2), backoffMs));
  }

  function portFor(node: Node): JobQueue<JobMap> {
    const send = (what: string, act: () => void): Promise<void> =>
      cross(world, node, { what, mayOutliveSender: true, fate: () => redisFate(world), run: async () => act() });
    return {
      add: (name, payload, options = {}) => send(`add ${name} ${digestOf(payload)}`, () => put(name, payload, options)),
      addBulk: (name, asked) => {
        if (asked.length === 0) return Promise.resolve();
        return send(`add ${name} ${digestOf(asked)}`, () => {
          for (const { payload, ...options } of asked) put(name, payload, options);
        });
      },
      counts: async () => ({ waiting: jobs.size, active: 0, delayed: 0, failed: dead.length }),
      listDead: async () => dead,
      replayDead: async () => false,
      removeDead: async () => false,
      close: async () => undefined,
    };
  }

  return {
    portFor,
    direct: {
      async addBulk(name, asked) {
        for (const { payload, ...options } of asked) put(name, payload, options);
      },
    },
    get size() {
      return jobs.size;
    },
    dead,
    lose(chance) {
      for (const [id, job] of jobs) {
        if (job.running > 0 || !random.isLucky(chance)) continue;
        timeline.note(`lost: job ${job.name} ${digestOf(job.payload)}`);
        jobs.delete(id);
      }
    },
    clear: () => jobs.clear(),
  };
}
