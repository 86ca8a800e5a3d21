// What everything simulated shares: chance, time, the weather (which faults this seed has, and how many), and the one way
// by which a process reaches a store. Whatever crosses the wire may be lost on the way there, on the way back, or arrive
// long after its sender gave up; and between any two crossings another process may act, or this one die.
import { createHash } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import type { Random } from './random.ts';
import type { Timeline } from './timeline.ts';

/** Chances per crossing, and numbers of disasters per history. */
export interface Weather {
  redisUnsent: number;
  redisUnanswered: number;
  redisLate: number;
  postgresUnsent: number;
  postgresUnanswered: number;
  providerDown: number;
  providerFails: number;
  providerFailsAfterWork: number;
  eventRepeated: number;
  eventLost: number;
  jobRepeated: number;
  feedLost: number;
  /** At a restart of Redis, for each job that waits. */
  jobLost: number;
  deaths: number;
  redisRestarts: number;
  postgresOutages: number;
  slowdowns: number;
  /** Redis replaced by an older copy of itself, or emptied. */
  redisLosses: number;
  maxLatencyMs: number;
  maxEventDelayMs: number;
  maxJobDelayMs: number;
  maxSkewMs: number;
}

const STORMIEST: Weather = {
  redisUnsent: 0.04,
  redisUnanswered: 0.06,
  redisLate: 0.03,
  postgresUnsent: 0.02,
  postgresUnanswered: 0.03,
  providerDown: 0.15,
  providerFails: 0.15,
  providerFailsAfterWork: 0.15,
  eventRepeated: 0.4,
  eventLost: 0.3,
  jobRepeated: 0.15,
  feedLost: 0.5,
  jobLost: 0.5,
  deaths: 4,
  redisRestarts: 2,
  postgresOutages: 2,
  slowdowns: 2,
  redisLosses: 1,
  maxLatencyMs: 8,
  maxEventDelayMs: 4_000,
  maxJobDelayMs: 800,
  maxSkewMs: 3_000,
};

export const CALM: Readonly<Weather> = {
  ...{ redisUnsent: 0, redisUnanswered: 0, redisLate: 0, postgresUnsent: 0, postgresUnanswered: 0, providerDown: 0 },
  ...{ providerFails: 0, providerFailsAfterWork: 0, eventRepeated: 0, eventLost: 0, jobRepeated: 0, feedLost: 0 },
  ...{ jobLost: 0, deaths: 0, redisRestarts: 0, postgresOutages: 0, slowdowns: 0, redisLosses: 0 },
  ...{ maxLatencyMs: 3, maxEventDelayMs: 300, maxJobDelayMs: 30, maxSkewMs: 0 },
};

/** Some faults at random strength, the others not at all: a fault that is everywhere hides what another one breaks. */
export function drawWeather(random: Random): Weather {
  const drawn = Object.entries(STORMIEST).map(([name, most]) => {
    const least = CALM[name as keyof Weather]; // the entries of a Weather
    if (!random.isLucky(0.55)) return [name, least];
    const value = random.next() * most;
    return [name, Number.isInteger(most) ? Math.max(least, Math.ceil(value)) : value];
  });
  const weather = Object.fromEntries(drawn) as Weather; // every member of STORMIEST, under its name
  // Losing the store is the rarest of all, and most histories should tell of something else.
  if (!random.isLucky(0.3)) weather.redisLosses = 0;
  return weather;
}

/** One life of a process. After its death nothing reaches it and nothing more leaves it. */
export interface Node extends Clock {
  readonly name: string;
  isAlive: boolean;
  slowUntil: number;
}

export interface World {
  readonly random: Random;
  readonly timeline: Timeline;
  /** The real Redis' own name, which replies carry and a history must not depend on. */
  readonly redisRun: string;
  weather: Weather;
  redisDownUntil: number;
  postgresDownUntil: number;
  /** Partitions in which a script has run since the last look. */
  readonly touched: Set<number>;
  /** Told when the connection of a process is cut. */
  readonly cutListeners: { readonly node: Node; readonly listener: () => void }[];
}

export function createNode(world: World, name: string): Node {
  const skewMs = world.random.integer(-world.weather.maxSkewMs, world.weather.maxSkewMs);
  return { name, isAlive: true, slowUntil: 0, now: () => world.timeline.now + skewMs };
}

/** What becomes of one crossing. `late`: the sender is told that it failed, and then it happens. */
export type Fate = { kind: 'done' } | { kind: 'unsent' | 'unanswered' | 'late'; error: Error };

export interface Crossing<T> {
  readonly what: string;
  readonly run: () => Promise<T>;
  readonly fate: () => Fate;
  /** A request on its way when its sender dies may still arrive. */
  readonly mayOutliveSender?: boolean;
}

export const digestOf = (value: unknown): string => {
  const text = Buffer.isBuffer(value) ? value : JSON.stringify(value ?? null);
  return createHash('sha1').update(text).digest('hex').slice(0, 6);
};

function latencyOf(world: World, node: Node): number {
  const isSlow = node.slowUntil > world.timeline.now;
  const latency = world.random.integer(0, world.weather.maxLatencyMs);
  return isSlow ? latency * 40 + 50 : latency;
}

/** Resolves as the store answered, rejects as the wire did, and never when the sender has died meanwhile. */
export function cross<T>(world: World, node: Node, crossing: Crossing<T>): Promise<T> {
  const { timeline, random } = world;
  const { what, run, fate } = crossing;
  return new Promise<T>((resolve, reject) => {
    // What slept when its process died wakes up to nothing.
    if (!node.isAlive) return;
    const answer = (act: () => void): void => {
      timeline.schedule(latencyOf(world, node), () => {
        if (node.isAlive) act();
      });
    };
    const perform = async (): Promise<T | undefined> => {
      try {
        const value = await run();
        const shown = Buffer.isBuffer(value) ? value.toString('latin1').replace(world.redisRun, 'run') : value;
        timeline.note(`${node.name} ${what} = ${digestOf(shown)}`);
        return value;
      } catch (error) {
        timeline.note(`${node.name} ${what} ! ${String(error)}`);
        throw error;
      }
    };
    timeline.schedule(latencyOf(world, node), async () => {
      if (!node.isAlive && !(crossing.mayOutliveSender && random.isLucky(0.5))) return;
      const fated = fate();
      if (fated.kind !== 'done') timeline.note(`${node.name} ${what} (${fated.kind})`);
      if (fated.kind === 'unsent' || fated.kind === 'late') {
        answer(() => reject(fated.error));
        if (fated.kind === 'late') timeline.schedule(random.integer(20, 2_500), () => perform().catch(() => undefined));
        return;
      }
      try {
        const value = await perform();
        // perform() throws where it has no value.
        answer(() => (fated.kind === 'done' ? resolve(value as T) : reject(fated.error)));
      } catch (error) {
        answer(() => reject(error instanceof Error ? error : new Error(String(error))));
      }
    });
  });
}
