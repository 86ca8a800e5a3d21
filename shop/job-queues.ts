// The shop's jobs on their queues: one queue per noun (`outbox`, `hold`, `payment`), so that payments waiting for their
// provider never stand in front of orders waiting for Postgres; and one for payments that start, whose thousands wait for
// the provider's rate, and behind which no payment that was made may wait. To its users it is one queue; a job's name decides.
import { type JobHandlers, type JobQueue, openQueue, runQueue } from '../core/queue/queue.ts';
import type { Log } from '../core/log.ts';
import type { JobMap } from './job-map.ts';

const NOUNS = ['outbox', 'hold', 'payment.start', 'payment'] as const;
type Noun = (typeof NOUNS)[number];

/** `payment.settle` → `payment`; the longer name comes first. A name is typed, so an unknown noun is a fault of this file. */
function nounOf(name: keyof JobMap): Noun {
  const noun = NOUNS.find((candidate) => name === candidate || name.startsWith(`${candidate}.`));
  if (noun === undefined) throw new Error(`No queue for the job ${name}`);
  return noun;
}

export function openJobQueues(redisUrl: string, log?: Log): JobQueue<JobMap> {
  const queues = new Map(NOUNS.map((noun) => [noun, openQueue<JobMap>(noun, redisUrl, log)]));
  const all = [...queues.values()];
  const queueOf = (name: keyof JobMap): JobQueue<JobMap> => queues.get(nounOf(name)) as JobQueue<JobMap>; // filled from NOUNS
  const some = async (ask: (queue: JobQueue<JobMap>) => Promise<boolean>): Promise<boolean> => {
    for (const queue of all) if (await ask(queue)) return true;
    return false;
  };
  return {
    add: (name, payload, options) => queueOf(name).add(name, payload, options),
    addBulk: (name, jobs) => queueOf(name).addBulk(name, jobs),
    async counts() {
      const sums: Record<string, number> = {};
      for (const queue of all) {
        for (const [state, count] of Object.entries(await queue.counts())) sums[state] = (sums[state] ?? 0) + count;
      }
      return sums;
    },
    async listDead(limit) {
      const perQueue = await Promise.all(all.map((queue) => queue.listDead(limit)));
      return perQueue.flat().sort((a, b) => a.failedAt - b.failedAt);
    },
    replayDead: (id) => some((queue) => queue.replayDead(id)),
    removeDead: (id) => some((queue) => queue.removeDead(id)),
    async close() {
      await Promise.all(all.map((queue) => queue.close()));
    },
  };
}

/** Runs every queue in this process, `concurrency` jobs of each. `close` lets those that are running finish. */
export function runJobQueues(
  redisUrl: string,
  handlers: JobHandlers<JobMap>,
  options: { concurrency: number; log: Log },
): { close(): Promise<void> } {
  const runners = NOUNS.map((noun) => runQueue<JobMap>(noun, redisUrl, handlers, options));
  return {
    async close() {
      await Promise.all(runners.map((runner) => runner.close()));
    },
  };
}
