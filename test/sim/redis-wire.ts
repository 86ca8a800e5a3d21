// Redis as one simulated process sees it: the real client behind the wire. Reads that block return at once, since their
// waiting is nobody's work; the idle time of unfinished entries is Redis' own clock, which stands still here, so a
// take-over finds all of them.
import { scripts } from '../../actors/scripts.ts';
import type { Redis } from '../../core/redis/redis.ts';
import { cross, digestOf, type Fate, type Node, type World } from './world.ts';

const unsent = (): Error => new Error("Stream isn't writeable and enableOfflineQueue options is false");
const cut = (): Error => new Error('Connection is closed.');

export function redisFate(world: World): Fate {
  const { random, weather, timeline } = world;
  if (timeline.now < world.redisDownUntil) return { kind: 'unsent', error: unsent() };
  const draw = random.next();
  if (draw < weather.redisUnsent) return { kind: 'unsent', error: random.isLucky(0.5) ? unsent() : cut() };
  if (draw < weather.redisUnsent + weather.redisUnanswered) return { kind: 'unanswered', error: cut() };
  if (draw < weather.redisUnsent + weather.redisUnanswered + weather.redisLate) return { kind: 'late', error: cut() };
  return { kind: 'done' };
}

const nameOf = (sha: unknown): string => Object.values(scripts).find((script) => script.sha === sha)?.name ?? 'script';

function flatten(words: readonly unknown[]): unknown[] {
  return words.flat(2);
}

/** Without `BLOCK n`, and with an idle time of 0. */
function withoutWaiting(command: string, words: readonly unknown[]): unknown[] {
  if (command === 'XREADGROUP') {
    const at = words.indexOf('BLOCK');
    return at < 0 ? [...words] : [...words.slice(0, at), ...words.slice(at + 2)];
  }
  if (command === 'XAUTOCLAIM') return words.map((word, i) => (i === 4 ? 0 : word));
  return [...words];
}

const isScript = (word: unknown): boolean => word === 'EVALSHA' || word === 'EVAL';

/** What a call of a verb brings: command, script, 1, fence key, epoch, seq, time, input. */
const [CALL_WORDS, TIME_WORD] = [8, 6];

/** With the time at which Redis runs it, as its own clock would tell, not that at which it was sent. */
function atTime(now: number, words: readonly unknown[]): unknown[] {
  const isCall = isScript(words[0]) && words.length === CALL_WORDS;
  return isCall ? words.with(TIME_WORD, String(now)) : [...words];
}

function describe(world: World, method: string, words: readonly unknown[]): string {
  const plain = (word: unknown): unknown =>
    Buffer.isBuffer(word)
      ? word.toString('hex')
      : typeof word === 'string'
        ? word.replace(world.redisRun, 'run')
        : word;
  const isCall = method === 'call' || method === 'callBuffer';
  const command = isCall ? String(words[0]) : method;
  if (!isScript(command)) return `${command} ${digestOf(words.map(plain))}`;
  const name = command === 'EVALSHA' ? nameOf(words[1]) : 'script';
  return `${name} ${String(words[3])} ${digestOf(words.slice(4).map(plain))}`;
}

/** The partition whose fence key the command names, for the look that follows. */
function touch(world: World, words: readonly unknown[]): void {
  for (const word of words) {
    const tag = typeof word === 'string' ? /^db:\{p(\d+)\}:/.exec(word) : null;
    if (tag?.[1] !== undefined) world.touched.add(Number(tag[1]));
  }
}

export function createRedisWire(world: World, node: Node, real: Redis): Redis {
  const send = (method: string, words: readonly unknown[]): Promise<unknown> => {
    const isCall = method === 'call' || method === 'callBuffer';
    const asked = isCall ? withoutWaiting(String(words[0]), words) : [...words];
    return cross(world, node, {
      what: describe(world, method, asked),
      mayOutliveSender: true,
      fate: () => redisFate(world),
      async run() {
        const command = Reflect.get(real, method) as (...args: unknown[]) => Promise<unknown>; // a command of ioredis
        try {
          return await command.apply(real, atTime(world.timeline.now, asked));
        } finally {
          if (isScript(asked[0])) touch(world, asked);
        }
      },
    });
  };
  return new Proxy(real, {
    get(target, name) {
      if (name === 'status') return world.timeline.now < world.redisDownUntil ? 'reconnecting' : 'ready';
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function' || typeof name !== 'string') return member;
      if (name === 'on') {
        return (event: string, listener: () => void) => {
          if (event === 'close') world.cutListeners.push({ node, listener });
        };
      }
      if (name === 'disconnect' || name === 'once' || name === 'off') return () => undefined;
      if (name === 'pipeline' || name === 'multi') return (...words: unknown[]) => createBatch(name, words);
      return (...words: unknown[]) => send(name, words);
    },
  });

  /** A pipeline collects as the real one does; its one round trip crosses the wire. */
  function createBatch(method: 'pipeline' | 'multi', words: readonly unknown[]): unknown {
    // Both give a batch that collects commands until exec.
    const begin = Reflect.get(real, method) as unknown as (
      ...args: unknown[]
    ) => Record<string, (...args: unknown[]) => unknown>;
    const batch = begin.apply(real, [...words]);
    const exec = batch['exec'] as () => Promise<unknown>;
    const seen: unknown[] = [];
    const wrapped: unknown = new Proxy(batch, {
      get(target, name) {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== 'function' || typeof name !== 'string') return member;
        if (name === 'exec' || name === 'execBuffer') {
          const run = async (): Promise<unknown> => {
            touch(world, flatten(seen));
            return exec.call(batch);
          };
          return () =>
            cross(world, node, { what: `${method} ${digestOf(seen.length)}`, fate: () => redisFate(world), run });
        }
        return (...args: unknown[]) => {
          seen.push(args);
          (member as (...args: unknown[]) => unknown).apply(target, args);
          return wrapped;
        };
      },
    });
    return wrapped;
  }
}
