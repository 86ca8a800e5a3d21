// How many purchases a second are accepted, each by another buyer, each a 201 that is on the disk when it is answered and an
// order in Postgres soon after? Ours, bare uWebSockets.js and the baselines in turn, several rounds; each with the same
// tokens, body and generator, each audited by its own books. Ratios are between medians.
import { BARE_CONNECTIONS } from './baselines/bare.ts';
import { openScriptPerRequest } from './baselines/script-per-request/script-per-request.ts';
import { openSeedDesign } from './baselines/seed-design/seed-design.ts';
import type { Bench, Finding, Surroundings } from './bench.ts';
import { type Contender, contenderOf, openTogether } from './contender.ts';
import { driveLane, type Lane, sustainedOf, toRange, toRows, warmLane } from './load/lane.ts';
import { median } from './spread.ts';

const FULL = { rounds: 3, connections: BARE_CONNECTIONS, seconds: 5, warmUpSeconds: 3 };
const QUICK = { rounds: 1, connections: 64, seconds: 2, warmUpSeconds: 0 };

export const accepted: Bench = {
  name: 'accepted',
  question: 'accepted purchases over HTTP: distinct buyers, 201, durable, until the last order row; and the baselines',
  async run(surroundings) {
    const { isQuick, say, stage } = surroundings;
    const ours = contenderOf(await stage());
    const baselines = await openTogether([
      openScriptPerRequest(say),
      openSeedDesign(say),
      // Told beside it, and of no target.
      ...(isQuick ? [] : [openScriptPerRequest(say, 'sync')]),
    ]);
    try {
      return await runRounds([ours, ...baselines], isQuick ? QUICK : FULL, surroundings);
    } finally {
      await Promise.all(baselines.map((baseline) => baseline.close()));
    }
  },
};

async function runRounds(
  contenders: readonly Contender[],
  { rounds, connections, seconds, warmUpSeconds }: typeof FULL,
  { say, bare, generators: { main: generator } }: Surroundings,
): Promise<Finding> {
  const problems: string[] = [];
  const lanes: Lane[] = [];
  for (const contender of contenders) {
    say(`${contender.name}: warm-up`);
    const warm = await warmLane(contender, { generator, connections, seconds: warmUpSeconds }, seconds);
    lanes.push(warm.lane);
    problems.push(...warm.problems);
  }
  const bareRates: number[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    const reference = await bare();
    problems.push(...reference.problems);
    bareRates.push(reference.perSecond);
    say(`round ${round} of ${rounds}: bare uWebSockets.js ${Math.round(reference.perSecond)}/s`);
    for (const lane of lanes) {
      const others = lanes.filter((other) => other !== lane);
      const run = await driveLane(lane, { generator, connections, seconds }, others);
      say(`  ${lane.contender.name}: ${Math.round(run.burst)}/s, ${Math.round(run.sustained)}/s to the last order`);
      problems.push(...run.problems);
    }
  }
  return { ...conclude(lanes, bareRates, `${generator.name} over ${connections} connections`), problems };
}

function conclude(lanes: readonly Lane[], bareRates: readonly number[], by: string): Omit<Finding, 'problems'> {
  const bareRate = median(bareRates);
  const [ours = 0, script = 0, seed = 0, withSyncCheck] = lanes.map(sustainedOf);
  const p99 = median(lanes[0]?.runs.map(({ latencies }) => latencies.p99) ?? []);
  const p50 = median(lanes[1]?.runs.map(({ latencies }) => latencies.p50) ?? []);
  return {
    rows: lanes.flatMap((lane) => toRows(lane, bareRate)),
    measures: {
      'accepted.overBare': ours / bareRate,
      'accepted.overSeedDesign': ours / seed,
      'accepted.overScriptPerRequest': ours / script,
      'accepted.p99OverScriptPerRequestP50': p99 / p50,
    },
    notes: [
      `All by ${by}, medians of ${bareRates.length} rounds; bare uWebSockets.js beside them: ${toRange(bareRates)}.`,
      'Ratios are of what was accepted a second until the last order row was there, for all alike.',
      ...(withSyncCheck === undefined
        ? []
        : [`Over the script per request with a synchronous token check it is ${(ours / withSyncCheck).toFixed(1)} ×.`]),
      'Generator, API, Redis, Postgres and workers share this machine; with one more core each, all of them gain.',
    ],
  };
}
