// What is left of it when ten times more comes than it can take? First the most purchases a second that it accepts, offered
// ever faster; then ten times that, in an open loop over as many connections as one process serves; then little again.
// Goodput, the kinds of answers, memory and the time until it serves as before are the result; latencies count from sending.
import type { Bench, Finding, Row, Surroundings } from './bench.ts';
import { gatherCrowd } from './load/crowd.ts';
import { type Flood, openFlood } from './load/flood.ts';
import { type FloodResult, TIMELINE_MS } from './load/flood-order.ts';
import { halves, type MemorySeries, watchMemory } from './load/memory-watch.ts';
import { type Offer, openStage, type Stage } from './stage.ts';

interface Sizes {
  buyers: number;
  /** Offered one after the other until more brings no more. */
  steps: readonly number[];
  stepSeconds: number;
  peakConnections: number;
  overloadSeconds: number;
  overloadConnections: number;
  afterSeconds: number;
}

/** A process of ours may open 20,000 files on the usual machine: the door answers up to 16,000 connections and ends them beyond. */
const FULL: Sizes = {
  buyers: 20_000,
  steps: [3_000, 5_000, 7_000, 9_000, 12_000, 16_000, 24_000],
  stepSeconds: 4,
  peakConnections: 1_024,
  overloadSeconds: 12,
  overloadConnections: 15_000,
  afterSeconds: 5,
};
const QUICK: Sizes = {
  buyers: 500,
  steps: [400],
  stepSeconds: 1,
  peakConnections: 64,
  overloadSeconds: 1,
  overloadConnections: 256,
  afterSeconds: 1,
};

const TIMES = 10;
const AFTER_SHARE = 0.4;
/** More in the second half of an overload than this times what it was in the first: then it has no bound. */
const MEMORY_GROWTH_MAX = 1.25;
const RECOVERY_MAX_MS = 10_000;
/** Connections opened, code warm: what is counted as goodput begins after it. */
const RAMP_MS = 1_500;
const PATIENCE_MS = 2_000;
/** Longer than a request's own deadline. */
const ANSWER_LIMIT_MS = 6_000;
const STOCK = 2_000_000;
const GENERATORS = 2;

interface Scene {
  stage: Stage;
  flood: Flood;
  tokens: readonly string[];
  sizes: Sizes;
}

interface Wave {
  perSecond: number;
  seconds: number;
  connections: number;
}

interface Ridden {
  readonly offer: Offer;
  readonly result: FloodResult;
  readonly goodput: number;
  readonly problems: readonly string[];
}

export const overload: Bench = {
  name: 'overload',
  question: 'ten times more purchases than it can take: what is still accepted, and how it recovers',
  async run(surroundings) {
    const { isQuick, say, signal } = surroundings;
    const sizes = isQuick ? QUICK : FULL;
    // Of its own: what other benches leave in Redis and Postgres would be part of the load.
    const stage = await openStage(say, signal);
    say(`signing ${sizes.buyers} tokens`);
    const tokens = await gatherCrowd(sizes.buyers, stage.config.jwtSecret);
    const flood = await openFlood(GENERATORS);
    try {
      return await runWaves({ stage, flood, tokens, sizes }, surroundings);
    } finally {
      flood.close();
      await stage.close();
    }
  },
};

async function runWaves(scene: Scene, { isQuick, say }: Surroundings): Promise<Finding> {
  const { stage, sizes } = scene;
  const peak = await findPeak(scene, say);
  const offered = Math.round(peak.goodput * TIMES);
  say(`${offered}/s for ${sizes.overloadSeconds} s over ${sizes.overloadConnections} connections`);
  const watch = watchMemory(() => stage.processes(), stage.redis);
  const wave = { perSecond: offered, seconds: sizes.overloadSeconds, connections: sizes.overloadConnections };
  const flooded = await ride(scene, 'overload', wave);
  const memory = watch.stop();
  const backlog = await stage.backlog(flooded.offer);
  const quiet = Math.round(peak.goodput * AFTER_SHARE);
  say(`afterwards: ${quiet}/s`);
  const after = await ride(scene, 'after', {
    perSecond: quiet,
    seconds: sizes.afterSeconds,
    connections: sizes.peakConnections,
  });
  say(`the peak once more: ${peak.perSecond}/s`);
  const again = await ride(scene, 'peak, again', peakWave(sizes, peak.perSecond));
  // What else the machine does changes while this runs: the overload is held against what was reached before and after it.
  const share = flooded.goodput / ((peak.goodput + again.goodput) / 2);
  const recoveryMs = lastRejectionMs(flooded.result) - sizes.overloadSeconds * 1_000;
  const shortfalls = isQuick ? [] : judge({ recoveryMs, after, memory });
  return {
    rows: [
      { ...rowOf(peak, `peak, ${peak.perSecond}/s offered`), ratio: 1 },
      { ...rowOf(again, `peak again, ${peak.perSecond}/s offered`), ratio: again.goodput / peak.goodput },
      { ...rowOf(flooded, `overload, ${offered}/s offered`), ratio: share, note: describeFlood(flooded.result) },
      { ...rowOf(after, `afterwards, ${quiet}/s offered`), ratio: after.goodput / quiet },
    ],
    notes: [
      'The ratio of the overload is over the mean of both peaks, that of the time afterwards over what was offered.',
      `The last rejection came ${Math.max(0, Math.round(recoveryMs))} ms after the last request fell due; outbox then ${backlog} records behind.`,
      `Memory in MB, largest in the first and in the second half of the overload: ${describeMemory(memory)}`,
    ],
    ...(isQuick ? {} : { measures: { 'overload.goodput': share } }),
    problems: [...peak.problems, ...flooded.problems, ...after.problems, ...again.problems, ...shortfalls],
  };
}

function peakWave({ stepSeconds, peakConnections }: Sizes, perSecond: number): Wave {
  return { perSecond, seconds: stepSeconds, connections: peakConnections };
}

/** Ever faster, until more offered is not more accepted. */
async function findPeak(scene: Scene, say: Surroundings['say']): Promise<Ridden & { perSecond: number }> {
  const { steps } = scene.sizes;
  const problems: string[] = [];
  let best: (Ridden & { perSecond: number }) | undefined;
  let stepsWithoutGain = 0;
  for (const perSecond of steps) {
    const ridden = await ride(scene, `${perSecond}/s`, peakWave(scene.sizes, perSecond));
    problems.push(...ridden.problems);
    say(`${perSecond}/s offered: ${Math.round(ridden.goodput)}/s accepted`);
    stepsWithoutGain = ridden.goodput > (best?.goodput ?? 0) * 1.05 ? 0 : stepsWithoutGain + 1;
    if (ridden.goodput > (best?.goodput ?? 0)) best = { ...ridden, perSecond };
    if (stepsWithoutGain === 2) break;
  }
  if (best === undefined) throw new Error('no purchase was accepted at any rate');
  return { ...best, problems };
}

/** One wave against a sale of its own, and what contradicts that it was answered as it must be. */
async function ride({ stage, flood, tokens }: Scene, title: string, wave: Wave): Promise<Ridden> {
  // A buyer may buy a hundred times: so many signed tokens would take longer than the bench.
  const offer = await stage.openSale(`overload, ${title}`, STOCK, { perBuyerLimit: 100 });
  const { hostname, port } = new URL(stage.url);
  const result = await flood.run({
    host: hostname,
    port: Number(port),
    path: `/api/v1/sales/${offer.saleId}/purchases`,
    body: JSON.stringify({ sku: offer.sku, quantity: 1 }),
    tokens,
    perSecond: wave.perSecond,
    seconds: wave.seconds,
    maxConnections: wave.connections,
    patienceMs: PATIENCE_MS,
    answerLimitMs: ANSWER_LIMIT_MS,
  });
  const { '201': acknowledged = 0, '503': refused = 0, '429': slowed = 0, ...strange } = result.statuses;
  const problems = await stage.inspect(offer, acknowledged, result.unanswered);
  if (Object.keys(strange).length > 0) problems.push(`${title}: answers that must not be: ${JSON.stringify(strange)}`);
  if (result.withoutRetryAfter > 0)
    problems.push(`${title}: ${result.withoutRetryAfter} of ${refused + slowed} rejections without Retry-After`);
  return { offer, result, problems, goodput: goodputOf(result, wave.seconds) };
}

/** Accepted a second while requests fell due, but for the ramp. */
function goodputOf({ timeline }: FloodResult, seconds: number): number {
  const from = Math.min(RAMP_MS, seconds * 250) / TIMELINE_MS;
  const moments = timeline.slice(from, (seconds * 1_000) / TIMELINE_MS);
  return moments.reduce((sum, { accepted }) => sum + accepted, 0) / ((moments.length * TIMELINE_MS) / 1_000);
}

function lastRejectionMs({ timeline }: FloodResult): number {
  return (timeline.findLastIndex(({ rejected }) => rejected > 0) + 1) * TIMELINE_MS;
}

function judge(seen: { recoveryMs: number; after: Ridden; memory: MemorySeries }): string[] {
  const { recoveryMs, after, memory } = seen;
  const problems: string[] = [];
  if (recoveryMs > RECOVERY_MAX_MS) problems.push(`rejections went on for ${recoveryMs} ms after the load had fallen`);
  const { '201': _, ...refused } = after.result.statuses;
  if (Object.keys(refused).length > 0) problems.push(`afterwards it still refused: ${JSON.stringify(refused)}`);
  for (const [name, values] of Object.entries(memory.series)) {
    const { first, second } = halves(values);
    // Redis keeps every purchase for a day, and that is its purpose; the processes keep none.
    if (!name.startsWith('redis') && second > first * MEMORY_GROWTH_MAX + 32)
      problems.push(`${name} grew from ${Math.round(first)} to ${Math.round(second)} MB`);
  }
  return problems;
}

function rowOf({ result, goodput }: Ridden, what: string): Row {
  const { '201': accepted = 0, ...refused } = result.statuses;
  const gone = { 'gave up unsent': result.neverSent, 'without an answer': result.unanswered };
  const others = Object.fromEntries(Object.entries({ ...refused, ...gone }).filter(([, count]) => count > 0));
  return { what, perSecond: goodput, count: accepted, latencies: result.fromSent, refused: others };
}

function describeFlood({ offered, sent, connections, closed, generatorMs, wallMs, fromDue }: FloodResult): string {
  const share = ((sent / offered) * 100).toFixed(0);
  return [
    `${offered} fell due, ${sent} were sent (${share} %: who finds no free connection for ${PATIENCE_MS / 1_000} s gives up)`,
    `${connections} connections, ${closed} closed by the door`,
    `from when they were due p99 ${Math.round(fromDue.p99)} ms`,
    `${GENERATORS} generators at low priority used ${(generatorMs / wallMs).toFixed(2)} cores`,
  ].join('; ');
}

function describeMemory({ series }: MemorySeries): string {
  return Object.entries(series)
    .map(([name, values]) => `${name} ${Math.round(halves(values).first)} → ${Math.round(halves(values).second)}`)
    .join(', ');
}
