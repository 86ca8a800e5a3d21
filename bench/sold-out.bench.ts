// What does the late crowd cost? Purchases of a SKU of which nothing is left: without a key the door answers from its
// memory, with a key it asks Redis, because that buyer may have been answered before. Both refuse; nothing may change.
import type { Bench, Finding } from './bench.ts';
import { gatherCrowd, purchaseWishes } from './load/crowd.ts';
import { runClosedLoop } from './load/closed-loop.ts';
import { describeSpent, watchProcessorTime } from './load/processor-time.ts';
import type { Stage } from './stage.ts';

const CONNECTIONS = 512;

export const soldOut: Bench = {
  name: 'sold-out',
  question: 'purchases of a SKU that is sold out: answered from memory, and by Redis',
  async run({ isQuick, say, stage: openStage }) {
    const stage = await openStage();
    // A buyer may ask 100 times at once and 50 times a second: nobody of this crowd comes near that.
    const tokens = await gatherCrowd(isQuick ? 500 : 5_000, stage.config.jwtSecret);
    const amount = isQuick ? 3_000 : 100_000;
    const findings: Finding[] = [];
    for (const hasKey of [false, true]) {
      say(`${amount} purchases of what is sold out, ${hasKey ? 'with' : 'without'} a key`);
      findings.push(await runSoldOut(stage, tokens, amount, hasKey));
    }
    return { rows: findings.flatMap(({ rows }) => rows), problems: findings.flatMap(({ problems }) => problems) };
  },
};

async function runSoldOut(stage: Stage, tokens: readonly string[], amount: number, hasKey: boolean): Promise<Finding> {
  // Nothing loaded is nothing left: `quantity > loaded - sold` from the first purchase on, the same answer by the same way.
  const offer = await stage.openSale(`sold out, ${hasKey ? 'with' : 'without'} a key`, 0);
  const wishes = purchaseWishes(tokens, offer, { hasKey });
  await runClosedLoop({ url: stage.url, connections: 64, amount: amount / 10, wishes });
  const spent = watchProcessorTime(stage.processes());
  const load = await runClosedLoop({ url: stage.url, connections: CONNECTIONS, amount, wishes });
  const note = describeSpent({ ...spent.spent(), generator: load.generatorMs }, load.answered);
  const { '409': refusals = 0, ...others } = load.statuses;
  const problems = await stage.inspect(offer, 0);
  if (load.lost > 0 || Object.keys(others).length > 0)
    problems.push(`${offer.saleId}: all should be refused, but ${JSON.stringify({ ...others, lost: load.lost })}`);
  const row = {
    what: `409, ${hasKey ? 'with a key: Redis' : 'without a key: memory'}`,
    perSecond: refusals / load.seconds,
    count: refusals,
    ratio: 'bare' as const,
    refused: others,
    latencies: load.latencies,
    note,
  };
  return { rows: [row], problems };
}
