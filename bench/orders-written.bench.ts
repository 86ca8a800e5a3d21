// How fast do accepted purchases become orders? A burst is reserved as fast as Redis can; then relay and workers bring it
// to Postgres: four rows a purchase (purchase, order, order item, ledger), in transactions, behind a job queue. Beside it
// the store's ceiling, in the same database and run: one loop of multi-row inserts into a table like `orders`, nothing else.
import { sleep } from '../core/clock.ts';
import { APPLY_RECORDS_MAX, RESERVE_BATCH_MAX } from '../core/constants.ts';
import { partitionOf, randomId } from '../core/ids.ts';
import type { Postgres } from '../core/postgres/postgres.ts';
import type { Bench } from './bench.ts';
import { describeSpent, watchProcessorTime } from './load/processor-time.ts';
import type { Offer, Stage } from './stage.ts';

const SPARE_UNITS = 100;
const POLL_MS = 20;
const ROWS_A_PURCHASE = 4;
const WAIT_LIMIT_MS = 120_000;

export const ordersWritten: Bench = {
  name: 'orders-written',
  question: 'from a burst of accepted purchases to the last order row in Postgres',
  async run({ isQuick, say, stage: openStage }) {
    const stage = await openStage();
    const amount = isQuick ? 3_000 : 60_000;
    const warmUp = await stage.openSale('orders, warm-up', amount);
    await runBurst(stage, warmUp, Math.ceil(amount / 10));
    say(`a burst of ${amount} purchases`);
    const offer = await stage.openSale('orders', amount + SPARE_UNITS);
    const spent = watchProcessorTime(stage.processes());
    const burst = await runBurst(stage, offer, amount);
    const processorTime = describeSpent(spent.spent(), amount);
    const problems = await stage.inspect(offer, burst.reserved);
    if (burst.reserved !== amount) problems.push(`${offer.saleId}: ${burst.reserved} of ${amount} were reserved`);
    say('the same number of rows by a plain loop');
    const plainPerSecond = await insertPlainly(stage.postgres, amount);
    const ordersPerSecond = amount / burst.seconds;
    return {
      rows: [
        {
          what: 'orders by relay + workers',
          perSecond: ordersPerSecond,
          count: amount,
          ratio: ordersPerSecond / plainPerSecond,
          note: `burst in ${burst.burstSeconds.toFixed(2)} s, backlog at most ${burst.backlogMax} records; ${processorTime}`,
        },
        {
          what: 'rows by relay + workers',
          perSecond: ordersPerSecond * ROWS_A_PURCHASE,
          count: amount * ROWS_A_PURCHASE,
          ratio: (ordersPerSecond * ROWS_A_PURCHASE) / plainPerSecond,
        },
        { what: 'rows by a plain insert loop', perSecond: plainPerSecond, count: amount, ratio: 1 },
      ],
      notes: ['The ratio is over the plain loop. The clock of the orders starts with the burst.'],
      problems,
    };
  },
};

/** Reserves and waits until the outbox is empty, which is after the commit of the last record. */
async function runBurst(stage: Stage, offer: Offer, amount: number) {
  const partition = partitionOf(offer.saleId);
  let [reserved, backlogMax] = [0, 0];
  const startedAt = performance.now();
  const secondsSince = (): number => (performance.now() - startedAt) / 1_000;
  for (let from = 0; from < amount; from += RESERVE_BATCH_MAX) {
    const items = Array.from({ length: Math.min(RESERVE_BATCH_MAX, amount - from) }, (_, i) => ({
      ...{ purchaseId: randomId('pur', partition), buyer: `u_bench-${from + i}`, quantity: 1, fingerprint: 'bench' },
    }));
    const { outcomes } = await stage.stock.reserve(offer.saleId, offer.sku, items);
    reserved += outcomes.filter((o) => o.kind === 'purchase' && o.purchase.status === 'RESERVED').length;
    backlogMax = Math.max(backlogMax, await stage.backlog(offer));
  }
  const burstSeconds = secondsSince();
  while ((await stage.backlog(offer)) > 0) {
    if (secondsSince() * 1_000 > WAIT_LIMIT_MS)
      throw new Error('the orders were not written: are the workers at work?');
    await sleep(POLL_MS);
  }
  return { reserved, backlogMax, burstSeconds, seconds: secondsSince() };
}

/** Rows a second, one connection, as many rows a statement as the workers write. */
async function insertPlainly(postgres: Postgres, amount: number): Promise<number> {
  await postgres.query('CREATE TABLE bench_orders (LIKE orders INCLUDING ALL)');
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
