// How many purchases a second are accepted, each by another buyer, each a 201 that is on the disk when it is answered?
// First as many as can be (a closed loop), then at a fixed rate of 60 % of that, where a latency counts from the moment
// a request was due. Refusals would be shown apart; with stock for everybody there must be none.
import type { Bench, Finding, Row } from './bench.ts';
import { gatherCrowd, purchaseWishes } from './load/crowd.ts';
import { runClosedLoop } from './load/closed-loop.ts';
import { runOpenLoop } from './load/open-loop.ts';
import { describeSpent, watchProcessorTime } from './load/processor-time.ts';
import type { LoadResult } from './load/tally.ts';
import type { Offer, Stage } from './stage.ts';

const STEADY_SHARE = 0.6;
/** More than are sold, so that "nobody was refused" and "nothing was sold twice" are two findings. */
const SPARE_UNITS = 100;

interface Sizes {
  warmUp: number;
  amounts: readonly { connections: number; amount: number }[];
  steadySeconds: number;
}

const FULL: Sizes = {
  warmUp: 5_000,
  amounts: [
    { connections: 512, amount: 60_000 },
    { connections: 64, amount: 40_000 },
  ],
  steadySeconds: 6,
};
const QUICK: Sizes = { warmUp: 300, amounts: [{ connections: 64, amount: 2_000 }], steadySeconds: 0.5 };

export const accepted: Bench = {
  name: 'accepted',
  question: 'accepted purchases over HTTP: distinct buyers, 201, durable',
  async run({ isQuick, say, stage: openStage }) {
    const sizes = isQuick ? QUICK : FULL;
    const stage = await openStage();
    const crowdSize = Math.max(...sizes.amounts.map(({ amount }) => amount));
    say(`signing ${crowdSize} tokens`);
    const tokens = await gatherCrowd(crowdSize, stage.config.jwtSecret);
    const findings: Finding[] = [await runReached(stage, tokens, { connections: 64, amount: sizes.warmUp }, 'warm-up')];
    for (const size of sizes.amounts) {
      say(`${size.amount} purchases over ${size.connections} connections`);
      findings.push(await runReached(stage, tokens, size, 'as many as can be'));
    }
    const best = Math.max(...findings.slice(1).flatMap(({ rows }) => rows.map(({ perSecond }) => perSecond ?? 0)));
    say('at a fixed rate');
    findings.push(await runSteady(stage, tokens, Math.round(best * STEADY_SHARE), sizes.steadySeconds));
    return {
      rows: findings.slice(1).flatMap(({ rows }) => rows),
      notes: [
        'Generator, API, Redis, Postgres and workers share this machine; with one more core each, all of them gain.',
      ],
      problems: findings.flatMap(({ problems }) => problems),
    };
  },
};

async function runReached(
  stage: Stage,
  tokens: readonly string[],
  { connections, amount }: { connections: number; amount: number },
  title: string,
): Promise<Finding> {
  const offer = await stage.openSale(`accepted, ${title}`, amount + SPARE_UNITS);
  const wishes = purchaseWishes(tokens.slice(0, amount), offer);
  const spent = watchProcessorTime(stage.processes());
  const load = await runClosedLoop({ url: stage.url, connections, amount, wishes });
  const perSecond = (load.statuses['201'] ?? 0) / load.seconds;
  const note = describeSpent({ ...spent.spent(), generator: load.generatorMs }, load.answered);
  return judge(stage, offer, load, {
    note,
    what: `201, ${connections} connections, ${title}`,
    perSecond,
    ratio: 'bare',
  });
}

async function runSteady(
  stage: Stage,
  tokens: readonly string[],
  perSecond: number,
  seconds: number,
): Promise<Finding> {
  const amount = Math.min(tokens.length, Math.round(perSecond * seconds));
  const offer = await stage.openSale('accepted, steady', amount + SPARE_UNITS);
  const wishes = purchaseWishes(tokens.slice(0, amount), offer);
  const spent = watchProcessorTime(stage.processes());
  const load = await runOpenLoop({ url: stage.url, connections: 512, perSecond, wishes });
  const note = describeSpent({ ...spent.spent(), generator: load.generatorMs }, load.answered);
  return judge(stage, offer, load, { note, what: `201, ${perSecond}/s due, latency from then`, perSecond: null });
}

async function judge(stage: Stage, offer: Offer, load: LoadResult, row: Omit<Row, 'count'>): Promise<Finding> {
  const { '201': acknowledged = 0, ...others } = load.statuses;
  const problems = await stage.inspect(offer, acknowledged);
  const stranger = load.lost > 0 || Object.keys(others).length > 0;
  if (stranger) problems.push(`${offer.saleId}: with stock for all, ${JSON.stringify({ ...others, lost: load.lost })}`);
  const full = { ...row, count: acknowledged, refused: others, latencies: load.latencies };
  return { rows: [full], problems };
}
