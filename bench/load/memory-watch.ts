// The memory of the system's processes over a run, looked at several times a second, and what Redis says of its own.
import type { Redis } from '../../core/redis/redis.ts';
import { sampleProcess } from './process-sample.ts';

const LOOK_MS = 250;
const MEGABYTE = 1_048_576;

export interface MemorySeries {
  /** Megabytes, one a look. */
  readonly series: Readonly<Record<string, readonly number[]>>;
}

export interface MemoryWatch {
  stop(): MemorySeries;
}

export function watchMemory(processes: () => readonly { name: string; pid: number }[], redis: Redis): MemoryWatch {
  const series: Record<string, number[]> = {};
  const note = (name: string, bytes: number): void => {
    (series[name] ??= []).push(bytes / MEGABYTE);
  };
  const look = async (): Promise<void> => {
    for (const { name, pid } of processes()) {
      const sample = sampleProcess(pid);
      if (sample !== undefined) note(name, sample.rssBytes);
    }
    const [, used] = /used_memory:(\d+)/.exec(await redis.info('memory')) ?? [];
    if (used !== undefined) note('redis data', Number(used));
  };
  const looks = setInterval(() => void look().catch(() => undefined), LOOK_MS);
  return {
    stop() {
      clearInterval(looks);
      return { series };
    },
  };
}

/** The largest in the first and in the second half: what is bounded has grown by the middle. */
export function halves(values: readonly number[]): { first: number; second: number } {
  const middle = Math.ceil(values.length / 2);
  const largest = (part: readonly number[]): number => part.reduce((most, value) => Math.max(most, value), 0);
  return { first: largest(values.slice(0, middle)), second: largest(values.slice(middle)) };
}
