// What a rebuild does to keys as keys: reads a partition's fence, and removes what is to be built anew. What the keys mean is
// the scripts' business.
import { keys } from '../../actors/keys.ts';
import { REBUILD_SCAN_COUNT } from '../../core/constants.ts';
import { nodeOf, type Redis } from '../../core/redis/redis.ts';

export interface FenceState {
  readonly epoch: number | undefined;
  readonly seq: number | undefined;
  readonly isRebuilding: boolean;
  /** Which layout its keys have; '' where it does not say. */
  readonly form: string;
}

/** Undefined where there is no fence. */
export async function readFence(redis: Redis, partition: number): Promise<FenceState | undefined> {
  const [epoch, seq, rebuilding, form] = await redis.hmget(keys.fence(partition), 'epoch', 'seq', 'rebuilding', 'form');
  if (epoch === null && seq === null && rebuilding === null) return undefined;
  const toNumber = (text: string | null | undefined): number | undefined =>
    text === null || text === undefined ? undefined : Number(text);
  return { epoch: toNumber(epoch), seq: toNumber(seq), isRebuilding: rebuilding !== null, form: form ?? '' };
}

/** Everything of the partition but its fence and its outbox, in steps that do not hold Redis up. */
export async function removeKeys(redis: Redis, partition: number): Promise<void> {
  const kept = new Set([keys.fence(partition), keys.outbox(partition)]);
  const node = nodeOf(redis, keys.fence(partition));
  let cursor = '0';
  do {
    const [next, found] = await node.scan(cursor, 'MATCH', keys.all(partition), 'COUNT', REBUILD_SCAN_COUNT);
    const removed = found.filter((key) => !kept.has(key));
    if (removed.length > 0) await redis.unlink(...removed);
    cursor = next;
  } while (cursor !== '0');
}
