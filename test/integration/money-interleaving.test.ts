// Whatever the jobs of money do, in whatever order, twice and at the same moment, with a provider that fails before and after
// its work and webhooks that repeat, come late or not at all: in the end the provider's books are ours, nobody paid twice or was
// refunded twice, and nothing is open. The seed is printed with a failure.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPayments } from '../../shop/payments/payments.ts';
import { moneyOf } from '../support/money.ts';
import { openTestPayments, type TestPayments, until } from '../support/payments.ts';

const PURCHASES = 36;
const STEPS = 260;

let t: TestPayments;
let m: ReturnType<typeof moneyOf>;
beforeAll(async () => {
  t = await openTestPayments();
  m = moneyOf(t);
});
afterAll(() => t.close());

/** mulberry32: the same numbers for the same seed. */
function randomOf(seed: number): (end: number) => number {
  let state = seed >>> 0;
  return (end) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % end;
  };
}

async function runHistory(seed: number): Promise<string[]> {
  const random = randomOf(seed);
  // Scarce stock and a line, so that late payments find some of it and not all.
  const sale = await t.openSale({ stock: Math.floor(PURCHASES / 2) });
  const ids: string[] = [];
  for (let i = 0; i < PURCHASES; i += 1) ids.push(await t.buy(sale));
  const other = createPayments(t.dependencies);
  const some = () => ids[random(ids.length)] ?? '';
  const door = () => (random(2) === 0 ? t.payments : other);
  // What fails is tried again by somebody, or found by the calm after it.
  const run = async (work: Promise<unknown>): Promise<void> => {
    await work.catch(() => undefined);
  };
  const steps: (() => Promise<void>)[] = [
    () => run(t.drain()),
    () => run(door().handlers['payment.start']({ purchaseIds: [some(), some()] }, m.job)),
    () => run(door().handlers['payment.cancel']({ purchaseIds: [some(), some()] }, m.job)),
    () => run(door().handlers['payment.refund']({ keys: [some(), some()] }, m.job)),
    () => run(door().handlers['payment.resume']({ keys: [some()], source: 'recovery' }, m.job)),
    () => run(door().reconcile({ minAgeMs: 0, limit: 5 })),
    () => run(door().recoverLost({ minAgeMs: 0, saleIds: [sale.saleId] })),
    () => run(door().settlePending()),
    () => run(t.stock.release([{ purchaseId: some(), reason: random(3) === 0 ? 'REFUND' : 'BUYER' }])),
    () => run(t.orders.cancel(`ord_${some().slice(4)}`)),
    async () => {
      if (random(12) > 0) return;
      t.clock.advance(61_000);
      await run(t.expireHolds());
    },
    async () => {
      const statuses = [429, 500, 500, 503, 0];
      const status = statuses[random(statuses.length)] ?? 500;
      t.sandbox.behave({ failNext: { status, times: 1 + random(2), afterWork: random(2) === 0 } });
    },
    async () =>
      void t.sandbox.behave({ dropWebhooks: random(2) === 0, repeat: 1 + random(3), reorder: random(3) === 0 }),
  ];
  const payOne = async () => {
    const [intent] = m.intentsOf(some()).filter((one) => one.status === 'requires_payment_method');
    const method = random(4) === 0 ? 'pm_card_chargeDeclined' : 'pm_card_visa';
    if (intent !== undefined) await run(t.stripe.paymentIntents.confirm(intent.id, { payment_method: method }));
  };
  const dashboardRefund = async () => {
    const [intent] = m.intentsOf(some()).filter((one) => one.status === 'succeeded');
    if (intent !== undefined && random(8) === 0) await run(t.stripe.refunds.create({ payment_intent: intent.id }));
  };
  // Buyers pay more often than anything else happens: most of what can go wrong goes wrong after that.
  steps.push(...Array.from({ length: 8 }, () => payOne), dashboardRefund);
  for (let step = 0; step < STEPS; step += 1) {
    const next = steps[random(steps.length)];
    // Several at once, in two "processes": what one does meets the other in the middle.
    await Promise.all([next?.(), random(3) === 0 ? steps[random(steps.length)]?.() : undefined]);
  }
  return ids;
}

/** Everybody is back and time passes: what a running system does by itself until nothing is left to do. */
async function calmDown(ids: readonly string[]): Promise<void> {
  t.sandbox.behave({ reset: true });
  await until(async () => {
    t.clock.advance(61_000);
    await t.expireHolds();
    await t.payments.settlePending();
    await t.payments.recoverLost({ minAgeMs: 0 });
    await t.payments.reconcile({ minAgeMs: 0 });
    await t.drain();
    return isQuiet(ids);
  });
}

async function isQuiet(ids: readonly string[]): Promise<boolean> {
  const views = await t.stock.look(ids);
  const payments = await t.postgres.query<{ open: number }>(
    `SELECT count(*)::int AS open FROM payments
      WHERE status IN ('starting', 'requires_payment_method', 'processing', 'failed') OR (status = 'succeeded' AND finished_at IS NULL)`,
  );
  const due = await t.postgres.query<{ open: number }>(
    `SELECT ((SELECT count(*) FROM returns_due) + (SELECT count(*) FROM refunds WHERE status = 'pending'))::int AS open`,
  );
  const isEnded = views.every((view) =>
    ['CONFIRMED', 'EXPIRED', 'CANCELLED', 'REFUNDED', 'SOLD_OUT'].includes(view?.status ?? ''),
  );
  return isEnded && payments.rows[0]?.open === 0 && due.rows[0]?.open === 0;
}

describe('the jobs of money in any order', () => {
  it.each([2, 3, 1 + Math.floor(Math.random() * 1_000_000)])(
    'leave the provider with our books (seed %i)',
    async (seed) => {
      const ids = await runHistory(seed);
      await calmDown(ids);
      for (const purchaseId of ids) {
        const intents = m.intentsOf(purchaseId);
        const charged = intents.filter((intent) => intent.status === 'succeeded');
        const refunded = m.refundsOf(purchaseId).reduce((sum, refund) => sum + refund.amount, 0);
        const view = (await t.stock.look([purchaseId]))[0];
        const payment = await t.paymentOf(purchaseId);
        const where = `${purchaseId}, seed ${seed}: ${view?.status}, ${String(payment?.['status'])}`;
        expect(
          intents.filter((intent) => intent.status !== 'canceled' && intent.status !== 'succeeded'),
          where,
        ).toEqual([]);
        expect(charged.length, where).toBeLessThanOrEqual(1);
        const kept = charged.length * 49_900 - refunded;
        // Who has the goods has paid for them, and who has not has their money back.
        expect(kept, where).toBe(view?.status === 'CONFIRMED' ? 49_900 : 0);
        if (charged.length > 0) expect(payment, where).toMatchObject({ status: kept === 0 ? 'refunded' : 'succeeded' });
        else expect(payment?.['status'] ?? 'canceled', where).toBe('canceled');
      }
      const dead = await t.deadLetters();
      expect(dead, `seed ${seed}`).toEqual([]);
    },
  );

  it('were busy: some was sold, some returned, some withdrawn', () => {
    const statuses = new Set(t.sandbox.intents().map((intent) => intent.status));
    expect(statuses).toEqual(new Set(['succeeded', 'canceled']));
    expect(t.sandbox.refunds().length).toBeGreaterThan(0);
    expect(t.sandbox.intents().filter((intent) => intent.status === 'succeeded').length).toBeGreaterThan(
      t.sandbox.refunds().length,
    );
  });
});
