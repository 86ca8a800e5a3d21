// Metrics: the process's one Prometheus registry. Names are `doorbuster_<noun>_<unit>`; asking for a name twice gives the same metric.
// Node's own (event-loop lag, memory, garbage collection) keep the names that dashboards know.
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

const registry = new Registry();
// Several API processes share one port, and a scrape reaches one of them: the label keeps their counters apart.
registry.setDefaultLabels({ pid: String(process.pid) });
let isCollectingDefaults = false;

export const METRICS_CONTENT_TYPE: string = registry.contentType;

/** Seconds; from a sold-out answer out of memory to a request at its deadline. */
export const LATENCY_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function counter<L extends string = string>(
  name: string,
  help: string,
  labelNames: readonly L[] = [],
): Counter<L> {
  return known<Counter<L>>(name) ?? new Counter({ name, help, labelNames: [...labelNames], registers: [registry] });
}

export function gauge<L extends string = string>(name: string, help: string, labelNames: readonly L[] = []): Gauge<L> {
  return known<Gauge<L>>(name) ?? new Gauge({ name, help, labelNames: [...labelNames], registers: [registry] });
}

export function histogram<L extends string = string>(
  name: string,
  help: string,
  labelNames: readonly L[] = [],
  buckets: readonly number[] = LATENCY_BUCKETS_SECONDS,
): Histogram<L> {
  return (
    known<Histogram<L>>(name) ??
    new Histogram({ name, help, labelNames: [...labelNames], buckets: [...buckets], registers: [registry] })
  );
}

/** The text that Prometheus scrapes. */
export async function renderMetrics(): Promise<string> {
  // Started by the first scrape, not by the import: a unit test that imports a module must not get timers from it.
  if (!isCollectingDefaults) {
    isCollectingDefaults = true;
    collectDefaultMetrics({ register: registry });
  }
  return registry.metrics();
}

/** One sum of a family, kept by whoever counts. */
export interface Tally {
  /** One more. */
  inc(): void;
}

/** Values of one label, counted by size. */
export interface Spread {
  observe(value: number): void;
}

type SpreadFamily = (label: string) => Spread;
const spreadFamilies = new Map<string, SpreadFamily>();

type TallyFamily = (...labels: string[]) => Tally;
const families = new Map<string, TallyFamily>();

/**
 * A counter for the hottest paths. prom-client sorts and joins labels with every increment, which costs more than the rest of
 * a short answer; here an increment is one addition, and the registry asks for the sums when it is scraped.
 */
export function tallies(name: string, help: string, labelNames: readonly string[] = []): TallyFamily {
  const earlier = families.get(name);
  if (earlier !== undefined) return earlier;
  const sums = new Map<string, { labels: string[]; count: number } & Tally>();
  const collect = function (this: Counter): void {
    this.reset();
    for (const { labels, count } of sums.values()) this.labels(...labels).inc(count);
  };
  // The registry keeps it; nobody else needs to.
  void new Counter({ name, help, labelNames: [...labelNames], registers: [registry], collect });
  const family: TallyFamily = (...labels) => {
    const key = labels.join('\n');
    const kept = sums.get(key);
    if (kept !== undefined) return kept;
    const tally = {
      labels,
      count: 0,
      inc(): void {
        tally.count += 1;
      },
    };
    sums.set(key, tally);
    return tally;
  };
  families.set(name, family);
  return family;
}

/** A histogram for the hottest paths, one label: the same as prom-client's, kept like the tallies. */
export function spreads(
  name: string,
  help: string,
  labelName: string,
  buckets: readonly number[] = LATENCY_BUCKETS_SECONDS,
): SpreadFamily {
  const earlier = spreadFamilies.get(name);
  if (earlier !== undefined) return earlier;
  const kept = new Map<string, { counts: number[]; sum: number }>();

  function read(): { labels: Record<string, string | number>; value: number; metricName: string }[] {
    return [...kept].flatMap(([label, { counts, sum }]) => {
      const labels = { [labelName]: label };
      let count = 0;
      const bars = counts.map((more, i) => {
        count += more;
        return { labels: { le: buckets[i] ?? '+Inf', ...labels }, value: count, metricName: `${name}_bucket` };
      });
      return [
        ...bars,
        { labels, value: sum, metricName: `${name}_sum` },
        { labels, value: count, metricName: `${name}_count` },
      ];
    });
  }

  // Of a metric the registry asks nothing but its name and what it has to tell; its types ask for one of its own classes.
  const metric = { name, get: async () => ({ name, help, type: 'histogram', aggregator: 'sum', values: read() }) };
  registry.registerMetric(metric as unknown as Histogram);
  const family: SpreadFamily = (label) => {
    const spread = kept.get(label) ?? { counts: [...buckets.map(() => 0), 0], sum: 0 };
    kept.set(label, spread);
    return {
      observe(value) {
        let place = 0;
        while (place < buckets.length && value > (buckets[place] ?? 0)) place += 1;
        spread.counts[place] = (spread.counts[place] ?? 0) + 1;
        spread.sum += value;
      },
    };
  };
  spreadFamilies.set(name, family);
  return family;
}

function known<M>(name: string): M | undefined {
  // The registry forgets the metric's kind; a name is used for one kind only, which prom-client itself does not check.
  return registry.getSingleMetric(name) as M | undefined;
}
