// One call of a script in a partition: hands over the epoch and the highest seq this process has seen, and remembers the
// newer one from the reply. A Redis that lacks them answers FENCED, and this process sells nothing there; one that was
// restarted sells nothing before it was compared with Postgres (attachment.ts). Where replicas are asked for, an answer waits for them.
import { SCRIPT_TIMEOUT_MS } from '../core/constants.ts';
import { type ErrorCode, fault } from '../core/errors.ts';
import { pack, unpack } from '../core/redis/msgpack.ts';
import type { Redis } from '../core/redis/redis.ts';
import { isReadOnly, runScript, type Script } from '../core/redis/scripts.ts';
import { type Attachment, createAttachment } from './attachment.ts';
import { keys } from './keys.ts';
import { createReplicaBarrier } from './replica-barrier.ts';
import { scripts } from './scripts.ts';

export type { EpochRecord } from './attachment.ts';

export interface ScriptReply {
  readonly code: string;
  readonly seq: number;
  /** Redis' clock when the script ran, in ms. */
  readonly now: number;
  readonly body: unknown;
}

export interface ScriptCaller extends Pick<Attachment, 'attach' | 'isAttached' | 'isDoubted' | 'witness'> {
  /** Fences everybody else off and takes the partition over, at the epoch and from the seq given or what it has above that. */
  beginRebuild(partition: number, epoch: number, seq: number): Promise<number>;
  /** Throws FENCED, UNAVAILABLE (nothing ran), OUTCOME_UNKNOWN (it may have run). */
  call(partition: number, script: Script, input: unknown): Promise<ScriptReply>;
  /** Resolves when the replicas have all that Redis has now; at once where none are asked for. */
  replicated(partition: number): Promise<void>;
}

export interface ScriptCallerOptions {
  readonly redis: Redis;
  /** A test's clock; refused by a Redis whose partitions are not marked for tests. */
  readonly testNow?: () => number;
  readonly timeoutMs?: number;
  /** How many replicas must have a change before it is answered; 0 asks for none. */
  readonly replicas?: number;
}

export function createScriptCaller({
  redis,
  testNow,
  timeoutMs = SCRIPT_TIMEOUT_MS,
  replicas = 0,
}: ScriptCallerOptions): ScriptCaller {
  const attachment = createAttachment({ redis, timeoutMs });
  const barrier = replicas > 0 ? createReplicaBarrier({ redis, replicas }) : undefined;

  async function call(partition: number, script: Script, input: unknown): Promise<ScriptReply> {
    const known = attachment.known(partition);
    const args = [String(known.epoch), String(known.seq), String(testNow?.() ?? 0), pack(input)];
    const bytes = await runScript(redis, script, [keys.fence(partition)], args, timeoutMs);
    // The scripts' own reply: { code, epoch, seq, now, body, run }.
    const [code, , seq, now, body, run] = unpack(bytes as Buffer) as [string, number, number, number, unknown, string];
    if (code === 'FENCED') throw attachment.refused(partition, known, body);
    if (barrier !== undefined && !isReadOnly(script)) await barrier.passed(partition, run);
    // Only now: what a replica lacks may be gone after a failover, and is not to be missed then.
    attachment.saw(partition, seq);
    return { code, seq, now, body };
  }

  async function beginRebuild(partition: number, epoch: number, seq: number): Promise<number> {
    const args = [String(epoch), String(seq)];
    const bytes = await runScript(redis, scripts.rebuildBegin, [keys.fence(partition)], args, timeoutMs);
    const [code, from] = unpack(bytes as Buffer) as [string, number];
    if (code !== 'OK') throw fault('FENCED', `Partition ${partition} of this Redis is of epoch ${epoch} or later`);
    attachment.adopt(partition, { epoch, seq: from });
    return from;
  }

  return {
    call,
    beginRebuild,
    replicated: async (partition) => barrier?.passed(partition),
    attach: attachment.attach,
    witness: attachment.witness,
    get isAttached() {
      return attachment.isAttached;
    },
    get isDoubted() {
      return attachment.isDoubted;
    },
  };
}

/** The body of a reply, or the fault that its code names (a closed gate). */
export function bodyOf(reply: ScriptReply): unknown {
  if (reply.code === 'OK') return reply.body;
  throw fault(reply.code as ErrorCode, undefined, { retryAfterSeconds: 1 });
}
