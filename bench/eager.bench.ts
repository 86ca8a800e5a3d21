// What do payments that the workers start at once cost the sale? A sale with `paymentStart: "eager"` at a fixed rate, with the
// payment sandbox: what a buyer waits meanwhile, and how many payments a second are started until every purchase has one.
// The limit is the provider's (core/constants.ts), the sandbox' being far above Stripe's.
import { sleep } from '../core/clock.ts';
import { SANDBOX_STARTS_PER_SECOND } from '../core/constants.ts';
import { BARE_CONNECTIONS } from './baselines/bare.ts';
import type { Bench } from './bench.ts';
import { gatherCrowd, purchaseWishes } from './load/crowd.ts';
import { runOpenLoop } from './load/open-loop.ts';
import { describeSpent, watchProcessorTime } from './load/processor-time.ts';
import type { Offer, Stage } from './stage.ts';

const FULL = { amount: 6_000, perSecond: 3_000 };
const QUICK = { amount: 300, perSecond: 600 };
const POLL_MS = 100;
const WAIT_LIMIT_MS = 90_000;
const SPARE_UNITS = 100;

export const eager: Bench = {
  name: 'eager',
  question: 'purchases whose payments are started at once, by the bundled sandbox',
  async run({ isQuick, say, stage: openStage }) {
    const stage = await openStage();
    const { amount, perSecond } = isQuick ? QUICK : FULL;
    const tokens = await gatherCrowd(amount, stage.config.jwtSecret);
    const offer = await stage.openSale('eager', amount + SPARE_UNITS, { paymentStart: 'eager' });
    const wishes = purchaseWishes(tokens, offer);
    const watch = watchProcessorTime(stage.processes());
    const startedAt = performance.now();
    const load = await runOpenLoop({ url: stage.url, connections: BARE_CONNECTIONS, perSecond, wishes });
    const meanwhile = await countStarted(stage, offer);
    say(`${amount} purchases, ${meanwhile} payments are started: waiting for the others`);
    await whenStarted(stage, offer, amount);
    const seconds = (performance.now() - startedAt) / 1_000;
    const { '201': acknowledged = 0, ...others } = load.statuses;
    const problems = await stage.inspect(offer, acknowledged);
    if (load.lost > 0 || Object.keys(others).length > 0)
      problems.push(`${offer.saleId}: with stock for all, ${JSON.stringify({ ...others, lost: load.lost })}`);
    return {
      rows: [
        {
          what: `201, ${perSecond}/s due, payments start meanwhile`,
          ...{ perSecond: null, count: acknowledged, refused: others, latencies: load.latencies },
          note: `${meanwhile} payments had been started with the last answer`,
        },
        {
          what: 'payments started, to the last one',
          ...{ perSecond: amount / seconds, count: amount, ratio: amount / seconds / SANDBOX_STARTS_PER_SECOND },
          note: describeSpent({ ...watch.spent(), generator: load.generatorMs }, amount),
        },
      ],
      notes: ['The ratio is over the rate at which payments may be started with the sandbox.'],
      problems,
    };
  },
};

async function countStarted({ postgres }: Stage, { saleId }: Offer): Promise<number> {
  const { rows } = await postgres.query<{ started: number }>(
    `SELECT count(*) AS started FROM purchases WHERE sale_id = $1 AND status = 'PAYMENT_PENDING'`,
    [saleId],
  );
  return rows[0]?.started ?? 0;
}

async function whenStarted(stage: Stage, offer: Offer, amount: number): Promise<void> {
  const until = performance.now() + WAIT_LIMIT_MS;
  for (;;) {
    const started = await countStarted(stage, offer);
    if (started >= amount) return;
    if (performance.now() > until) throw new Error(`only ${started} of ${amount} payments were started`);
    await sleep(POLL_MS);
  }
}
