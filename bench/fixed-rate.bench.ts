// What does a buyer wait when the door is not at its end? An open loop at 60 % of what it takes at that moment, where a
// latency counts from when a request was due. Before it, in closed loops: few connections, and autocannon as the sender,
// which tells every answer by its status and costs the servers what it takes of their processor.
import { BARE_CONNECTIONS } from './baselines/bare.ts';
import type { Bench, Finding, Row } from './bench.ts';
import { type Contender, contenderOf } from './contender.ts';
import { gatherCrowd, purchaseWishes } from './load/crowd.ts';
import type { Generator } from './load/generator.ts';
import { runOpenLoop } from './load/open-loop.ts';
import { describeSpent, watchProcessorTime } from './load/processor-time.ts';
import { buyersFor, runSale } from './load/sale-run.ts';

const STEADY_SHARE = 0.6;
const SPARE_UNITS = 100;
const FULL = { seconds: 4, steadySeconds: 6 };
const QUICK = { seconds: 1, steadySeconds: 0.5 };
const FEW_CONNECTIONS = 64;

type Sizes = typeof FULL;

export const fixedRate: Bench = {
  name: 'fixed-rate',
  question: 'accepted purchases at a fixed rate, latency from when each was due; over few connections; by autocannon',
  async run({ isQuick, say, stage, bare, generators }) {
    const sizes = isQuick ? QUICK : FULL;
    const contender = contenderOf(await stage());
    const { main, autocannon } = generators;
    const few = await runReached(contender, main, FEW_CONNECTIONS, sizes);
    say('by autocannon');
    const reference = await bare(autocannon);
    const slow = await runReached(contender, autocannon, BARE_CONNECTIONS, sizes, reference.perSecond);
    const perSecond = Math.round((slow.rows[0]?.perSecond ?? 0) * STEADY_SHARE);
    say(`${perSecond}/s`);
    const steady = await runSteady(contender, perSecond, sizes.steadySeconds);
    const findings = [few, slow, steady];
    return {
      rows: findings.flatMap(({ rows }) => rows),
      notes: [
        `The ratio is over bare uWebSockets.js by autocannon in this moment, ${Math.round(reference.perSecond)}/s.`,
        'The fixed rate is sent by a loop of our own in Node, whose processor time is told as the generator.',
      ],
      problems: [...findings.flatMap(({ problems }) => problems), ...reference.problems],
    };
  },
};

async function runReached(
  contender: Contender,
  generator: Generator,
  connections: number,
  { seconds }: Sizes,
  bareRate?: number,
): Promise<Finding> {
  const buyers = buyersFor(contender.perSecondMax, seconds);
  const run = await runSale(contender, { title: 'few connections', generator, connections, seconds, buyers });
  const row: Row = {
    ...{ what: `201, ${connections} connections, ${generator.name}`, perSecond: run.burst, count: run.accepted },
    ...{ latencies: run.latencies, refused: run.refused, note: describeSpent(run.spent, run.accepted) },
    ...(bareRate === undefined ? {} : { ratio: run.burst / bareRate }),
  };
  return { rows: [row], problems: run.problems };
}

async function runSteady(contender: Contender, perSecond: number, seconds: number): Promise<Finding> {
  const amount = Math.max(1, Math.round(perSecond * seconds));
  const tokens = await gatherCrowd(amount, contender.jwtSecret);
  const offer = await contender.openSale('fixed rate', amount + SPARE_UNITS);
  const wishes = purchaseWishes(tokens, offer);
  const watch = watchProcessorTime(contender.processes());
  const load = await runOpenLoop({ url: contender.url, connections: BARE_CONNECTIONS, perSecond, wishes });
  const { '201': acknowledged = 0, ...others } = load.statuses;
  const problems = await contender.inspect(offer, acknowledged, 0);
  if (load.lost > 0 || Object.keys(others).length > 0)
    problems.push(`${offer.saleId}: with stock for all, ${JSON.stringify({ ...others, lost: load.lost })}`);
  const row = {
    ...{ what: `201, ${perSecond}/s due, latency from then`, perSecond: null, count: acknowledged, refused: others },
    latencies: load.latencies,
    note: describeSpent({ ...watch.spent(), generator: load.generatorMs }, load.answered),
  };
  return { rows: [row], problems };
}
