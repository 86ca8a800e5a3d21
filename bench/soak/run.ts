// A soak from the first token to the verdict: a system of its own, mixed traffic with faults for as long as was asked, then
// rest, and the comparison of what is left with what was there. The command line is in ../soak.ts; tests call this directly.
import { createStockStore } from '../../actors/stock-store.ts';
import { sleep, systemClock } from '../../core/clock.ts';
import { PARTITIONS } from '../../core/constants.ts';
import { messageOf } from '../../core/errors.ts';
import { freePort } from '../../core/services/ports.ts';
import { createDice } from '../../scripts/rush/seeded.ts';
import type { Target } from '../../scripts/rush/target.ts';
import { runAudit } from '../../shop/admin/admin.ts';
import { createEpochRecord } from '../../shop/orders/orders.ts';
import { openStage, type Stage } from '../stage.ts';
import { holdRush, holdSmallSale, type MarketSize, type Tally } from './market-day.ts';
import { createMischief } from './mischief.ts';
import { comeToRest } from './rest.ts';
import { openTelemetry, type Sample, type Telemetry } from './telemetry.ts';
import { type Check, judge } from './verdict.ts';

export interface SoakOptions {
  seconds: number;
  seed: number;
  hasFaults: boolean;
  size: MarketSize;
  rushLanes: number;
  faultEveryMs: number;
  sampleEveryMs: number;
  /** Compares memory over time; a run of seconds is too short for that. */
  isMemoryJudged: boolean;
  /** One wave of traffic before the start is looked at: what is opened at first use and kept is then there already. */
  isWarmedUp: boolean;
}

export interface SoakReport {
  readonly isOk: boolean;
  readonly seed: number;
  readonly seconds: number;
  readonly sales: number;
  readonly buyers: number;
  /** Answers by HTTP status; 0 for none. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly faults: readonly string[];
  readonly checks: readonly Check[];
  readonly samples: readonly Sample[];
  readonly settledMs: number;
}

export const USUAL: Omit<SoakOptions, 'seconds' | 'seed' | 'hasFaults'> = {
  size: { buyers: 150, people: 60, arrivalMs: 8_000, holdSeconds: 3 },
  rushLanes: 2,
  faultEveryMs: 12_000,
  sampleEveryMs: 3_000,
  isMemoryJudged: true,
  isWarmedUp: true,
};

/** Processes are killed in this part of the traffic; in the rest only what leaves them alive, so that memory can be compared. */
const KILLING_SHARE = 0.5;
/** BullMQ's own for each of the shop's queues: its id, its options, its events, its marker, the mark of its last check. */
const QUEUE_KEYS_MAX = 5 * 6;

interface Surroundings {
  say: (line: string) => void;
  signal: AbortSignal;
}

export async function runSoak(options: SoakOptions, { say, signal }: Surroundings): Promise<SoakReport> {
  const choices = { apiProcesses: 2, workerMetricsPort: await freePort() };
  const stage = await openStage(say, signal, choices);
  const telemetry = openTelemetry(stage, performance.now());
  try {
    return await soak(stage, telemetry, options, { say, signal });
  } finally {
    say('stopping the system');
    await telemetry.close();
    await stage.close();
  }
}

async function soak(
  stage: Stage,
  telemetry: Telemetry,
  options: SoakOptions,
  { say, signal }: Surroundings,
): Promise<SoakReport> {
  const tally: Tally = { statuses: {}, sales: 0, buyers: 0, problems: [] };
  const target = asTarget(stage);
  if (options.isWarmedUp) {
    say('warming up: what is opened at first use is opened');
    await playTraffic(target, { ...options, seconds: 1 }, tally, signal);
  }
  const { rest: start } = await comeToRest(telemetry, { isCold: !options.isWarmedUp, before: undefined }, signal);

  say(`${options.seconds} s of traffic${options.hasFaults ? ' with faults' : ''}, seed ${options.seed}`);
  const watching = watch(telemetry, options.sampleEveryMs, say);
  const mischief = options.hasFaults ? makeTrouble(stage, options, say) : undefined;
  const startedAt = performance.now();
  await playTraffic(target, options, tally, signal);
  const faults = (await mischief?.stop()) ?? [];
  const samples = await watching.stop();

  say('coming to rest');
  const { rest: end, tookMs } = await comeToRest(telemetry, { isCold: false, before: start }, signal);
  const calmFrom = (samples[0]?.atMs ?? 0) + (performance.now() - startedAt) * (KILLING_SHARE + 0.1);
  const evidence = {
    ...{ start, end, kept: await countKept(stage), audit: await auditAll(stage), problems: tally.problems },
    calm: options.isMemoryJudged ? samples.filter(({ atMs }) => atMs >= calmFrom) : [],
  };
  const checks = judge(evidence);
  const { statuses, sales, buyers } = tally;
  const isOk = checks.every((check) => check.isOk);
  const { seed, seconds } = options;
  return { isOk, seed, seconds, sales, buyers, statuses, faults, checks, samples, settledMs: Math.round(tookMs) };
}

function asTarget(stage: Stage): Target {
  const { url, config } = stage;
  const processes = (): { name: string; pid: number }[] => [...stage.processes()];
  return {
    url,
    config,
    sandboxUrl: config.stripe.apiBase ?? null,
    isOwn: true,
    processes,
    leave: async () => undefined,
  };
}

/** Lanes that hold one sale after the other until the time is up; the last of them are played to their end. */
async function playTraffic(target: Target, options: SoakOptions, tally: Tally, signal: AbortSignal): Promise<void> {
  const until = performance.now() + options.seconds * 1_000;
  const { size } = options;
  const dice = createDice(options.seed);
  const lane = async (hold: () => Promise<void>): Promise<void> => {
    do {
      await hold().catch((error: unknown) => tally.problems.push(`a sale could not be held: ${messageOf(error)}`));
    } while (performance.now() < until && !signal.aborted);
  };
  const rushes = Array.from({ length: options.rushLanes }, () =>
    lane(() => holdRush(target, size, dice, tally, signal)),
  );
  await Promise.all([...rushes, lane(() => holdSmallSale(target, size, dice, tally))]);
  signal.throwIfAborted();
}

function watch(telemetry: Telemetry, everyMs: number, say: (line: string) => void): { stop(): Promise<Sample[]> } {
  const samples: Sample[] = [];
  const stopping = new AbortController();
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      const sample = await telemetry.sample();
      samples.push(sample);
      if (samples.length % 20 === 0)
        say(`${Math.round(sample.atMs / 1_000)} s, ${sample.redisKeys ?? '?'} keys in Redis`);
      await sleep(everyMs, stopping.signal);
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await watching;
      return samples;
    },
  };
}

function makeTrouble(stage: Stage, options: SoakOptions, say: (line: string) => void): { stop(): Promise<string[]> } {
  const mischief = createMischief(stage, createDice(options.seed + 1));
  const struck: string[] = [];
  const stopping = new AbortController();
  const startedAt = performance.now();
  const striking = (async () => {
    for (;;) {
      await sleep(options.faultEveryMs, stopping.signal);
      const elapsedShare = (performance.now() - startedAt) / (options.seconds * 1_000);
      // The sales that are still on are played to their end in peace.
      if (stopping.signal.aborted || elapsedShare > 1) return;
      const what = await (elapsedShare < KILLING_SHARE ? mischief.strike() : mischief.strikeGently());
      struck.push(`${Math.round((performance.now() - startedAt) / 1_000)} s: ${what}`);
      say(what);
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await striking;
      await mischief.relent();
      return struck;
    },
  };
}

/** Redis keeps purchases, and what their sale needs to answer retries, until a day after it closed; and some keys for ever. */
async function countKept(stage: Stage): Promise<Record<string, number>> {
  const { rows } = await stage.postgres.query<{ purchases: number; sales: number; items: number }>(
    `SELECT (SELECT count(*) FROM purchases)::int AS purchases, (SELECT count(*) FROM sales)::int AS sales,
            (SELECT count(*) FROM sale_items)::int AS items`,
    [],
  );
  const { purchases = 0, sales = 0, items = 0 } = rows[0] ?? {};
  // Two restocks for each small sale at most; a sale has a list of tickets and counts once somebody came.
  const ofSales = { sale: sales, stock: items, tickets: items, lots: items, operation: sales * 2 };
  // One a partition: its position, its stream, its SKUs, and the times at which what is kept will be purged.
  const ofPartitions = { fence: PARTITIONS, outbox: PARTITIONS, skus: PARTITIONS, schedule: PARTITIONS };
  return { purchases, queue: QUEUE_KEYS_MAX, ...ofSales, ...ofPartitions };
}

async function auditAll(stage: Stage): Promise<string[]> {
  try {
    const stock = createStockStore({ redis: stage.redis });
    await stock.attach(createEpochRecord(stage.postgres));
    const report = await runAudit({ postgres: stage.postgres, redis: stage.redis, stock, clock: systemClock });
    const pending = report.pending > 0 ? [`${report.pending} things could not be judged`] : [];
    return [...report.differences.map(({ code, message }) => `${code}: ${message}`), ...pending];
  } catch (error) {
    return [`the audit could not be made: ${messageOf(error)}`];
  }
}
