// The relay: reads every partition's outbox through the consumer group and makes jobs of what it read. It acknowledges
// nothing; the job does, after its commit. So whatever dies, an entry stays unfinished and is handed out again, which is
// harmless. Several relays may run at once.
import { keys, OUTBOX_GROUP } from '../actors/keys.ts';
import { recordsIn } from '../actors/outbox.ts';
import { type Clock, sleep, systemClock } from '../core/clock.ts';
import {
  APPLY_RECORDS_MAX,
  PARTITIONS,
  RELAY_AHEAD_MAX_ENTRIES,
  RELAY_AHEAD_MAX_RECORDS,
  RELAY_BLOCK_MS,
  RELAY_FULL_PAUSE_MS,
  RELAY_GATHER_MS,
  RELAY_READ_MAX_ENTRIES,
  RELAY_TAKEOVER_IDLE_MS,
} from '../core/constants.ts';
import { messageOf } from '../core/errors.ts';
import { randomId } from '../core/ids.ts';
import type { Log } from '../core/log.ts';
import { counter, gauge } from '../core/metrics.ts';
import type { JobQueue } from '../core/queue/queue.ts';
import type { Redis } from '../core/redis/redis.ts';
import { ensureGroup, isGroupMissing, readNew, type StreamEntry, takeOver, unfinished } from '../core/redis/stream.ts';
import type { JobMap } from '../shop/job-map.ts';

export interface RelayDependencies {
  /** Its own connection, of use `blocking`: a read waits on it. */
  readonly redis: Redis;
  readonly queue: Pick<JobQueue<JobMap>, 'addBulk'>;
  readonly log: Log;
  /** One read covers all of these, so in a cluster they must share a slot: there, one relay a partition. */
  readonly partitions?: readonly number[];
  readonly takeoverIdleMs?: number;
  readonly clock?: Clock;
  /** Crash tests only: throwing here is dying after the step. */
  readonly stepHook?: (step: 'read' | 'added') => void | Promise<void>;
}

/** What a read brought: `plenty` fills jobs, or is not all there is. */
type Haul = 'nothing' | 'little' | 'plenty';

export interface Relay {
  start(): void;
  /** What the loop does again and again: one read, made into jobs. A failure is dealt with, never thrown. */
  turn(): Promise<Haul>;
  /** Resolves when the loop has ended; what it read and did not add is handed out again by the next relay. */
  stop(): Promise<void>;
}

const entriesRelayed = counter('doorbuster_relay_entries', 'Outbox entries made into jobs', ['kind']);
const entriesAhead = gauge('doorbuster_relay_unfinished_entries', 'Outbox entries handed out and not yet applied', [
  'partition',
]);

const everyPartition = Array.from({ length: PARTITIONS }, (_, partition) => partition);

export function createRelay(deps: RelayDependencies): Relay {
  const {
    redis,
    log,
    partitions = everyPartition,
    takeoverIdleMs = RELAY_TAKEOVER_IDLE_MS,
    clock = systemClock,
  } = deps;
  const streams = new Map(partitions.map((partition) => [keys.outbox(partition), partition]));
  const stopping = new AbortController();
  let running: Promise<void> | undefined;
  /** Names what this relay hands out again at its start. */
  const mark = randomId('relay');
  let hasGroups = false;
  let takeoverAt = 0;

  async function prepare(): Promise<void> {
    for (const stream of streams.keys()) await ensureGroup(redis, stream, OUTBOX_GROUP);
    // At once, whoever it was that read them: after a crash nobody else may be there.
    for (const partition of partitions) await handOutAgain(partition, 0, mark);
    hasGroups = true;
    takeoverAt = clock.now() + takeoverIdleMs;
  }

  /**
   * One job an entry: so its id is the same however often it is handed out on an occasion, and jobs do not pile up in an
   * outage. It is not the id of the first job, which may be that of a dead worker: the queue keeps it for as long as its lock.
   */
  async function handOutAgain(partition: number, idleMs: number, occasion: string): Promise<void> {
    const ids = await takeOver(redis, keys.outbox(partition), OUTBOX_GROUP, idleMs);
    if (ids.length === 0) return;
    log.info({ partition, entries: ids.length }, 'unfinished outbox entries are handed out again');
    entriesRelayed.inc({ kind: 'again' }, ids.length);
    await deps.queue.addBulk(
      'outbox.apply',
      ids.map((id) => toJob(partition, [id], occasion)),
    );
  }

  /** The streams whose unfinished entries leave room for more; what waits in the others forms larger jobs later. */
  async function streamsWithRoom(): Promise<string[]> {
    const names = [...streams.keys()];
    const ahead = await unfinished(redis, names, OUTBOX_GROUP);
    return names.filter((stream, place) => {
      const { count = 0, span = 0 } = ahead[place] ?? {};
      entriesAhead.set({ partition: String(streams.get(stream)) }, count);
      return count < RELAY_AHEAD_MAX_ENTRIES && span < RELAY_AHEAD_MAX_RECORDS;
    });
  }

  async function relayOnce(): Promise<Haul> {
    if (!hasGroups) await prepare();
    if (clock.now() >= takeoverAt) {
      for (const partition of partitions) await handOutAgain(partition, takeoverIdleMs, 'again');
      takeoverAt = clock.now() + takeoverIdleMs;
    }
    const open = await streamsWithRoom();
    if (open.length === 0) {
      await sleep(RELAY_FULL_PAUSE_MS, stopping.signal);
      return 'nothing';
    }
    // While one is full, a quiet read must not keep its room from being noticed.
    const blockMs = open.length < streams.size ? RELAY_FULL_PAUSE_MS : RELAY_BLOCK_MS;
    const options = { count: RELAY_READ_MAX_ENTRIES, blockMs };
    const read = await readNew(redis, OUTBOX_GROUP, open, options);
    if (read.size === 0) return 'nothing';
    await deps.stepHook?.('read');
    const jobs = [...read].flatMap(([stream, entries]) => coalesce(streams.get(stream) ?? 0, entries));
    await deps.queue.addBulk('outbox.apply', jobs);
    entriesRelayed.inc(
      { kind: 'new' },
      jobs.reduce((sum, job) => sum + job.payload.entryIds.length, 0),
    );
    await deps.stepHook?.('added');
    const isMore = [...read.values()].some((entries) => entries.length === RELAY_READ_MAX_ENTRIES);
    return isMore || jobs.length > read.size ? 'plenty' : 'little';
  }

  async function turn(): Promise<Haul> {
    try {
      return await relayOnce();
    } catch (error) {
      if (stopping.signal.aborted) return 'nothing';
      // Whatever failed, start from what Redis says is unfinished; a lost group is made again there.
      hasGroups = false;
      if (!isGroupMissing(error)) log.warn({ reason: messageOf(error) }, 'the relay failed and starts again');
      await sleep(RELAY_FULL_PAUSE_MS * 10, stopping.signal);
      return 'nothing';
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const haul = await turn();
      // The first after a silence goes at once; where more is coming, what gathers meanwhile makes a job worth its cost.
      if (haul === 'little') await sleep(RELAY_GATHER_MS, stopping.signal);
    }
  }

  return {
    start() {
      running ??= run();
    },
    turn,
    async stop() {
      stopping.abort();
      // Ends a read that waits. Entries that were on their way to us are unfinished, like those of a crash.
      redis.disconnect();
      await running;
    },
  };
}

type ApplyJob = { payload: JobMap['outbox.apply']; jobId: string };

function toJob(partition: number, entryIds: readonly string[], occasion?: string): ApplyJob {
  return {
    payload: { partition, entryIds: [...entryIds] },
    jobId: ['apply', partition, entryIds[0], entryIds.at(-1), ...(occasion === undefined ? [] : [occasion])].join('-'),
  };
}

/** Jobs of up to APPLY_RECORDS_MAX records; an entry larger than that is a job of its own. An entry's id ends in its records. */
export function coalesce(partition: number, entries: readonly StreamEntry[]): ApplyJob[] {
  const jobs: ApplyJob[] = [];
  let ids: string[] = [];
  let records = 0;
  for (const { id } of entries) {
    const size = recordsIn(id);
    if (ids.length > 0 && records + size > APPLY_RECORDS_MAX) {
      jobs.push(toJob(partition, ids));
      [ids, records] = [[], 0];
    }
    ids.push(id);
    records += size;
  }
  if (ids.length > 0) jobs.push(toJob(partition, ids));
  return jobs;
}
