// What a load run counts: every answer by its status, with its time. Exact percentiles over all answers: no buckets,
// no sampling.
export interface Latencies {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface LoadResult {
  /** Answers by HTTP status. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly answered: number;
  /** Requests that got no answer. */
  readonly lost: number;
  readonly seconds: number;
  /** Over all answers. */
  readonly latencies: Latencies;
  /** Processor time of the generator: close to `seconds`, it is the generator that was measured. */
  readonly generatorMs: number;
}

export interface Tally {
  /** The clock starts here. */
  start(): void;
  answered(status: number, ms: number): void;
  lost(): void;
  result(): LoadResult;
}

export function createTally(capacity: number): Tally {
  const times = new Float64Array(capacity);
  const statuses = new Map<number, number>();
  let [count, lost, startedAt, lastAt] = [0, 0, 0, 0];
  let cpu = process.cpuUsage();
  let used = cpu;
  return {
    start() {
      startedAt = performance.now();
      cpu = process.cpuUsage();
    },
    answered(status, ms) {
      if (count < capacity) times[count] = ms;
      count += 1;
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      lastAt = performance.now();
      // Read once, at the last answer: what follows (closing, waiting for a tick) is not the run.
      if (count === capacity) used = process.cpuUsage(cpu);
    },
    lost() {
      lost += 1;
    },
    result() {
      if (count < capacity) used = process.cpuUsage(cpu);
      const seconds = Math.max(1e-9, (lastAt - startedAt) / 1_000);
      return {
        statuses: Object.fromEntries(statuses),
        answered: count,
        lost,
        seconds,
        latencies: latenciesOf(times.subarray(0, Math.min(count, capacity))),
        generatorMs: (used.user + used.system) / 1_000,
      };
    },
  };
}

/** Sorts what it is given. */
export function latenciesOf(times: Float64Array): Latencies {
  times.sort();
  const at = (share: number): number => times[Math.max(0, Math.ceil(times.length * share) - 1)] ?? 0;
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1) };
}
