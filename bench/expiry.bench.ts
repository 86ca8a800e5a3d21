// A hundred thousand holds fall due in one second: how long until all of them have ended, and what do buyers notice? On the
// whole system, while a crowd buys something else as fast as it is served; orders of the ended holds go to Postgres meanwhile.
import { unownedPurchaseId } from '../actors/purchase-ids.ts';
import { sleep, systemClock } from '../core/clock.ts';
import { RESERVE_BATCH_MAX } from '../core/constants.ts';
import { partitionOf, randomId } from '../core/ids.ts';
import { runAudit } from '../shop/admin/admin.ts';
import type { Bench } from './bench.ts';
import { gatherCrowd, purchaseWishes } from './load/crowd.ts';
import type { Offer, Stage } from './stage.ts';

const FULL = {
  sales: 20,
  unitsEach: 5_000,
  holdSeconds: 60,
  buyersPerSecond: 30_000,
  connections: 256,
  beforeSeconds: 9,
};
const QUICK = { sales: 2, unitsEach: 512, holdSeconds: 12, buyersPerSecond: 3_000, connections: 32, beforeSeconds: 2 };
/** The crowd goes on for so long after the second in which the holds fall due. */
const AFTER_SECONDS = 8;
const ENDED_LIMIT_MS = 60_000;
const SAMPLE_MS = 50;
/** What the crowd reaches before is that of this long: it takes some seconds to be there. */
const BEFORE_MS = 2_000;
const DRAIN_POLL_MS = 100;
/** A sale's holds are all made in the first part of a second, so that they are due within one. */
const FILL_WINDOW_MS = 400;

interface Sample {
  readonly at: number;
  readonly held: number;
  readonly admitted: number;
}

export const expiry: Bench = {
  name: 'expiry',
  question: '100,000 holds due in the same second, while a crowd buys something else',
  async run({ isQuick, say, stage: openStage, generators }) {
    const plan = isQuick ? QUICK : FULL;
    const stage = await openStage();
    const seconds = plan.beforeSeconds + 1 + AFTER_SECONDS;
    const tokens = await gatherCrowd(plan.buyersPerSecond * seconds, stage.config.jwtSecret);
    const crowded = await stage.openSale('expiry, crowd', tokens.length);
    const wishes = purchaseWishes(tokens, crowded);
    const total = plan.sales * plan.unitsEach;
    say(`${total} holds`);
    const { offers, firstDue, lastDue } = await fill(stage, plan);
    for (const offer of offers) while ((await stage.backlog(offer)) > 0) await sleep(DRAIN_POLL_MS);
    const early = firstDue - Date.now();
    await sleep(Math.max(0, early - plan.beforeSeconds * 1_000));
    say('the crowd');
    const load = generators.main.run({ url: stage.url, connections: plan.connections, seconds, wishes });
    const samples = await watch(stage, offers, crowded, lastDue);
    const outcome = await load;
    const problems = await judge(stage, [...offers, crowded]);
    const ended = samples.find(({ at, held }) => at > lastDue && held === 0);
    if (ended === undefined) problems.push(`after ${ENDED_LIMIT_MS} ms ${samples.at(-1)?.held} units are still held`);
    if (early < plan.beforeSeconds * 1_000) problems.push('the holds fell due before the crowd was there');
    const endedAt = ended?.at ?? Number.NaN;
    const before = rateBetween(samples, firstDue - BEFORE_MS, firstDue);
    if (!(before > 0)) problems.push('nobody bought before the holds fell due');
    // Of a crowd that was all served nothing can be learned: it would look as if the ends had stopped it.
    const admitted = samples.at(-1)?.admitted ?? 0;
    if (admitted >= tokens.length) problems.push(`all ${admitted} of the crowd had bought before the holds had ended`);
    const meanwhile = rateBetween(samples, firstDue, Math.max(endedAt, firstDue + 1_000));
    const share = meanwhile / before;
    const took = (endedAt - firstDue) / 1_000;
    return {
      rows: [
        {
          ...{ what: `${total} holds ended`, perSecond: total / took, count: total },
          note: `${took.toFixed(2)} s after the first fell due, ${((endedAt - lastDue) / 1_000).toFixed(2)} s after the last`,
        },
        { what: 'admissions before', perSecond: before, count: outcome.accepted },
        { what: 'admissions meanwhile', perSecond: meanwhile, count: outcome.accepted, ratio: share },
      ],
      notes: [
        'The ratio is of the admissions meanwhile over those before. The time counts from the first deadline of all.',
      ],
      measures: { 'expiry.seconds': took, 'expiry.admissionShare': share },
      problems,
    };
  },
};

/** Sales whose holds all end in the same second: each has as long a hold as is left until then. */
async function fill(stage: Stage, { sales, unitsEach, holdSeconds }: typeof FULL) {
  const dueSecond = Math.floor(Date.now() / 1_000) + holdSeconds;
  const offers: Offer[] = [];
  const ends: number[] = [];
  for (let n = 0; n < sales; n += 1) {
    if (Date.now() % 1_000 > FILL_WINDOW_MS) await sleep(1_000 - (Date.now() % 1_000));
    const left = dueSecond - Math.floor(Date.now() / 1_000);
    const offer = await stage.openSale(`expiry, ${n}`, unitsEach, { holdSeconds: left });
    offers.push(offer);
    const partition = partitionOf(offer.saleId) ?? 0;
    for (let done = 0; done < unitsEach; done += RESERVE_BATCH_MAX) {
      const items = Array.from({ length: Math.min(RESERVE_BATCH_MAX, unitsEach - done) }, () => ({
        ...{ purchaseId: unownedPurchaseId(partition), buyer: randomId('u'), quantity: 1, fingerprint: 'bench' },
      }));
      const { outcomes } = await stage.stock.reserve(offer.saleId, offer.sku, items);
      for (const o of outcomes) if (o.kind === 'purchase') ends.push(o.purchase.expiresAt);
    }
  }
  const sorted = ends.sort((a, b) => a - b);
  return { offers, firstDue: sorted[0] ?? 0, lastDue: sorted.at(-1) ?? 0 };
}

async function watch(stage: Stage, offers: readonly Offer[], crowded: Offer, lastDue: number): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (;;) {
    const snapshots = await stage.stock.snapshot([...offers, crowded].map(({ saleId }) => saleId));
    const counts = snapshots.map((snapshot) => snapshot?.items[0]);
    const held = counts.slice(0, -1).reduce((sum, c) => sum + (c?.held ?? 0), 0);
    const at = Date.now();
    samples.push({ at, held, admitted: counts.at(-1)?.lastTicket ?? 0 });
    if ((at > lastDue && held === 0) || at > lastDue + ENDED_LIMIT_MS) return samples;
    await sleep(SAMPLE_MS);
  }
}

function rateBetween(samples: readonly Sample[], from: number, to: number): number {
  const within = samples.filter(({ at }) => at >= from && at <= to);
  const [first, last] = [within[0], within.at(-1)];
  if (first === undefined || last === undefined) return Number.NaN;
  return ((last.admitted - first.admitted) * 1_000) / (last.at - first.at);
}

async function judge(stage: Stage, offers: readonly Offer[]): Promise<string[]> {
  const problems: string[] = [];
  for (const offer of offers) {
    while ((await stage.backlog(offer)) > 0) await sleep(DRAIN_POLL_MS);
    const report = await runAudit({ ...stage, clock: systemClock }, { saleId: offer.saleId });
    problems.push(...report.differences.map(({ code, message }) => `${offer.sku}: ${code}: ${message}`));
  }
  return problems;
}
