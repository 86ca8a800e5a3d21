// What does the late crowd cost? Purchases of a SKU of which nothing is left: without a key the door answers from its
// memory, with a key it asks Redis, because that buyer may have been answered before. Each purchase by another buyer;
// bare uWebSockets.js and the script-per-request baseline in turn with ours. Nothing may change. Two API processes, since there
// is no work here but the door's: one would leave the second core to the generator.
import { availableParallelism } from 'node:os';
import { BARE_CONNECTIONS, type BareRun } from './baselines/bare.ts';
import { openScriptPerRequest } from './baselines/script-per-request/script-per-request.ts';
import type { Bench, Finding, Row, Surroundings } from './bench.ts';
import { type Contender, contenderOf } from './contender.ts';
import { gatherCrowd, purchaseWishes, type Wish } from './load/crowd.ts';
import type { Generator, LoadOutcome } from './load/generator.ts';
import { describeSpent, watchProcessorTime } from './load/processor-time.ts';
import { median, spread } from './spread.ts';
import { type Offer, openStage } from './stage.ts';

const API_PROCESSES = 2;
const FULL = { rounds: 3, seconds: 4, tokens: 200_000 };
const QUICK = { rounds: 1, seconds: 1, tokens: 5_000 };

interface Lane {
  readonly what: string;
  readonly contender: Contender;
  readonly offer: Offer;
  readonly wishes: readonly Wish[];
  readonly runs: { outcome: LoadOutcome; spent: Record<string, number> }[];
}

export const soldOut: Bench = {
  name: 'sold-out',
  question: 'purchases of a SKU that is sold out: answered from memory, and by Redis; and one script per request',
  async run(surroundings) {
    const { isQuick, say, signal } = surroundings;
    const sizes = isQuick ? QUICK : FULL;
    const baseline = await openScriptPerRequest(say);
    const stage = await openStage(say, signal, { apiProcesses: API_PROCESSES });
    try {
      const ours = contenderOf(stage);
      say(`signing ${sizes.tokens} tokens`);
      const tokens = await gatherCrowd(sizes.tokens, ours.jwtSecret);
      const strangers = await gatherCrowd(Math.ceil(sizes.tokens / 5), baseline.jwtSecret);
      const lanes = [
        await openLane('doorbuster, from memory (no key)', ours, tokens, false),
        await openLane('doorbuster, from Redis (with a key)', ours, tokens, true),
        await openLane('script per request', baseline, strangers, false),
      ];
      return await runRounds(lanes, sizes, surroundings);
    } finally {
      await stage.close();
      await baseline.close();
    }
  },
};

async function openLane(what: string, contender: Contender, tokens: readonly string[], hasKey: boolean): Promise<Lane> {
  // Nothing loaded is nothing left: `quantity > loaded - sold` from the first purchase on, the same answer by the same way.
  const offer = await contender.openSale(`sold out, ${hasKey ? 'with' : 'without'} a key`, 0);
  return { what, contender, offer, wishes: purchaseWishes(tokens, offer, { hasKey }), runs: [] };
}

async function runRounds(
  lanes: readonly Lane[],
  { rounds, seconds }: { rounds: number; seconds: number },
  { bare, generators, say }: Surroundings,
): Promise<Finding> {
  const problems: string[] = [];
  const bareRates: number[] = [];
  const bareCores: number[] = [];
  // The exact kinds of answers once, by the generator that tells them apart; it warms, too.
  for (const lane of lanes) problems.push(...(await tellKinds(lane, generators.autocannon)));
  for (let round = 1; round <= rounds; round += 1) {
    const reference = await bare();
    bareRates.push(reference.perSecond);
    bareCores.push(coresOf(reference));
    problems.push(...reference.problems);
    for (const { what, contender, wishes, runs } of lanes) {
      const watch = watchProcessorTime(contender.processes());
      const load = { url: contender.url, connections: BARE_CONNECTIONS, seconds, wishes };
      const outcome = await generators.main.run(load);
      runs.push({ outcome, spent: { ...watch.spent(), [generators.main.name]: outcome.generatorMs } });
      say(`round ${round} of ${rounds}: ${what}: ${Math.round(outcome.refused / outcome.seconds)}/s`);
      if (outcome.accepted > 0 || outcome.lost > 0)
        problems.push(`${what}: ${outcome.accepted} were accepted and ${outcome.lost} lost`);
    }
  }
  for (const { contender, offer } of lanes) problems.push(...(await contender.inspect(offer, 0, 0)));
  const rows = lanes.map((lane) => toRow(lane, median(bareRates)));
  return {
    rows,
    measures: { 'soldOut.overBare': rows[0]?.ratio ?? 0 },
    notes: [
      `All by ${generators.main.name} over ${BARE_CONNECTIONS} connections, medians of ${rounds} rounds. The target is that without a key.`,
      `Ours has ${API_PROCESSES} API processes, bare uWebSockets.js one: it and its generator took ${median(bareCores).toFixed(2)} of this machine's ${availableParallelism()} cores.`,
    ],
    problems,
  };
}

function coresOf({ spent, count, perSecond }: BareRun): number {
  return Object.values(spent).reduce((sum, ms) => sum + ms, 0) / 1_000 / (count / perSecond);
}

async function tellKinds({ what, contender, wishes }: Lane, by: Generator): Promise<string[]> {
  const { statuses } = await by.run({ url: contender.url, connections: 64, seconds: 1, wishes });
  const kinds = Object.keys(statuses ?? {});
  return kinds.length === 1 && kinds[0] === '409'
    ? []
    : [`${what}: all should be 409, but ${JSON.stringify(statuses)}`];
}

function toRow({ what, runs }: Lane, bare: number): Row & { ratio: number } {
  const rates = runs.map(({ outcome: { refused, seconds } }) => refused / seconds);
  const { least, most } = spread(rates);
  const typical = runs.toSorted((a, b) => a.outcome.refused - b.outcome.refused)[Math.floor((runs.length - 1) / 2)];
  const { latencies, refused = 1 } = typical?.outcome ?? {};
  return {
    ...{
      what: `409, ${what}`,
      perSecond: median(rates),
      count: runs.reduce((sum, { outcome }) => sum + outcome.refused, 0),
    },
    ratio: median(rates) / bare,
    bar: { group: 'Sold-out answers', label: what },
    note: `${Math.round(least)} to ${Math.round(most)}/s; ${describeSpent(typical?.spent ?? {}, refused)}`,
    ...(latencies === undefined ? {} : { latencies }),
  };
}
