// How fast do accepted purchases become orders, and how far behind are they? A backlog is brought to Postgres by relay and
// workers (a row a purchase that holds order, item and first ledger entry, in transactions, behind a job queue); beside it
// the store's ceiling, in the same database and run: one loop of multi-row inserts, nothing else. Then a crowd over HTTP, as
// fast as it is served and at a fixed rate, with the time from each admission to its committed row.
import { unownedPurchaseId } from '../actors/purchase-ids.ts';
import { sleep } from '../core/clock.ts';
import { APPLY_RECORDS_MAX, RESERVE_BATCH_MAX } from '../core/constants.ts';
import { partitionOf, randomId } from '../core/ids.ts';
import type { Postgres } from '../core/postgres/postgres.ts';
import { BARE_CONNECTIONS } from './baselines/bare.ts';
import type { Bench, Row } from './bench.ts';
import { type Contender, contenderOf } from './contender.ts';
import { gatherCrowd, purchaseWishes } from './load/crowd.ts';
import { runOpenLoop } from './load/open-loop.ts';
import { type OrderLag, watchOrderLag } from './load/order-lag.ts';
import { describeSpent, watchProcessorTime } from './load/processor-time.ts';
import { buyersFor, runSale } from './load/sale-run.ts';
import type { Offer, Stage } from './stage.ts';

const SPARE_UNITS = 100;
const POLL_MS = 20;
const WAIT_LIMIT_MS = 120_000;
const STEADY_SHARE = 0.6;
const FULL = { backlog: 60_000, seconds: 5, steadySeconds: 6, connections: BARE_CONNECTIONS };
const QUICK = { backlog: 3_000, seconds: 1, steadySeconds: 0.5, connections: 64 };

export const ordersWritten: Bench = {
  name: 'orders-written',
  question: 'from accepted purchases to order rows in Postgres: the rate, and the lag under a crowd',
  async run({ isQuick, say, stage: openStage, generators }) {
    const { backlog, seconds, steadySeconds, connections } = isQuick ? QUICK : FULL;
    const stage = await openStage();
    say(`a backlog of ${backlog} purchases`);
    const alone = await runBacklog(stage, backlog);
    say('the same number of rows by a plain loop');
    const plain = await insertPlainly(stage.postgres, backlog);
    say('under a crowd');
    const crowd = watched(stage);
    const run = await runSale(crowd.contender, {
      ...{ title: 'orders, crowd', generator: generators.main, connections, seconds },
      buyers: buyersFor(crowd.contender.perSecondMax, seconds),
    });
    const lag = await crowd.lag();
    const steadyRate = Math.max(1, Math.round(run.burst * STEADY_SHARE));
    say(`at ${steadyRate}/s`);
    const steady = await runSteady(stage, steadyRate, steadySeconds);
    const crowdRow: Row = {
      ...{ what: 'lag under a crowd', perSecond: run.sustained, count: run.accepted, latencies: lag.lag },
      note: `${lag.samples} samples; ${Math.round(run.burst)}/s admitted; ${describeSpent(run.spent, run.accepted)}`,
    };
    return {
      rows: [
        { ...alone.row, ratio: alone.perSecond / plain },
        { what: 'rows by a plain insert loop', perSecond: plain, count: backlog, ratio: 1 },
        crowdRow,
        steady.row,
      ],
      measures: { 'orders.rateOverAdmissions': alone.perSecond / run.burst, 'orders.lagP99Ms': lag.lag.p99 },
      notes: [
        'The ratio is over the plain loop. The clock of a backlog starts with its first admission.',
        "The lag counts from the admission in Redis' clock to the sight of the committed row, of every 64th ticket.",
      ],
      problems: [...alone.problems, ...run.problems, ...steady.problems],
    };
  },
};

/** The stage, with the lag of the next sale watched. */
function watched(stage: Stage): { contender: Contender; lag: () => ReturnType<OrderLag['stop']> } {
  const contender = contenderOf(stage);
  let watch: OrderLag | undefined;
  return {
    contender: {
      ...contender,
      async openSale(...order) {
        const offer = await contender.openSale(...order);
        watch = watchOrderLag(stage.postgres, offer);
        return offer;
      },
    },
    async lag() {
      if (watch === undefined) throw new Error('no sale was opened');
      return watch.stop();
    },
  };
}

async function runSteady(stage: Stage, perSecond: number, seconds: number): Promise<{ row: Row; problems: string[] }> {
  const amount = Math.max(1, Math.round(perSecond * seconds));
  const tokens = await gatherCrowd(amount, stage.config.jwtSecret);
  const offer = await stage.openSale('orders, steady', amount + SPARE_UNITS);
  const watch = watchOrderLag(stage.postgres, offer);
  const wishes = purchaseWishes(tokens, offer);
  const load = await runOpenLoop({ url: stage.url, connections: BARE_CONNECTIONS, perSecond, wishes });
  await untilWritten(stage, offer);
  const { lag, samples } = await watch.stop();
  const accepted = load.statuses['201'] ?? 0;
  const what = `lag at ${perSecond}/s`;
  return {
    row: { what, perSecond: null, count: accepted, latencies: lag, note: `${samples} samples` },
    problems: await stage.inspect(offer, accepted, amount - accepted),
  };
}

/** Reserves as fast as Redis can, and waits until the outbox is empty, which is after the commit of the last record. */
async function runBacklog(stage: Stage, amount: number): Promise<{ row: Row; perSecond: number; problems: string[] }> {
  await fill(stage, await stage.openSale('orders, warm-up', amount), Math.ceil(amount / 10));
  const offer = await stage.openSale('orders', amount + SPARE_UNITS);
  const spent = watchProcessorTime(stage.processes());
  const startedAt = performance.now();
  const { reserved, backlogMax } = await fill(stage, offer, amount);
  await untilWritten(stage, offer);
  const perSecond = (amount * 1_000) / (performance.now() - startedAt);
  const note = `backlog at most ${backlogMax} records; ${describeSpent(spent.spent(), amount)}`;
  const problems = await stage.inspect(offer, reserved);
  if (reserved !== amount) problems.push(`${offer.saleId}: ${reserved} of ${amount} were reserved`);
  return { row: { what: 'orders by relay + workers', perSecond, count: amount, note }, perSecond, problems };
}

async function fill(stage: Stage, offer: Offer, amount: number): Promise<{ reserved: number; backlogMax: number }> {
  const partition = partitionOf(offer.saleId);
  let [reserved, backlogMax] = [0, 0];
  for (let from = 0; from < amount; from += RESERVE_BATCH_MAX) {
    const items = Array.from({ length: Math.min(RESERVE_BATCH_MAX, amount - from) }, (_, i) => ({
      ...{ purchaseId: unownedPurchaseId(partition), buyer: `u_bench-${from + i}`, quantity: 1, fingerprint: 'bench' },
    }));
    const { outcomes } = await stage.stock.reserve(offer.saleId, offer.sku, items);
    reserved += outcomes.filter((o) => o.kind === 'purchase' && o.purchase.status === 'RESERVED').length;
    backlogMax = Math.max(backlogMax, await stage.backlog(offer));
  }
  return { reserved, backlogMax };
}

async function untilWritten(stage: Stage, offer: Offer): Promise<void> {
  const until = performance.now() + WAIT_LIMIT_MS;
  while ((await stage.backlog(offer)) > 0) {
    if (performance.now() > until) throw new Error('the orders were not written: are the workers at work?');
    await sleep(POLL_MS);
  }
}

/** Rows a second into a table like that of carts' orders: one connection, as many rows a statement as the workers write. */
async function insertPlainly(postgres: Postgres, amount: number): Promise<number> {
  await postgres.query('CREATE TABLE bench_orders (LIKE cart_orders INCLUDING ALL)');
  const ids = Array.from({ length: amount }, () => randomId('ord'));
  const startedAt = performance.now();
  for (let from = 0; from < amount; from += APPLY_RECORDS_MAX) {
    const chunk = ids.slice(from, from + APPLY_RECORDS_MAX);
    await postgres.query(
      `INSERT INTO bench_orders (order_id, purchase_id, user_id, sale_id, status, version, total_amount, currency, created_at, updated_at)
       SELECT id, 'pur_' || substr(id, 5), 'u_bench-' || nr, 'sale_bench', 'CREATED', 1, 49900, 'INR', now(), now()
         FROM unnest($1::text[]) WITH ORDINALITY AS r (id, nr)`,
      [chunk],
    );
  }
  const perSecond = amount / ((performance.now() - startedAt) / 1_000);
  await postgres.query('DROP TABLE bench_orders');
  return perSecond;
}
