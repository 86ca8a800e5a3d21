// Does a purchase cost more when there is more of everything? The same crowd over HTTP beside 10³ and 10⁶ live holds, joining an empty
// line and one of 10⁶, and spread over 1 and 1,000 SKUs: processor time of all processes of a running system, from the request to
// the row in Postgres, in turns. 10⁶ holds and 10⁶ in line are in a system of their own, and in its Postgres as well.
import { systemClock } from '../core/clock.ts';
import { runAudit } from '../shop/admin/admin.ts';
import type { Bench, Finding } from './bench.ts';
import { comeToRest, compareBooks, forgoRewrites, openHolds, openLine } from './growth/crowded-sale.ts';
import { openSkus } from './growth/many-skus.ts';
import { compareSides, type Comparison, type Pace, type Side, warmUp } from './growth/turns.ts';
import { type Offer, openStage, type Stage } from './stage.ts';

interface Plan extends Pace {
  readonly few: number;
  readonly many: number;
}
const FULL: Plan = { few: 1_000, many: 1_000_000, perSecond: 3_000, seconds: 2, turns: 3 };
const QUICK: Plan = { few: 100, many: 10_240, perSecond: 500, seconds: 1, turns: 1 };
const SKUS = 1_000;
const FAST = 2.5;
const WARM_SHARE = 0.05;

export const growth: Bench = {
  name: 'growth',
  question: 'processor time of a whole purchase as work grows: live holds, the line, SKUs',
  async run({ isQuick, say, signal }) {
    const plan = isQuick ? QUICK : FULL;
    // Of their own: what other benches left behind would be part of what is little here.
    const opened = await Promise.allSettled([openStage(say, signal), openStage(say, signal)]);
    const stages = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    try {
      const [quiet, crowded] = stages;
      if (quiet === undefined || crowded === undefined) throw new Error('the two systems did not start');
      return await compareSystems(quiet, crowded, plan, say);
    } finally {
      await Promise.all(stages.map((stage) => stage.close()));
    }
  },
};

async function compareSystems(quiet: Stage, crowded: Stage, plan: Plan, say: (line: string) => void): Promise<Finding> {
  const { few, many } = plan;
  const units = Math.ceil(plan.perSecond * plan.seconds) * (plan.turns + 1);
  await Promise.all([quiet, crowded].map(forgoRewrites));
  say(`${many} holds and as many in line`);
  const [holds, line] = await Promise.all([openHolds(crowded, many, units, say), openLine(crowded, many, units, say)]);
  // The other workers have compiled what they do by now; so have these, then.
  const others = Math.ceil(many * WARM_SHARE);
  await comeToRest(quiet, [await openHolds(quiet, others, 0)]);
  await comeToRest(crowded, [holds, line]);
  const { fewHolds, manyHolds, noLine, longLine } = sidesOf({ quiet, crowded, holds, line, few, many, units });
  say('a warm-up');
  for (const side of [fewHolds, manyHolds, noLine, longLine]) await warmUp(side, plan);
  say('beside live holds');
  const byHolds = await compareSides(fewHolds, manyHolds, plan);
  say(`${describe(byHolds)}; into a line`);
  const byWaiting = await compareSides(noLine, longLine, plan);
  say(`${describe(byWaiting)}; ${SKUS} SKUs`);
  const [one, thousand] = [await openSkus(quiet, 1, 2 * units), await openSkus(quiet, SKUS, 2 * units)];
  const skuSides = [
    { what: 'of 1 SKU', answer: '201', stage: quiet, offers: async () => one },
    { what: `of ${SKUS} SKUs`, answer: '201', stage: quiet, offers: async () => thousand },
  ] as const;
  const bySkus = await compareSides(...skuSides, plan);
  // The faster they come, the more of one SKU are in a batch.
  const byFastSkus = await compareSides(...skuSides, {
    ...{ perSecond: plan.perSecond * FAST, seconds: plan.seconds / FAST, turns: plan.turns },
  });
  say(`${describe(bySkus)}, faster ${describe(byFastSkus)}; the audit`);
  // Each crowded sale was bought from in as many turns, and once more.
  const bought = many + units;
  const compared = await Promise.all([
    auditAll(quiet),
    compareBooks(crowded, holds, { RESERVED: bought, WAITING: 0 }),
    compareBooks(crowded, line, { RESERVED: 1, WAITING: bought }),
  ]);
  const parts = [byHolds, byWaiting, bySkus, byFastSkus];
  return {
    rows: parts.flatMap(({ rows }) => rows),
    notes: [
      'µs are of all processes of a system, from the request to the row in Postgres; the ratio is the median of turns, many over few.',
      `Targets are judged at ${plan.perSecond}/s. The faster a crowd comes the larger are batches, of one SKU more than of a thousand.`,
      `In the system with few there are, beside them, ${others} holds of a sale that warmed it up, and those that bought in the turns before.`,
      'The sales with few and with many SKUs are audited; of those with many purchases the counts of both stores are compared.',
    ],
    measures: {
      'growth.byHolds': byHolds.ratio,
      'growth.byWaiting': byWaiting.ratio,
      'growth.bySkus': bySkus.ratio,
    },
    problems: [...parts.flatMap(({ problems }) => problems), ...compared.flat()],
  };
}

function describe({ ratio }: Comparison): string {
  return `${ratio.toFixed(2)} ×`;
}

interface Scene {
  readonly quiet: Stage;
  readonly crowded: Stage;
  readonly holds: Offer;
  readonly line: Offer;
  readonly few: number;
  readonly many: number;
  readonly units: number;
}

/** Where there are few, each turn has a sale of its own, so that there are few again. */
function sidesOf({ quiet, crowded, holds, line, few, many, units }: Scene) {
  const fresh = async (opening: Promise<Offer>): Promise<Offer[]> => {
    const offer = await opening;
    await comeToRest(quiet, [offer]);
    return [offer];
  };
  const side = (what: string, answer: Side['answer'], stage: Stage, offers: Side['offers']): Side => ({
    ...{ what, answer, stage, offers },
  });
  return {
    fewHolds: side(`beside ${few} live holds`, '201', quiet, () => fresh(openHolds(quiet, few, units))),
    manyHolds: side(`beside ${many} live holds`, '201', crowded, async () => [holds]),
    noLine: side('into an empty line', '202', quiet, () => fresh(openLine(quiet, 0, units))),
    longLine: side(`into a line of ${many}`, '202', crowded, async () => [line]),
  };
}

async function auditAll(stage: Stage): Promise<string[]> {
  const report = await runAudit({ ...stage, clock: systemClock }, {});
  return report.differences.map(({ code, message }) => `${code}: ${message}`);
}
