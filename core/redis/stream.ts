// A Redis stream read through a consumer group, as bytes: read new entries, fetch some again, hand out unfinished ones again.
// An entry has one field. Acknowledging is not here: it happens in a script, together with what the acknowledgement means.
import type { Redis } from './redis.ts';

export interface StreamEntry {
  readonly id: string;
  readonly bytes: Buffer;
}

/** Whoever reads for a group uses this one consumer: who handed an entry out does not matter, only that it is unfinished. */
const CONSUMER = 'any';

type RawEntry = readonly [id: Buffer, fields: readonly Buffer[] | null];

/** Creates group and stream where they are missing. The group starts at 0: what is in the stream is unfinished. */
export async function ensureGroup(redis: Redis, stream: string, group: string): Promise<void> {
  try {
    await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM');
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('BUSYGROUP'))) throw error;
  }
}

/** Up to `count` entries per stream that no one has read yet; waits up to `blockMs` for the first. In a cluster all streams must share a slot. */
export async function readNew(
  redis: Redis,
  group: string,
  streams: readonly string[],
  options: { count: number; blockMs: number },
): Promise<Map<string, StreamEntry[]>> {
  const ids = streams.map(() => '>');
  const reply = await redis.callBuffer(
    ...(['XREADGROUP', 'GROUP', group, CONSUMER, 'COUNT', options.count, 'BLOCK', options.blockMs] as const),
    ...['STREAMS', ...streams, ...ids],
  );
  // RESP2: nil, or an array of [stream, entries].
  const perStream = (reply ?? []) as readonly (readonly [Buffer, readonly RawEntry[]])[];
  return new Map(perStream.map(([stream, entries]) => [stream.toString(), entries.flatMap(toEntry)]));
}

/** The entries among `ids` that still exist, in the stream's order. The ids come from one read, so they are a range of it. */
export async function fetchEntries(redis: Redis, stream: string, ids: readonly string[]): Promise<StreamEntry[]> {
  const [first, last] = [ids[0], ids.at(-1)];
  if (first === undefined || last === undefined) return [];
  const entries = (await redis.xrangeBuffer(stream, first, last)).flatMap(toEntry);
  if (entries.length <= 1) return entries;
  const asked = new Set(ids);
  return entries.filter((entry) => asked.has(entry.id));
}

/** The entries behind the last of major id `after`, and before `before`. */
export async function fetchBetween(
  redis: Redis,
  stream: string,
  after: number,
  before: string,
): Promise<StreamEntry[]> {
  return (await redis.xrangeBuffer(stream, String(after + 1), `(${before}`)).flatMap(toEntry);
}

/** Ids of all entries that were handed out at least `idleMs` ago and are not finished; counts them as handed out now. */
export async function takeOver(redis: Redis, stream: string, group: string, idleMs: number): Promise<string[]> {
  const ids: string[] = [];
  let cursor = '0-0';
  do {
    const reply = await redis.call('XAUTOCLAIM', stream, group, CONSUMER, idleMs, cursor, 'COUNT', 256, 'JUSTID');
    // [next cursor, ids, ids that were deleted meanwhile]
    const [next, claimed] = reply as [string, string[]];
    ids.push(...claimed);
    cursor = next;
  } while (cursor !== '0-0');
  return ids;
}

/**
 * Entries of each stream that were handed out and are not finished: how many, and how far the first part of their ids lies
 * apart. One round trip; in a cluster all streams must share a slot.
 */
export async function unfinished(
  redis: Redis,
  streams: readonly string[],
  group: string,
): Promise<{ count: number; span: number }[]> {
  const batch = redis.pipeline();
  for (const stream of streams) batch.xpending(stream, group);
  const answers = (await batch.exec()) ?? [];
  return answers.map(([error, summary]) => {
    if (error !== null) throw error;
    const [count, first, last] = summary as [number, string | null, string | null];
    const span = first === null || last === null ? 0 : Number.parseInt(last, 10) - Number.parseInt(first, 10);
    return { count, span };
  });
}

/** The group, and with it the stream, is gone: Redis lost its data or was replaced. */
export function isGroupMissing(error: unknown): boolean {
  return error instanceof Error && error.message.includes('NOGROUP');
}

function toEntry([id, fields]: RawEntry): StreamEntry[] {
  const bytes = fields?.[1];
  return bytes === undefined ? [] : [{ id: id.toString(), bytes }];
}
