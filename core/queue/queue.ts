// Job queues on BullMQ, typed by a map job name → payload. The only file that knows BullMQ; no shop word in it.
// Jobs run at least once. Infrastructure errors and stalls are tried again without end; a TerminalError makes a dead letter
// at once, any other error (a bug) after JOB_FAULTS_MAX tries. Dead letters are kept until an operator replays or removes them.
import { Queue, UnrecoverableError, Worker } from 'bullmq';
import type { Job, JobsOptions } from 'bullmq';
import { jitter } from '../clock.ts';
import {
  JOB_ATTEMPTS_ENDLESS,
  JOB_BACKOFF_MAX_MS,
  JOB_BACKOFF_MIN_MS,
  JOB_EVENTS_MAX,
  JOB_FAULTS_MAX,
  JOB_LOCK_MS,
  JOB_STALLED_CHECK_MS,
} from '../constants.ts';
import { fault, messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { isInfrastructureError } from '../postgres/postgres.ts';
import { connectRedis } from '../redis/redis.ts';

/** Thrown by a handler when no further try can help: the job becomes a dead letter. */
export class TerminalError extends Error {
  override readonly name = 'TerminalError';
}

export interface JobOptions {
  /** Dedupes while a job of this id exists, as a dead letter too. Must not contain a colon. */
  jobId?: string;
  delayMs?: number;
}

export interface DeadLetter {
  id: string;
  name: string;
  payload: unknown;
  reason: string;
  attempts: number;
  failedAt: number;
}

export interface JobQueue<M> {
  add<N extends keyof M & string>(name: N, payload: M[N], options?: JobOptions): Promise<void>;
  addBulk<N extends keyof M & string>(name: N, jobs: readonly ({ payload: M[N] } & JobOptions)[]): Promise<void>;
  /** Jobs by state: waiting, active, delayed, failed (the dead letters). */
  counts(): Promise<Record<string, number>>;
  /** The oldest first. */
  listDead(limit?: number): Promise<DeadLetter[]>;
  /** False when there is no such dead letter. */
  replayDead(id: string): Promise<boolean>;
  removeDead(id: string): Promise<boolean>;
  close(): Promise<void>;
}

export type JobHandlers<M> = {
  [N in keyof M]?: (payload: M[N], job: { id: string; attempt: number }) => Promise<void>;
};

// One hash tag, so that a queue's keys are in one slot of a cluster.
const PREFIX = '{jobs}';

const JOB_DEFAULTS: JobsOptions = {
  attempts: JOB_ATTEMPTS_ENDLESS,
  backoff: { type: 'capped' },
  removeOnComplete: true,
  removeOnFail: false,
};

export function openQueue<M>(name: string, redisUrl: string, log?: Log): JobQueue<M> {
  const connection = connectRedis(redisUrl, 'queue', log);
  const queue = new Queue(name, {
    connection,
    prefix: PREFIX,
    defaultJobOptions: JOB_DEFAULTS,
    streams: { events: { maxLen: JOB_EVENTS_MAX } },
  });
  queue.on('error', (error) => log?.warn({ queue: name, reason: error.message }, 'a queue failed'));

  return {
    async add(jobName, payload, options = {}) {
      await queue.add(jobName, payload, bullOptions(options));
    },
    async addBulk(jobName, jobs) {
      if (jobs.length === 0) return;
      await queue.addBulk(
        jobs.map(({ payload, ...options }) => ({ name: jobName, data: payload, opts: bullOptions(options) })),
      );
    },
    counts: () => queue.getJobCounts('waiting', 'active', 'delayed', 'failed'),
    async listDead(limit = 100) {
      const jobs = await queue.getJobs(['failed'], 0, limit - 1, true);
      return jobs.map(toDeadLetter);
    },
    async replayDead(id) {
      const job = await queue.getJob(id);
      if (job === undefined || !(await job.isFailed())) return false;
      await job.updateProgress({ faults: 0 });
      await job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true });
      return true;
    },
    async removeDead(id) {
      const job = await queue.getJob(id);
      if (job === undefined || !(await job.isFailed())) return false;
      await job.remove();
      return true;
    },
    async close() {
      await queue.close();
      connection.disconnect();
    },
  };
}

/** Runs the jobs of a queue in this process. `close` lets those that are running finish. */
export function runQueue<M>(
  name: string,
  redisUrl: string,
  handlers: JobHandlers<M>,
  /** `backoffMaxMs`: a test's own; the tries of one job take half a minute otherwise. */
  options: { concurrency: number; log: Log; backoffMaxMs?: number },
): { close(): Promise<void> } {
  const { log, backoffMaxMs = JOB_BACKOFF_MAX_MS } = options;
  const connection = connectRedis(redisUrl, 'queue', log);
  const worker = new Worker(name, (job) => runJob(job, handlers, log), {
    connection,
    prefix: PREFIX,
    concurrency: options.concurrency,
    lockDuration: JOB_LOCK_MS,
    stalledInterval: JOB_STALLED_CHECK_MS,
    maxStalledCount: JOB_ATTEMPTS_ENDLESS,
    settings: { backoffStrategy: (attemptsMade) => backoffMs(attemptsMade, backoffMaxMs) },
  });
  worker.on('error', (error) => log.warn({ queue: name, reason: error.message }, 'a worker failed'));
  worker.on('failed', (job, error) => {
    const isDead = error instanceof UnrecoverableError;
    const attempt = job?.attemptsMade ?? 1;
    const facts = { queue: name, job: job?.name, jobId: job?.id, attempt, reason: error.message };
    if (isDead) log.error(facts, 'a job is a dead letter');
    // In an outage hundreds of jobs try for as long as it lasts: each tells of its tries ever more rarely.
    else if (Number.isInteger(Math.log2(attempt))) log.warn(facts, 'a job will be tried again');
    else log.debug(facts, 'a job will be tried again');
  });
  return {
    async close() {
      await worker.close();
      connection.disconnect();
    },
  };
}

async function runJob<M>(job: Job, handlers: JobHandlers<M>, log: Log): Promise<void> {
  const id = job.id ?? '';
  // BullMQ knows names as strings; a name that is not in the map finds no handler.
  const handler = handlers[job.name as keyof M & string];
  try {
    if (handler === undefined) throw new Error(`No handler for the job ${job.name}`);
    await handler(job.data, { id, attempt: job.attemptsMade + 1 });
  } catch (error) {
    if (isInfrastructureError(error)) throw error;
    if (error instanceof TerminalError) throw new UnrecoverableError(error.message);
    const faults = faultsOf(job) + 1;
    log.error({ job: job.name, jobId: id, faults, err: error }, 'a job threw');
    if (faults >= JOB_FAULTS_MAX) throw new UnrecoverableError(messageOf(error));
    // In the job itself, so that outages in between do not count and a restart does not forget.
    await job.updateProgress({ faults });
    throw error;
  }
}

function faultsOf(job: Job): number {
  const { progress } = job;
  return typeof progress === 'object' && 'faults' in progress && typeof progress.faults === 'number'
    ? progress.faults
    : 0;
}

function backoffMs(attemptsMade: number, maxMs: number): number {
  return Math.round(jitter(Math.min(JOB_BACKOFF_MIN_MS * 2 ** Math.min(attemptsMade, 20), maxMs)));
}

function bullOptions({ jobId, delayMs }: JobOptions): JobsOptions {
  if (jobId?.includes(':')) throw fault('INTERNAL', `The job id ${jobId} contains a colon`);
  return { ...(jobId === undefined ? {} : { jobId }), ...(delayMs === undefined ? {} : { delay: delayMs }) };
}

function toDeadLetter(job: Job): DeadLetter {
  return {
    id: job.id ?? '',
    name: job.name,
    payload: job.data,
    reason: job.failedReason ?? '',
    attempts: job.attemptsMade,
    failedAt: job.finishedOn ?? 0,
  };
}
