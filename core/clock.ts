// Time: the one place that reads the process's clock or waits. Code that decides by time takes a Clock, so that a test can move it.
// Stock is never decided by this clock: the scripts use that of Redis.
import { setTimeout as wait } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };

/**
 * Instants as ISO 8601. The last one is remembered: a crowd is answered many times within a millisecond, and the holds of one
 * batch end at one instant. Each kind of instant has a writer of its own.
 */
export function createInstantWriter(): (ms: number) => string {
  let last = Number.NaN;
  let text = '';
  return (ms) => {
    if (ms !== last) [last, text] = [ms, new Date(ms).toISOString()];
    return text;
  };
}

/** Waiting and chance as the simulation (test/sim) hands them in, so that time passes only when it says so. */
export interface SimulatedTime {
  wait(ms: number, signal: AbortSignal | undefined): Promise<void>;
  /** From 0 up to, and without, 1. */
  random(): number;
}
let simulated: SimulatedTime | undefined;

/** For the simulation alone; `undefined` gives the real ones back. */
export function simulateTime(source: SimulatedTime | undefined): void {
  simulated = source;
}

/** Resolves after `ms`, or at once, without an error, when the signal aborts: a loop looks at its signal anyway. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return;
  if (simulated !== undefined) return simulated.wait(ms, signal);
  try {
    await wait(ms, undefined, signal === undefined ? undefined : { signal });
  } catch (error) {
    if (!signal?.aborted) throw error;
  }
}

/** Somewhere between half of `ms` and `ms`, never above it: many processes with one interval must not act in step. */
export function jitter(ms: number): number {
  return ms * (0.5 + (simulated?.random() ?? Math.random()) / 2);
}
