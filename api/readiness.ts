// Whether this process can take purchases: attached to a Redis that is trusted, and both stores answering within a second. One
// partition is enough: a balancer that sent nobody here for the sake of another one would close the sales that go on. Many
// probes at once cost one look.
import type { StockStore } from '../actors/stock-store.ts';
import { sleep } from '../core/clock.ts';
import { PARTITIONS, READINESS_TIMEOUT_MS } from '../core/constants.ts';
import { hasCode } from '../core/errors.ts';
import { hashedId } from '../core/ids.ts';
import type { Postgres } from '../core/postgres/postgres.ts';
import type { Readiness } from './wire.ts';

/** One purchase a partition that does not exist: a look for it passes the same fence as a buyer. */
const PROBES = Array.from({ length: PARTITIONS }, (_, partition) => hashedId('pur', partition, ['readiness']));

type Health = 'up' | 'down' | 'fenced';

/** The first that some partition is in speaks for Redis: what is down may be back in a second, what is fenced waits for a rebuild. */
const STATES: readonly Health[] = ['up', 'down', 'fenced'];

async function healthOf(look: () => Promise<unknown>): Promise<Health> {
  const patience = new AbortController();
  const late = sleep(READINESS_TIMEOUT_MS, patience.signal).then((): Health => 'down');
  const answer = look().then(
    (): Health => 'up',
    (error: unknown): Health => (hasCode(error, 'FENCED') ? 'fenced' : 'down'),
  );
  try {
    return await Promise.race([answer, late]);
  } finally {
    patience.abort();
  }
}

export interface ReadinessDependencies {
  postgres: Postgres;
  stock: Pick<StockStore, 'look' | 'isAttached'>;
  /** The attachment was refused. */
  isFenced(): boolean;
}

export function createReadiness({ postgres, stock, isFenced }: ReadinessDependencies): () => Promise<Readiness> {
  let looking: Promise<Readiness> | undefined;

  async function healthOfPartitions(): Promise<Health[]> {
    if (!stock.isAttached) return PROBES.map(() => (isFenced() ? 'fenced' : 'down'));
    return Promise.all(PROBES.map((probe) => healthOf(() => stock.look([probe]))));
  }

  async function look(): Promise<Readiness> {
    const [partitions, database] = await Promise.all([
      healthOfPartitions(),
      healthOf(() => postgres.query('SELECT 1')),
    ]);
    const redis = STATES.find((health) => partitions.includes(health)) ?? 'down';
    const isReady = redis === 'up' && database === 'up';
    return {
      status: isReady ? 'ready' : 'not_ready',
      redis,
      postgres: database === 'up' ? 'up' : 'down',
      unavailablePartitions: partitions.flatMap((health, partition) => (health === 'up' ? [] : [partition])),
    };
  }

  return () => {
    looking ??= look().finally(() => {
      looking = undefined;
    });
    return looking;
  };
}
