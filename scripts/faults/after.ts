// After the fault: when everything that was accepted has left the outbox, and whether every acknowledged purchase is still
// there for its buyer. It asks Redis and the public API, and changes nothing.
import { Pool } from 'undici';
import { keys } from '../../actors/keys.ts';
import { sleep, systemClock } from '../../core/clock.ts';
import { PARTITIONS } from '../../core/constants.ts';
import { connectRedis, type Redis } from '../../core/redis/redis.ts';
import type { Race } from '../rush/race.ts';

const POLL_MS = 25;

/**
 * When what was in the outbox at the first look had reached Postgres; new entries do not count, they keep coming.
 * Undefined where it did not happen within the limit.
 */
export async function untilApplied(
  redisUrl: string,
  limitMs: number,
  signal: AbortSignal,
): Promise<number | undefined> {
  const redis = connectRedis(redisUrl, 'scripts');
  const giveUpAt = systemClock.now() + limitMs;
  let wanted: readonly number[] | undefined;
  try {
    while (systemClock.now() < giveUpAt && !signal.aborted) {
      const partitions = await readOutboxes(redis);
      if (partitions !== undefined) {
        wanted ??= partitions.map(({ seq }) => seq);
        const limits = wanted;
        // A rebuilt Redis begins with an empty outbox.
        if (partitions.every(({ oldest }, i) => oldest === undefined || oldest > (limits[i] ?? 0)))
          return systemClock.now();
      }
      await sleep(POLL_MS, signal);
    }
    return undefined;
  } finally {
    redis.disconnect();
  }
}

/** Where each outbox ends, and the oldest entry that is still in it; undefined while Redis cannot be asked, or knows nothing. */
async function readOutboxes(redis: Redis): Promise<{ seq: number; oldest: number | undefined }[] | undefined> {
  try {
    const rows = await Promise.all(
      Array.from({ length: PARTITIONS }, async (_, partition) => {
        const [seq] = await redis.hmget(keys.fence(partition), 'seq');
        const [first] = await redis.xrange(keys.outbox(partition), '-', '+', 'COUNT', 1);
        // An entry's id begins with its last seq.
        return { seq: seq ?? null, oldest: first === undefined ? undefined : Number.parseInt(first[0], 10) };
      }),
    );
    return rows.some(({ seq }) => seq === null)
      ? undefined
      : rows.map(({ seq, oldest }) => ({ seq: Number(seq), oldest }));
  } catch {
    return undefined;
  }
}

const CONNECTIONS = 32;
const TRIES = 20;
const RETRY_MS = 250;

export interface LookUp {
  asked: number;
  kept: number;
  problems: string[];
}

/**
 * Every acknowledged purchase, asked for by its buyer: it must be there, with its ticket, and not older than it was told; where
 * a store lost what was not written yet, what had become of it may be among that.
 */
export async function lookUpAll(
  url: string,
  { witness, crowd }: Race,
  { signal, mayBeOlder }: { signal: AbortSignal; mayBeOlder: boolean },
): Promise<LookUp> {
  const pool = new Pool(url, { connections: CONNECTIONS });
  const tokens = new Map(crowd.map(({ index, token }) => [index, token]));
  const waiting = [...witness.acknowledged].values();
  const result: LookUp = { asked: witness.acknowledged.size, kept: 0, problems: [] };

  async function ask(purchaseId: string, token: string): Promise<{ status: number; body: unknown }> {
    const headers = { authorization: `Bearer ${token}` };
    for (let attempt = 1; ; attempt += 1) {
      signal.throwIfAborted();
      const answer = await pool.request({ method: 'GET', path: `/api/v1/purchases/${purchaseId}`, headers });
      const body = await answer.body.json();
      if (attempt === TRIES || (answer.statusCode !== 503 && answer.statusCode !== 429)) {
        return { status: answer.statusCode, body };
      }
      await sleep(RETRY_MS, signal);
    }
  }

  const lane = async (): Promise<void> => {
    for (const [purchaseId, { buyerIndex, latest }] of waiting) {
      const { status, body } = await ask(purchaseId, tokens.get(buyerIndex) ?? '');
      // The public contract's members; whatever else it is shows as a difference.
      const seen = body as { ticket?: number; version?: number; status?: string };
      const isKept =
        status === 200 && seen.ticket === latest.ticket && (mayBeOlder || (seen.version ?? 0) >= latest.version);
      if (isKept) result.kept += 1;
      else
        result.problems.push(
          `${purchaseId} was ${latest.status} (ticket ${latest.ticket}), now ${status} ${seen.status}`,
        );
    }
  };
  try {
    await Promise.all(Array.from({ length: CONNECTIONS }, lane));
  } finally {
    await pool.destroy();
  }
  return result;
}
