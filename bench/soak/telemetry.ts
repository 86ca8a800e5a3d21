// What a running system looks like from outside at one moment: memory, heap and open files of each process, and what Redis,
// BullMQ and Postgres keep. Reads only; whatever cannot be reached at that moment is left out of the sample.
import { keys } from '../../actors/keys.ts';
import { PARTITIONS } from '../../core/constants.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import type { Redis } from '../../core/redis/redis.ts';
import { openJobQueues } from '../../shop/job-queues.ts';
import { sampleProcess } from '../load/process-sample.ts';
import type { Stage } from '../stage.ts';

export interface ProcessView {
  readonly name: string;
  readonly pid: number;
  readonly rssBytes: number;
  readonly openFiles: number;
  readonly threads: number;
  /** Of the processes that show metrics, and only when the scrape reached this one. */
  readonly heapBytes?: number;
  readonly sockets?: number;
}

export interface Sample {
  readonly atMs: number;
  readonly processes: readonly ProcessView[];
  readonly redisBytes?: number;
  readonly redisKeys?: number;
  readonly redisClients?: number;
  readonly outboxRecords?: number;
  readonly jobs?: Readonly<Record<string, number>>;
  readonly postgresConnections?: number;
}

export interface Telemetry {
  sample(): Promise<Sample>;
  /** Keys by kind: the first word after the partition's tag, or the job queues'. Purchases are fields of one key, and counted each. */
  keysByKind(): Promise<Record<string, number>>;
  close(): Promise<void>;
}

const SCRAPE_MS = 2_000;
/** A scrape reaches one of the API processes that share the port; each is met within some tries. */
const SCRAPES_PER_PROCESS = 4;
const SCAN_COUNT = 1_000;

interface Scrape {
  pid: number;
  heapBytes: number;
  sockets: number;
}

export function openTelemetry(stage: Stage, startedAt: number): Telemetry {
  const queue = openJobQueues(stage.config.redisUrl);
  const workerPort = stage.config.workerMetricsPort;

  async function scrapeAll(apis: number): Promise<Map<number, Scrape>> {
    const found = new Map<number, Scrape>();
    const take = (scrape: Scrape | undefined): void => {
      if (scrape !== undefined) found.set(scrape.pid, scrape);
    };
    for (let i = 0; i < apis * SCRAPES_PER_PROCESS && found.size < apis; i += 1) {
      take(await scrapeOne(`${stage.url}/metrics`));
    }
    if (workerPort !== undefined) take(await scrapeOne(`http://127.0.0.1:${workerPort}/metrics`));
    return found;
  }

  return {
    async sample() {
      const running = stage.processes();
      const scrapes = await scrapeAll(running.filter(({ name }) => name.startsWith('api-')).length);
      const processes = running.flatMap(({ name, pid }): ProcessView[] => {
        const seen = sampleProcess(pid);
        const { heapBytes, sockets } = scrapes.get(pid) ?? {};
        const more = heapBytes === undefined || sockets === undefined ? {} : { heapBytes, sockets };
        return seen === undefined ? [] : [{ name, pid, ...seen, ...more }];
      });
      const stores = await Promise.all([
        tried(readRedis(stage.redis)),
        tried(queue.counts().then((jobs) => ({ jobs }))),
        tried(readPostgres(stage.postgres)),
      ]);
      return Object.assign({ atMs: performance.now() - startedAt, processes }, ...stores);
    },
    async keysByKind() {
      const kinds: Record<string, number> = {};
      let cursor = '0';
      do {
        const [next, names] = await stage.redis.scan(cursor, 'COUNT', SCAN_COUNT);
        for (const name of names) {
          const kind = kindOf(name);
          const count = kind === 'purchases' ? await stage.redis.hlen(name) : 1;
          kinds[kind] = (kinds[kind] ?? 0) + count;
        }
        cursor = next;
      } while (cursor !== '0');
      return kinds;
    },
    close: () => queue.close(),
  };
}

async function tried<T extends object>(reading: Promise<T>): Promise<T | object> {
  return reading.catch(() => ({}));
}

/** `db:{p3}:stock:sale_…` is of a SKU; `{jobs}:outbox:42` is a job, `{jobs}:outbox:wait` something of its queue. */
function kindOf(name: string): string {
  const [, kind] = /^db:\{p\d+\}:([^:]+)/.exec(name) ?? [];
  if (kind !== undefined) return kind;
  if (!name.startsWith('{jobs}:')) return name.split(':', 2).join(':');
  return /^\{jobs\}:[^:]+:(id|meta|wait|active|delayed|failed|events|stalled|stalled-check|marker|pc|limiter|paused|prioritized|completed|repeat)$/.test(
    name,
  )
    ? 'queue'
    : 'job';
}

async function readRedis(redis: Redis) {
  const memory = await redis.info('memory');
  const clients = await redis.info('clients');
  const outboxes = await Promise.all(
    Array.from({ length: PARTITIONS }, (_, partition) => redis.hmget(keys.fence(partition), 'seq', 'applied')),
  );
  return {
    redisBytes: Number(/used_memory:(\d+)/.exec(memory)?.[1] ?? 0),
    redisClients: Number(/connected_clients:(\d+)/.exec(clients)?.[1] ?? 0),
    redisKeys: await redis.dbsize(),
    outboxRecords: outboxes.reduce((sum, [seq, applied]) => sum + Number(seq ?? 0) - Number(applied ?? 0), 0),
  };
}

async function readPostgres(postgres: Postgres) {
  const { rows } = await postgres.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    [],
  );
  return { postgresConnections: rows[0]?.count ?? 0 };
}

async function scrapeOne(url: string): Promise<Scrape | undefined> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(SCRAPE_MS), headers: { connection: 'close' } });
    const text = await answer.text();
    const [, pid] = /pid="(\d+)"/.exec(text) ?? [];
    const value = (name: string): number => Number(new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
    return pid === undefined
      ? undefined
      : {
          pid: Number(pid),
          heapBytes: value('nodejs_heap_size_used_bytes'),
          sockets: value('doorbuster_sockets_count'),
        };
  } catch {
    return undefined;
  }
}
