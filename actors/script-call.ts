// One call of a script in a partition: hands over the epoch and the highest seq this process has seen, and remembers the
// newer one from the reply. A Redis that lacks them answers FENCED, and this process sells nothing there.
import { PARTITIONS, SCRIPT_TIMEOUT_MS } from '../core/constants.ts';
import { type ErrorCode, fault } from '../core/errors.ts';
import { pack, unpack } from '../core/redis/msgpack.ts';
import type { Redis } from '../core/redis/redis.ts';
import { runScript, type Script } from '../core/redis/scripts.ts';
import { keys } from './keys.ts';
import { scripts } from './scripts.ts';

/** What Postgres knows of each partition; the shop implements it, the floor above. */
export interface EpochRecord {
  read(): Promise<readonly { partition: number; epoch: number; seq: number }[]>;
  write(partition: number, epoch: number): Promise<void>;
}

export interface ScriptReply {
  readonly code: string;
  readonly seq: number;
  /** Redis' clock when the script ran, in ms. */
  readonly now: number;
  readonly body: unknown;
}

export interface ScriptCaller {
  /** Throws FENCED, UNAVAILABLE (nothing ran), OUTCOME_UNKNOWN (it may have run). */
  call(partition: number, script: Script, input: unknown): Promise<ScriptReply>;
  attach(record: EpochRecord): Promise<void>;
  readonly isAttached: boolean;
}

export interface ScriptCallerOptions {
  readonly redis: Redis;
  /** A test's clock; refused by a Redis whose partitions are not marked for tests. */
  readonly testNow?: () => number;
  readonly timeoutMs?: number;
}

export function createScriptCaller({
  redis,
  testNow,
  timeoutMs = SCRIPT_TIMEOUT_MS,
}: ScriptCallerOptions): ScriptCaller {
  const epochs: number[] = [];
  const seen: number[] = [];

  async function call(partition: number, script: Script, input: unknown): Promise<ScriptReply> {
    const epoch = epochs[partition];
    if (epoch === undefined) throw fault('FENCED', 'This process has not attached to the partition yet.');
    const args = [String(epoch), String(seen[partition] ?? 0), String(testNow?.() ?? 0), pack(input)];
    const bytes = await runScript(redis, script, [keys.fence(partition)], args, timeoutMs);
    // The scripts' own reply: { code, epoch, seq, now, body }.
    const [code, , seq, now, body] = unpack(bytes as Buffer) as [string, number, number, number, unknown];
    if (code === 'FENCED') throw fault('FENCED', 'Redis lacks what this process has seen; the sale must be rebuilt.');
    if (seq > (seen[partition] ?? 0)) seen[partition] = seq;
    return { code, seq, now, body };
  }

  async function attachOne(partition: number, known: { epoch: number; seq: number }, record: EpochRecord) {
    const args = [String(known.epoch), String(known.seq)];
    const bytes = await runScript(redis, scripts.attach, [keys.fence(partition)], args, timeoutMs);
    const [code, epoch, seq, reason] = unpack(bytes as Buffer) as [string, number, number, string];
    if (code !== 'OK') throw fault('FENCED', `Partition ${partition}: ${reason}.`);
    if (known.epoch === 0) await record.write(partition, epoch);
    epochs[partition] = epoch;
    seen[partition] = Math.max(seq, known.seq);
  }

  return {
    call,
    async attach(record) {
      const rows = new Map((await record.read()).map((row) => [row.partition, row]));
      for (let partition = 0; partition < PARTITIONS; partition++) {
        await attachOne(partition, rows.get(partition) ?? { epoch: 0, seq: 0 }, record);
      }
    },
    get isAttached() {
      return epochs.length === PARTITIONS;
    },
  };
}

/** The body of a reply, or the fault that its code names (a closed gate). */
export function bodyOf(reply: ScriptReply): unknown {
  if (reply.code === 'OK') return reply.body;
  throw fault(reply.code as ErrorCode, undefined, { retryAfterSeconds: 1 });
}
