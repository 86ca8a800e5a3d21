// The names of the Redis keys that TypeScript touches. The rest are derived from the fence key inside the scripts
// (scripts/lua/include/keys.lua): all keys of a partition carry its hash tag, so one script may reach any of them.
const tag = (partition: number): string => `db:{p${partition}}:`;

export const keys = {
  /** Hash: epoch, seq, applied. KEYS[1] of every script. */
  fence: (partition: number): string => `${tag(partition)}fence`,
  /** Stream: one entry a script call, id `<last seq>-<records>`, field `b` = msgpack of the records. */
  outbox: (partition: number): string => `${tag(partition)}outbox`,
  /** Channel: what a script changed, and payment readiness. */
  feed: (partition: number): string => `${tag(partition)}feed`,
  /** Sorted sets by time: whose holds end, whose line is to be looked at, which sale changes (scripts/lua/include/keys.lua). */
  agendas: (partition: number): readonly string[] =>
    ['deadlines', 'admissions', 'schedule'].map((name) => tag(partition) + name),
  /** Pattern: every key of the partition. */
  all: (partition: number): string => `${tag(partition)}*`,
} as const;

/** The consumer group through which the relay reads every outbox. */
export const OUTBOX_GROUP = 'relay';
