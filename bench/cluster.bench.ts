// Does the same code run on a Redis Cluster, what does a purchase cost there, and does the load spread over its masters? And one
// SKU that outgrows a Redis: in one bucket, and split over as many as there are masters. One Redis and three masters in turn, in
// one run. On two cores nothing can be gained by more processes: what is shown is that it works, evenly, and at what price.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bucketIds } from '../actors/buckets.ts';
import { keys } from '../actors/keys.ts';
import { PARTITIONS } from '../core/constants.ts';
import { partitionOf } from '../core/ids.ts';
import { nodeOf } from '../core/redis/redis.ts';
import { ensureRedis } from '../core/services/redis-binary.ts';
import { startRedisCluster } from '../core/services/redis-cluster.ts';
import type { Service } from '../core/services/service.ts';
import type { Bench, Finding, Row, Surroundings } from './bench.ts';
import { runSpread, type SpreadRun } from './cluster/spread-run.ts';
import { describeSpent } from './load/processor-time.ts';
import { buyersFor } from './load/sale-run.ts';
import { median, spread } from './spread.ts';
import { type Offer, openStage, type Stage } from './stage.ts';

const MASTERS = 3;
const CONNECTIONS = 512;
const SALES_MAX = 200;
/** For every run: a buyer buys once in a sale, and comes to the next run under another name. */
const STOCK = 5_000_000;
/** Before anything is known: a crowd that has all bought begins again from its first, and is refused. */
const FIRST_PER_SECOND_MAX = 60_000;
const FULL = { rounds: 2, seconds: 3, warmUpSeconds: 1 };
const QUICK = { rounds: 1, seconds: 1, warmUpSeconds: 1 };

interface Lane {
  readonly name: string;
  readonly stage: Stage;
  readonly masters: readonly Service[];
  readonly offers: readonly Offer[];
  readonly runs: SpreadRun[];
}

export const cluster: Bench = {
  name: 'cluster',
  question: 'a Redis Cluster of three masters against one Redis; one SKU in one bucket against three',
  async run(surroundings) {
    const { say } = surroundings;
    try {
      const program = await ensureRedis(say);
      const three = await startRedisCluster({ program, directory: newDirectory(), masters: MASTERS, tags: TAGS });
      leaving.push(() => three.stop());
      const stopping = new AbortController();
      leaving.push(() => stopping.abort());
      const onThree = await openStage(say, stopping.signal, { redisUrl: three.url });
      leaving.push(() => onThree.close());
      return await compareAll(await surroundings.stage(), onThree, three.masters, surroundings);
    } finally {
      await closeCluster();
    }
  },
};

const TAGS = Array.from({ length: PARTITIONS }, (_, partition) => keys.fence(partition));
/** What is open, in the order in which it was opened. */
const leaving: (() => unknown)[] = [];

/** Also for a run that is stopped in the middle. */
export async function closeCluster(): Promise<void> {
  while (leaving.length > 0) await leaving.pop()?.();
}

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'doorbuster-cluster-'));
  leaving.push(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
  return directory;
}

async function compareAll(
  one: Stage,
  three: Stage,
  masters: readonly Service[],
  { isQuick, generators, say }: Surroundings,
): Promise<Finding> {
  const sizes = isQuick ? QUICK : FULL;
  const lane = (name: string, stage: Stage, offers: readonly Offer[]): Lane => ({
    ...{ name, stage, offers, runs: [] },
    masters: stage === three ? masters : [],
  });
  const lanes = [
    lane('one Redis, a sale in each partition', one, await saleInEach(one)),
    lane('three masters, a sale in each partition', three, await saleInEach(three)),
    lane('one Redis, one SKU', one, [await one.openSale('one SKU', STOCK)]),
    lane('three masters, one SKU, one bucket', three, [await three.openSale('one SKU', STOCK)]),
    lane('three masters, one SKU, three buckets', three, [await splitSale(three)]),
  ];
  const problems: string[] = [];
  for (let round = 0; round <= sizes.rounds; round += 1) {
    for (const { name, stage, offers, runs, masters: servers } of lanes) {
      const seconds = round === 0 ? sizes.warmUpSeconds : sizes.seconds;
      const buyers = buyersFor(runs[0] === undefined ? FIRST_PER_SECOND_MAX : runs[0].burst * 1.5, seconds);
      const order = { title: name, stage, generator: generators.main, connections: CONNECTIONS, seconds, buyers };
      const run = await runSpread({ ...order, masters: servers, offers });
      say(`  ${name}: ${Math.round(run.burst)}/s, ${Math.round(run.sustained)}/s to the last order`);
      runs.push(run);
      problems.push(...run.problems);
    }
  }
  const measured = lanes.map(({ name, runs }) => ({ name, runs: runs.slice(1) }));
  return {
    rows: measured.map(({ name, runs }, i) => toRow(name, runs, measured[i < 2 ? 0 : 2]?.runs ?? [])),
    notes: [
      `By ${generators.main.name} over ${CONNECTIONS} connections; accepted a second until the last order row, over one Redis.`,
      'All processes share this machine: three masters cannot be faster than one here. The partitions are 3, 2 and 3 a master.',
    ],
    problems,
  };
}

function toRow(what: string, runs: readonly SpreadRun[], reference: readonly SpreadRun[]): Row {
  const sustained = runs.map((run) => run.sustained);
  const typical = runs.toSorted((a, b) => a.sustained - b.sustained)[Math.floor((runs.length - 1) / 2)];
  const spent = sumSpent(runs);
  const accepted = runs.reduce((sum, run) => sum + run.accepted, 0);
  const { least, most } = spread(sustained);
  return {
    what,
    perSecond: median(sustained),
    count: accepted,
    ratio: median(sustained) / median(reference.map((run) => run.sustained)),
    ...(typical === undefined ? {} : { latencies: typical.latencies }),
    note: `${Math.round(least)} to ${Math.round(most)}/s; ${describeSpent(spent, accepted)}`,
  };
}

function sumSpent(runs: readonly SpreadRun[]): Record<string, number> {
  const sums: Record<string, number> = { all: 0 };
  for (const { spent } of runs) {
    for (const [name, ms] of Object.entries(spent)) {
      sums[name] = (sums[name] ?? 0) + ms;
      sums['all'] = (sums['all'] ?? 0) + ms;
    }
  }
  return sums;
}

/** Where a sale lives is drawn by lot: as many are made as it takes. */
async function saleInEach(stage: Stage): Promise<Offer[]> {
  const found = new Map<number, Offer>();
  for (let i = 0; i < SALES_MAX && found.size < PARTITIONS; i += 1) {
    const offer = await stage.openSale('spread', STOCK);
    found.set(partitionOf(offer.saleId) ?? -1, offer);
  }
  if (found.size < PARTITIONS) throw new Error(`${SALES_MAX} sales are in ${found.size} partitions only`);
  return [...found.values()];
}

/** A bucket on each master. */
async function splitSale(stage: Stage): Promise<Offer> {
  for (let i = 0; i < SALES_MAX; i += 1) {
    const offer = await stage.openSale('one SKU, split', STOCK, { buckets: MASTERS });
    const ports = bucketIds(offer.saleId).map(
      (id) => nodeOf(stage.redis, keys.fence(partitionOf(id) ?? 0)).options.port,
    );
    if (new Set(ports).size === MASTERS) return offer;
  }
  throw new Error(`none of ${SALES_MAX} sales has its buckets on ${MASTERS} masters`);
}
