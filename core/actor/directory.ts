// The directory: which actor serves a key. Activates on first use, forgets idle ones, and bounds how many there are, since
// keys come from requests. An actor that was forgotten while somebody still has it goes on working; it only has a twin then.
import type { Clock } from '../clock.ts';
import { fault } from '../errors.ts';
import type { Actor } from './actor.ts';

export interface Directory<K extends string, I, R> {
  /** Throws OVERLOADED when all of `maxActors` are busy, SHUTTING_DOWN after drain. */
  get(key: K): Actor<I, R>;
  /** Forgets the actors that nobody used for `idleMs`; never a busy one. Returns how many. */
  evictIdle(): number;
  readonly size: number;
  drain(): Promise<void>;
}

export interface DirectoryOptions<K extends string, I, R> {
  activate(key: K): Actor<I, R>;
  idleMs: number;
  maxActors: number;
  clock: Clock;
}

export function createDirectory<K extends string, I, R>(options: DirectoryOptions<K, I, R>): Directory<K, I, R> {
  const actors = new Map<K, { actor: Actor<I, R>; usedAt: number }>();
  let isDraining = false;

  function get(key: K): Actor<I, R> {
    if (isDraining) throw fault('SHUTTING_DOWN');
    const known = actors.get(key);
    if (known !== undefined) {
      known.usedAt = options.clock.now();
      return known.actor;
    }
    // All idle ones at once, so that a scan over random keys pays for the look-through only once per `maxActors`.
    if (actors.size >= options.maxActors && evict(0) === 0) throw fault('OVERLOADED');
    const actor = options.activate(key);
    actors.set(key, { actor, usedAt: options.clock.now() });
    return actor;
  }

  function evict(unusedMs: number): number {
    const before = actors.size;
    const usedBefore = options.clock.now() - unusedMs;
    for (const [key, { actor, usedAt }] of actors) {
      if (actor.isIdle && usedAt <= usedBefore) actors.delete(key);
    }
    return before - actors.size;
  }

  return {
    get,
    evictIdle: () => evict(options.idleMs),
    get size() {
      return actors.size;
    },
    async drain() {
      isDraining = true;
      await Promise.all([...actors.values()].map(({ actor }) => actor.drain()));
    },
  };
}
