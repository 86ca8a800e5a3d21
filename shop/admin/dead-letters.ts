// Everything that the system gave up, in one list: records that Postgres refused, the provider's events that cannot be right,
// jobs of every queue that failed for good. Each says why, since when, and what a replay would do. Nothing leaves by itself; a
// replay is refused where its purchase no longer lives, and repeating it changes nothing.
import type { StockStore } from '../../actors/stock-store.ts';
import { DEAD_LETTERS_MAX } from '../../core/constants.ts';
import { gauge } from '../../core/metrics.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import type { DeadLetter as DeadJob, JobQueue } from '../../core/queue/queue.ts';
import type { JobMap } from '../job-map.ts';
import type { DeadRecord, DeadRecords } from '../orders/orders.ts';
import type { DeadEvent, Payments } from '../payments/payments.ts';
import { isLiving } from '../sales/sales.ts';
import { countDeadRecords, dropDeadRecord } from './dead-store.ts';

export interface DeadLetter {
  readonly id: string;
  readonly kind: 'record' | 'event' | 'job';
  /** The record's kind, the event's type, the job's name. */
  readonly what: string;
  /** Purchases, orders or events that it is about. */
  readonly concerns: readonly string[];
  readonly why: string;
  readonly since: Date;
  readonly attempts: number;
  /** What a replay would do, or why it would be refused. */
  readonly replay: string;
}

export type DeadMove =
  | { readonly kind: 'done'; readonly outcome: string }
  | { readonly kind: 'refused'; readonly outcome: string }
  | { readonly kind: 'not_found' };

export interface DeadLetters {
  /** So many of each kind at most; the oldest first. */
  list(limit: number): Promise<DeadLetter[]>;
  replay(id: string): Promise<DeadMove>;
  drop(id: string): Promise<DeadMove>;
  /** Sets the gauge that an alarm watches. */
  measure(): Promise<void>;
}

export interface DeadLetterDependencies {
  readonly postgres: Postgres;
  readonly records: DeadRecords;
  readonly events: Payments['dead'];
  readonly queue: Pick<JobQueue<JobMap>, 'listDead' | 'replayDead' | 'removeDead' | 'counts'>;
  readonly stock: Pick<StockStore, 'look'>;
}

const letters = gauge('doorbuster_dead_letters_count', 'Records, events and jobs that wait for an operator.', ['kind']);

const EFFECTS: Readonly<Record<keyof JobMap, string>> = {
  'outbox.apply': 'writes the entries to Postgres, where they are not there yet',
  'payment.start': 'begins the payments of those purchases that still live',
  'payment.cancel': 'withdraws the payments of ended purchases; what was paid is settled',
  'payment.settle': 'settles the events: confirms, or returns the money',
  'payment.refund': 'returns the money of what was taken back, where it was not returned yet',
  'payment.resume': 'settles the payment once more: confirms, or returns the money',
  'hold.expire': 'ends holds that are due',
};
const OF_EVENT = 'settles the event again: what was paid confirms the purchase, takes stock again, or is returned';
const ENDED = 'refused: none of its purchases lives any more';

export function createDeadLetters(deps: DeadLetterDependencies): DeadLetters {
  const { postgres, records, events, queue, stock } = deps;

  async function findLiving(purchaseIds: readonly string[]): Promise<Set<string>> {
    const views = await stock.look([...new Set(purchaseIds)]);
    return new Set(views.flatMap((view) => (view !== undefined && isLiving(view.status) ? [view.purchaseId] : [])));
  }

  /** Jobs that say something more than their events: those are settled by now, or are dead and in the list themselves. */
  async function listJobs(limit: number, known: readonly DeadEvent[]): Promise<DeadJob[]> {
    const jobs = await queue.listDead(limit);
    const open = await events.findOpen(jobs.filter(isOfEvents).flatMap(concernsOf));
    for (const event of known) open.delete(event.eventId);
    return jobs.filter((job) => !isOfEvents(job) || concernsOf(job).some((id) => open.has(id)));
  }

  async function list(limit: number): Promise<DeadLetter[]> {
    const dead = (await records.list(limit)).filter((record) => record.replayedAt === 0);
    const deadEvents = await events.list(limit);
    const jobs = await listJobs(limit, deadEvents);
    const needing = [
      ...dead.flatMap((record) => record.purchaseId ?? []),
      ...jobs.filter(needsLiving).flatMap((job) => concernsOf(job)),
    ];
    const living = await findLiving(needing);
    const all = [
      ...dead.map((record) => ofRecord(record, living)),
      ...deadEvents.map(ofEvent),
      ...jobs.map((job) => ofJob(job, living)),
    ];
    return all.sort((a, b) => a.since.getTime() - b.since.getTime());
  }

  async function replayJob(id: string): Promise<DeadMove> {
    const job = (await queue.listDead(DEAD_LETTERS_MAX)).find((one) => one.id === id);
    if (job === undefined) return { kind: 'not_found' };
    if (needsLiving(job) && (await findLiving(concernsOf(job))).size === 0) return { kind: 'refused', outcome: ENDED };
    return (await queue.replayDead(id)) ? { kind: 'done', outcome: 'the job runs again' } : { kind: 'not_found' };
  }

  return {
    list,
    async replay(id) {
      const event = await events.find(id);
      if (event !== undefined) {
        const isRevived = await events.replay(id);
        await removeJobsOf(id);
        return { kind: 'done', outcome: isRevived ? 'the event is settled again' : 'the event is being settled' };
      }
      const record = await records.replay(id);
      switch (record.kind) {
        case 'not_found':
          return replayJob(id);
        case 'replayed':
          return { kind: 'done', outcome: 'written' };
        case 'already_replayed':
          return { kind: 'done', outcome: 'was written before' };
        case 'refused':
          return { kind: 'refused', outcome: `refused again: ${record.error}` };
        case 'ended': {
          const status = record.status ?? 'forgotten by Redis';
          return { kind: 'refused', outcome: `its purchase is ${status} by now and is not brought back` };
        }
      }
    },
    async drop(id) {
      if (await events.drop(id)) {
        await removeJobsOf(id);
        return { kind: 'done', outcome: 'dropped' };
      }
      const isDropped = (await dropDeadRecord(postgres, id)) || (await queue.removeDead(id));
      return isDropped ? { kind: 'done', outcome: 'dropped' } : { kind: 'not_found' };
    },
    async measure() {
      letters.set({ kind: 'record' }, await countDeadRecords(postgres));
      letters.set({ kind: 'event' }, await events.count());
      letters.set({ kind: 'job' }, (await queue.counts())['failed'] ?? 0);
    },
  };

  /** An event's dead jobs go with it: they would only say the same again. */
  async function removeJobsOf(eventId: string): Promise<void> {
    for (const job of await queue.listDead(DEAD_LETTERS_MAX)) {
      if (isOfEvents(job) && concernsOf(job).every((id) => id === eventId)) await queue.removeDead(job.id);
    }
  }
}

const isOfEvents = (job: DeadJob): boolean => job.name === 'payment.settle';

/** Jobs that do nothing for a purchase that has ended; all others return money, or only look. */
const needsLiving = (job: DeadJob): boolean => job.name === 'payment.start';

/** Ids in a job's payload, whatever its members are called. */
function concernsOf({ payload }: DeadJob): string[] {
  if (typeof payload !== 'object' || payload === null) return [];
  return Object.values(payload)
    .flat()
    .filter((value): value is string => typeof value === 'string');
}

function ofRecord(record: DeadRecord, living: ReadonlySet<string>): DeadLetter {
  const { purchaseId } = record;
  const isEnded = purchaseId !== null && !living.has(purchaseId);
  const replay = isEnded ? ENDED : 'writes the record to Postgres, if it is taken now';
  return {
    id: record.deadId,
    kind: 'record',
    what: record.kind,
    concerns: purchaseId === null ? [] : [purchaseId],
    why: record.error,
    since: new Date(record.createdAt),
    attempts: 1,
    replay: record.kind === 'unreadable' ? 'refused: the entry cannot be read' : replay,
  };
}

function ofEvent(event: DeadEvent): DeadLetter {
  const { eventId: id, type: what, purchaseId, reason: why, receivedAt: since, attempts } = event;
  const concerns = purchaseId === null ? [] : [purchaseId];
  return { id, kind: 'event', what, concerns, why, since, attempts, replay: OF_EVENT };
}

function ofJob(job: DeadJob, living: ReadonlySet<string>): DeadLetter {
  const concerns = concernsOf(job);
  const isEnded = needsLiving(job) && !concerns.some((id) => living.has(id));
  const effect = EFFECTS[job.name as keyof JobMap] ?? 'runs the job again'; // a name of another version is none of the map's
  const { id, name: what, reason: why, attempts } = job;
  return {
    id,
    kind: 'job',
    what,
    concerns,
    why,
    since: new Date(job.failedAt),
    attempts,
    replay: isEnded ? ENDED : effect,
  };
}
