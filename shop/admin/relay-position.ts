// How far the outbox of a partition is in Postgres, as its stream tells: an entry leaves it after its commit and what follows
// from it, so everything before the oldest that is still there is done.
import { keys } from '../../actors/keys.ts';
import { type Clock, sleep } from '../../core/clock.ts';
import { AUDIT_LAG_PATIENCE_MS, AUDIT_RELAY_POLL_MS } from '../../core/constants.ts';
import { fault } from '../../core/errors.ts';
import type { Redis } from '../../core/redis/redis.ts';

const ENTRY_ID = /^(\d+)-(\d+)$/; // <last seq>-<records>

/** The first position that may not be in Postgres yet; Infinity when the outbox is empty. */
export async function firstUnapplied(redis: Redis, partition: number): Promise<number> {
  const [entry] = await redis.xrange(keys.outbox(partition), '-', '+', 'COUNT', 1);
  if (entry === undefined) return Number.POSITIVE_INFINITY;
  const [, last, records] = ENTRY_ID.exec(entry[0]) ?? [];
  return Number(last) - Number(records) + 1;
}

export type RelayWait = { readonly kind: 'applied' } | { readonly kind: 'stalled'; readonly backlog: number };

/** Waits while the relay makes headway; gives up when it has made none for `patienceMs`. */
export async function waitUntilApplied(
  deps: { redis: Redis; clock: Clock; signal?: AbortSignal },
  position: { partition: number; seq: number },
  patienceMs: number,
  onBacklog: (records: number) => void,
): Promise<RelayWait> {
  let best = -1;
  let movedAt = deps.clock.now();
  for (;;) {
    const first = await firstUnapplied(deps.redis, position.partition);
    if (first > position.seq) return { kind: 'applied' };
    const backlog = position.seq - first + 1;
    onBacklog(backlog);
    if (first > best) {
      best = first;
      movedAt = deps.clock.now();
    }
    if (deps.signal?.aborted || deps.clock.now() - movedAt > patienceMs) return { kind: 'stalled', backlog };
    await sleep(AUDIT_RELAY_POLL_MS, deps.signal);
  }
}

/** For who cannot wait for ever: throws UNAVAILABLE while the outbox is behind. That is lag, and no difference. */
export async function untilApplied(
  deps: { redis: Redis; clock: Clock; signal?: AbortSignal },
  partition: number,
  seq: number,
): Promise<void> {
  const wait = await waitUntilApplied(deps, { partition, seq }, AUDIT_LAG_PATIENCE_MS, () => undefined);
  if (wait.kind === 'stalled')
    throw fault('UNAVAILABLE', `${wait.backlog} records of the outbox are not written to Postgres yet`);
}
