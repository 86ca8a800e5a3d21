// Where this process stands with each partition: the epoch it was attached in and the highest seq it was told of. What it
// saw is written to Postgres, so that a Redis that comes back without it is found out by whoever compares first. Which
// Redis is the right one is decided here and in attach.lua, never by a caller.
import { sleep } from '../core/clock.ts';
import { PARTITIONS, WITNESS_PAUSE_MS } from '../core/constants.ts';
import { type CodedError, fault } from '../core/errors.ts';
import { unpack } from '../core/redis/msgpack.ts';
import type { Redis } from '../core/redis/redis.ts';
import { runScript } from '../core/redis/scripts.ts';
import { keys } from './keys.ts';
import { scripts } from './scripts.ts';

/** A partition at a position of its outbox. */
export interface EpochRow {
  readonly partition: number;
  readonly epoch: number;
  readonly seq: number;
}

/** What Postgres knows of each partition; the shop implements it, the floor above. */
export interface EpochRecord {
  /** `seq`: the highest position that was applied, or that any process was told of. */
  read(): Promise<readonly EpochRow[]>;
  write(partition: number, epoch: number): Promise<void>;
  /** Remembers positions that this process was told of, where the epoch is still the same. */
  witness(seen: readonly EpochRow[]): Promise<void>;
}

interface Position {
  readonly epoch: number;
  readonly seq: number;
}

export interface Attachment {
  /** Throws FENCED where this process is not attached. */
  known(partition: number): Position;
  saw(partition: number, seq: number): void;
  /** What a FENCED reply means for the caller: UNAVAILABLE while Redis is being checked, else FENCED. */
  refused(partition: number, known: Position, reason: unknown): CodedError;
  /** Attaches to every partition that Redis is right for; throws FENCED when there was another one. */
  attach(record: EpochRecord): Promise<void>;
  /** Takes a partition over that is being rebuilt, and that nobody else can attach to. */
  adopt(partition: number, position: Position): void;
  /** Writes down what was seen since the last time. */
  witness(): Promise<void>;
  /** Attached to some partition. */
  readonly isAttached: boolean;
  /** A call was refused since the last attachment: it is time for another. */
  readonly isDoubted: boolean;
}

const NOTHING: Position = { epoch: 0, seq: 0 };

export function createAttachment({ redis, timeoutMs }: { redis: Redis; timeoutMs: number }): Attachment {
  const attached = new Map<number, { epoch: number; seq: number }>();
  /** What was seen outlives an attachment: a Redis that is refused is refused for this. */
  const seen = new Map<number, { epoch: number; seq: number; toldSeq: number }>();
  let record: EpochRecord | undefined;
  let isDoubted = false;

  function saw(partition: number, seq: number): void {
    const position = attached.get(partition);
    if (position === undefined || seq <= position.seq) return;
    position.seq = seq;
    const memory = seen.get(partition);
    if (memory !== undefined && memory.epoch === position.epoch) memory.seq = Math.max(memory.seq, seq);
    else seen.set(partition, { epoch: position.epoch, seq, toldSeq: 0 });
  }

  async function witness(): Promise<void> {
    const news = [...seen].flatMap(([partition, { epoch, seq, toldSeq }]) =>
      seq > toldSeq ? [{ partition, epoch, seq }] : [],
    );
    if (record === undefined || news.length === 0) return;
    await record.witness(news);
    for (const { partition, epoch, seq } of news) {
      const memory = seen.get(partition);
      if (memory?.epoch === epoch) memory.toldSeq = Math.max(memory.toldSeq, seq);
    }
  }

  const tell = (): void => void witness().catch(() => undefined);

  /** Redis has lost what this process was told of. The others must hear of it before they sell on. */
  async function doubt(partition: number, known: Position): Promise<void> {
    // While Postgres is away nobody can compare; it is written down when it is back, before anybody has.
    await witness().catch(() => undefined);
    const args = [String(known.epoch), String(known.seq)];
    await runScript(redis, scripts.doubt, [keys.fence(partition)], args, timeoutMs);
  }

  function refused(partition: number, known: Position, reason: unknown): CodedError {
    isDoubted = true;
    if (reason === 'UNCHECKED') {
      tell();
      return fault('UNAVAILABLE', 'Redis was restarted and is being compared with Postgres', { retryAfterSeconds: 1 });
    }
    if (reason === 'BEHIND') doubt(partition, known).catch(() => undefined);
    return fault('FENCED', 'Redis lacks what this process has seen; the sale must be rebuilt.');
  }

  /** Answers the run of the Redis process that is to be checked first, undefined once attached. `checkedRun`: the one that was. */
  async function attachOne(partition: number, row: Position, checkedRun: string): Promise<string | undefined> {
    const memory = seen.get(partition);
    const least = memory?.epoch === row.epoch ? Math.max(memory.seq, row.seq) : row.seq;
    const args = [String(row.epoch), String(least), checkedRun];
    const bytes = await runScript(redis, scripts.attach, [keys.fence(partition)], args, timeoutMs);
    const [code, epoch, seq, text] = unpack(bytes as Buffer) as [string, number, number, string];
    if (code === 'UNCHECKED') return text;
    if (code !== 'OK') {
      // Another Redis may still take our epoch: what was rebuilt must not go on here.
      attached.delete(partition);
      throw fault('FENCED', `Partition ${partition}: ${text}.`);
    }
    if (row.epoch === 0) await record?.write(partition, epoch);
    attached.set(partition, { epoch, seq: Math.max(seq, least) });
    return undefined;
  }

  /** Goes on after a refusal, which is thrown at the end. Answers what is to be checked, run by partition. */
  async function attachAll(checked: ReadonlyMap<number, string>): Promise<Map<number, string>> {
    const rows = new Map((await record?.read())?.map((row) => [row.partition, row]));
    const unchecked = new Map<number, string>();
    let refusal: Error | undefined;
    for (let partition = 0; partition < PARTITIONS; partition++) {
      try {
        const run = await attachOne(partition, rows.get(partition) ?? NOTHING, checked.get(partition) ?? '');
        if (run !== undefined) unchecked.set(partition, run);
      } catch (error) {
        refusal ??= error instanceof Error ? error : new Error(String(error));
      }
    }
    if (refusal !== undefined && unchecked.size === 0) throw refusal;
    return unchecked;
  }

  return {
    known(partition) {
      const position = attached.get(partition);
      if (position === undefined) throw fault('FENCED', 'This process is not attached to the partition.');
      return position;
    },
    saw,
    adopt: (partition, { epoch, seq }) => void attached.set(partition, { epoch, seq }),
    refused,
    witness,
    async attach(from) {
      // While Redis is away, Postgres learns what to expect of it.
      if (record === undefined) redis.on('close', tell);
      record = from;
      isDoubted = false;
      try {
        const unchecked = await attachAll(new Map());
        if (unchecked.size === 0) return;
        await witness();
        // Whoever else lives has met the restart by then, and written down what it saw.
        await sleep(WITNESS_PAUSE_MS);
        const again = await attachAll(unchecked);
        if (again.size > 0) throw fault('UNAVAILABLE', 'Redis was restarted once more');
      } catch (error) {
        isDoubted = true;
        throw error;
      }
    },
    get isAttached() {
      return attached.size > 0;
    },
    get isDoubted() {
      return isDoubted;
    },
  };
}
