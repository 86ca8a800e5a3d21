// Random histories of all verbs, against the model: the same answers, the same counts, the same purchases, and after each
// history the invariants from independent records. A failing seed is printed with its shrunk history.
// STOCK_HISTORIES raises the number of histories, STOCK_SEED repeats a run.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTestStock, readCensus, type TestStock } from '../support/stock.ts';
import { checkCounts, checkLimit, checkNobodyWaitsForNothing, readTrail } from './model/invariants.ts';
import { createHistory, type History, type SaleTerms, type Step } from './model/history.ts';

let t: TestStock;
beforeAll(async () => {
  t = await openTestStock();
});
afterAll(() => t.close());

const nat = (max: number) => fc.nat({ max });
const terms: fc.Arbitrary<SaleTerms> = fc.record({
  stocks: fc.array(nat(5), { minLength: 1, maxLength: 2 }),
  limit: fc.constantFrom(0, 1, 2, 3),
  lineLimit: fc.constantFrom(null, null, 0, 3),
  holdMs: fc.constantFrom(1_000, 5_000),
  pace: fc.constantFrom('free', 'free', 'free', 'slow', 'fast', 'backlog'),
  opensInMs: fc.constantFrom(null, null, null, 700, 3_000),
  closesInMs: fc.constantFrom(null, null, null, 9_000),
});
const wish = fc.record({ buyer: nat(4), quantity: fc.integer({ min: 1, max: 3 }) });
const which = { sale: nat(1), sku: nat(1) };
const picks = fc.array(nat(60), { minLength: 1, maxLength: 3 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      verb: fc.constant('buy'),
      ...which,
      wishes: fc.array(wish, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant('retry'), pick: nat(60), more: nat(1) }) },
  { weight: 4, arbitrary: fc.record({ verb: fc.constant('confirm'), picks }) },
  {
    weight: 3,
    arbitrary: fc.record({
      verb: fc.constant('release'),
      picks,
      buyer: fc.constantFrom('', '', 'owner', 'u_0'),
      reason: fc.constantFrom('BUYER', 'OPERATOR', 'REFUND'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      verb: fc.constant('mark'),
      picks,
      status: fc.constantFrom('PAYMENT_PENDING', 'PAYMENT_FAILED', 'REFUNDED'),
    }),
  },
  { weight: 5, arbitrary: fc.record({ verb: fc.constant('advance'), ms: fc.constantFrom(1, 90, 400, 1_000, 5_000) }) },
  { weight: 3, arbitrary: fc.record({ verb: fc.constant('sweep') }) },
  {
    weight: 2,
    arbitrary: fc.record({
      verb: fc.constant('state'),
      sale: nat(1),
      to: fc.constantFrom('open', 'open', 'open', 'pause', 'pause', 'close'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      verb: fc.constant('restock'),
      ...which,
      by: fc.constantFrom(-3, -1, 1, 2),
      operation: nat(9),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      verb: fc.constant('reserveOrder'),
      order: nat(2),
      lines: fc.array(fc.record({ ...which, quantity: fc.integer({ min: 1, max: 2 }) }), {
        minLength: 1,
        maxLength: 3,
      }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ verb: fc.constant('releaseOrder'), order: nat(2) }) },
);

async function checkInvariants(history: History): Promise<void> {
  const trails = readTrail(await t.outbox());
  for (const sale of history.world.sales) {
    const ofSale = [];
    for (const { name } of sale.skus) {
      const { counters, purchases } = await readCensus(t.stock, sale.id, name);
      checkCounts(counters, purchases);
      if (sale.rate === 0 && sale.backlogLimit === 0) checkNobodyWaitsForNothing(counters, purchases);
      expect(trails.get(`${sale.id} ${name}`)).toMatchObject({
        ...{ loaded: counters.loaded, available: counters.available, held: counters.held, sold: counters.sold },
      });
      for (const p of purchases) {
        const model = history.world.purchases.get(p.purchaseId);
        const { status, expiresAt, isRefundDue, hadHold, ticket } = p;
        expect({ status, expiresAt, isRefundDue, hadHold, ticket }).toEqual({
          ...{ status: model?.status, expiresAt: model?.expiresAt, isRefundDue: model?.isRefundDue },
          ...{ hadHold: model?.hadHold, ticket: model?.ticket },
        });
      }
      ofSale.push(...purchases);
    }
    checkLimit(sale.limit, ofSale);
  }
}

it('answers every history as the design tells it, and keeps the invariants', async () => {
  // A test may read the environment: it is its own configuration.
  const { STOCK_HISTORIES, STOCK_SEED } = process.env;
  const history = fc.asyncProperty(
    fc.tuple(terms, terms),
    fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }),
    async (sales, steps) => {
      await t.reset();
      const run = await createHistory(t, sales);
      for (const one of steps) await run.take(one);
      await run.take({ verb: 'sweep' });
      await checkInvariants(run);
    },
  );
  const out = await fc.check(history, {
    numRuns: Number(STOCK_HISTORIES ?? 300),
    ...(STOCK_SEED === undefined ? {} : { seed: Number(STOCK_SEED) }),
  });
  console.log(`stock histories: seed ${out.seed}, ${out.numRuns} runs`);
  if (out.failed) throw new Error(fc.defaultReportMessage(out), { cause: out.errorInstance });
}, 3_700_000);
