// `ops dead list|replay|drop`: what the workers gave up. Records are outbox entries that Postgres refused as data; jobs
// are those whose handler said that no further try helps. Nothing leaves by itself: an operator looks and decides.
import type { Command } from 'commander';
import type { DeadLetter } from '../../core/queue/queue.ts';
import { dropDeadRecord } from '../../shop/admin/admin.ts';
import { createOrders, type DeadRecord, type ReplayOutcome } from '../../shop/orders/orders.ts';
import { openJobQueues } from '../../shop/job-queues.ts';
import { withSystem } from './running-system.ts';
import { wholeNumber } from './sale-terms.ts';
import { drawTable } from './table.ts';
import { type CommonOptions, EXIT_USAGE, OpsFailure, perform, verb } from './verb.ts';

interface ListOptions extends CommonOptions {
  readonly limit: number;
}

interface PickOptions extends CommonOptions {
  readonly all?: boolean;
}

/** One dead thing, whichever kind. */
interface Dead {
  readonly id: string;
  readonly kind: 'record' | 'job';
  readonly what: string;
  readonly concerns: string;
  readonly reason: string;
  readonly diedAt: string;
}

interface DeadHouse {
  list(limit: number): Promise<Dead[]>;
  /** A sentence on what came of it, and whether it is done. */
  replay(id: string): Promise<{ id: string; done: boolean; outcome: string }>;
  drop(id: string): Promise<{ id: string; done: boolean; outcome: string }>;
}

const LIMIT_MAX = 10_000;
const NOTHING = 'there is nothing dead of this id';

const ofRecord = (dead: DeadRecord): Dead => ({
  id: dead.deadId,
  kind: 'record',
  what: dead.kind,
  concerns: dead.purchaseId ?? '',
  reason: dead.error,
  diedAt: new Date(dead.createdAt).toISOString(),
});

const ofJob = (job: DeadLetter): Dead => ({
  id: job.id,
  kind: 'job',
  what: job.name,
  concerns: JSON.stringify(job.payload),
  reason: job.reason,
  diedAt: new Date(job.failedAt).toISOString(),
});

function sayReplay(outcome: ReplayOutcome): { done: boolean; outcome: string } {
  if (outcome.kind === 'replayed') return { done: true, outcome: 'written' };
  if (outcome.kind === 'already_replayed') return { done: true, outcome: 'was written before' };
  if (outcome.kind === 'not_found') return { done: false, outcome: NOTHING };
  if (outcome.kind === 'refused') return { done: false, outcome: `refused again: ${outcome.error}` };
  const status = outcome.status ?? 'forgotten by Redis';
  return { done: false, outcome: `its purchase is ${status} by now and is not brought back` };
}

async function withDead<T>(work: (house: DeadHouse) => Promise<T>): Promise<T> {
  return withSystem(async ({ address, postgres, stock }) => {
    const queues = openJobQueues(address.redisUrl);
    const { dead } = createOrders({ postgres, stock });
    try {
      return await work({
        async list(limit) {
          const records = (await dead.list(limit)).filter((record) => record.replayedAt === 0);
          return [...records.map(ofRecord), ...(await queues.listDead(limit)).map(ofJob)];
        },
        async replay(id) {
          const record = await dead.replay(id);
          if (record.kind !== 'not_found') return { id, ...sayReplay(record) };
          const isReplayed = await queues.replayDead(id);
          return { id, done: isReplayed, outcome: isReplayed ? 'the job runs again' : NOTHING };
        },
        async drop(id) {
          const isDropped = (await dropDeadRecord(postgres, id)) || (await queues.removeDead(id));
          return { id, done: isDropped, outcome: isDropped ? 'dropped' : NOTHING };
        },
      });
    } finally {
      await queues.close();
    }
  });
}

export function registerDead(dead: Command): void {
  verb(dead, 'list', 'Lists dead records and jobs, oldest first.')
    .option('--limit <n>', 'of each kind at most', wholeNumber, 100)
    .action((options: ListOptions) =>
      perform(options, async () => {
        const all = await withDead((house) => house.list(options.limit));
        const rows = all.map((one) => [
          one.id,
          one.kind,
          one.what,
          one.concerns.slice(0, 60),
          one.diedAt,
          one.reason.slice(0, 100),
        ]);
        const text =
          all.length === 0
            ? 'nothing is dead'
            : drawTable(['id', 'kind', 'what', 'concerns', 'died at', 'reason'], rows);
        return { json: { items: all }, text };
      }),
    );
  for (const move of ['replay', 'drop'] as const) {
    const description =
      move === 'replay'
        ? 'Tries dead records and jobs again. A purchase that has ended meanwhile is not brought back.'
        : 'Takes dead records and jobs off the list for good; a record stays in the database, marked DROPPED.';
    verb(dead, `${move} [ids...]`, description)
      .option('--all', 'all that are dead now')
      .action((ids: string[], options: PickOptions) =>
        perform(options, async () => {
          if ((ids.length === 0) === (options.all !== true)) throw new OpsFailure('give ids, or --all', {}, EXIT_USAGE);
          const results = await withDead(async (house) => {
            const chosen = options.all ? (await house.list(LIMIT_MAX)).map((one) => one.id) : ids;
            const done: Awaited<ReturnType<DeadHouse['replay']>>[] = [];
            for (const id of chosen) done.push(await house[move](id));
            return done;
          });
          const text =
            results.length === 0 ? 'nothing is dead' : results.map(({ id, outcome }) => `${id}: ${outcome}`).join('\n');
          return { json: { items: results }, text, ok: results.every((result) => result.done) };
        }),
      );
  }
}
