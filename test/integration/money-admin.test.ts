// What a merchant reads and does about money over the API: every decision with its reason, a comparison at once, a refund tried
// again, and everything that the system gave up in one list with what a replay would do.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { randomId } from '../../core/ids.ts';
import { renderMetrics } from '../../core/metrics.ts';
import { createDeadLetters } from '../../shop/admin/dead-letters.ts';
import { openJobQueues } from '../../shop/job-queues.ts';
import { type Json, startTestApi, type TestApi, tokenOf } from '../support/api.ts';
import { moneyOf } from '../support/money.ts';
import { openTestPayments, SECRET_KEY, type TestPayments, until, WEBHOOK_SECRET } from '../support/payments.ts';

let t: TestPayments;
let m: ReturnType<typeof moneyOf>;
let api: TestApi;
let admin: string;
let queue: ReturnType<typeof openJobQueues>;
beforeAll(async () => {
  t = await openTestPayments();
  m = moneyOf(t);
  const stripe = { secretKey: SECRET_KEY, webhookSecret: WEBHOOK_SECRET, apiBase: t.sandbox.url };
  api = await startTestApi(t, { stripe });
  await api.api.attached;
  admin = await tokenOf('u_admin', 'ADMIN');
  queue = openJobQueues(t.testRedis.url);
});
afterAll(async () => {
  await queue.close();
  await api.close();
  await t.close();
});
beforeEach(() => void t.sandbox.behave({ reset: true }));

const get = async (path: string): Promise<Json> => (await api.call('GET', `/api/v1${path}`, { token: admin })).body;

async function sendEvent(object: Record<string, unknown>, type = 'payment_intent.succeeded'): Promise<string> {
  const id = randomId('evt');
  const created = Math.floor(systemClock.now() / 1000);
  const payload = JSON.stringify({ id, object: 'event', type, created, livemode: false, data: { object } });
  const signature = t.stripe.webhooks.generateTestHeaderString({ payload, secret: WEBHOOK_SECRET });
  await fetch(t.doorUrl, { method: 'POST', body: payload, headers: { 'stripe-signature': signature } });
  return id;
}
const paidIntent = (bought: { purchaseId: string; intentId: string }, amount: number) => ({
  id: bought.intentId,
  object: 'payment_intent',
  amount_received: amount,
  currency: 'inr',
  metadata: { purchase_id: bought.purchaseId },
});

describe('GET /admin/payments/decisions', () => {
  it('tells the life of a payment, newest first, page by page, by purchase and by sale', async () => {
    const sale = await t.openSale({ stock: 1 });
    const { purchaseId, intentId } = await t.buyUntilPayable(sale);
    await t.buy(sale);
    t.door.isOpen = false;
    await m.pay(intentId);
    t.clock.advance(61_000);
    await m.withoutJobs(() => t.expireHolds());
    t.door.isOpen = true;
    await m.rowBecomes(purchaseId, 'refunded');
    await t.drain();
    const all = await get(`/admin/payments/decisions?purchaseId=${purchaseId}`);
    expect(all.next).toBeNull();
    expect(all.items.map((one: Json) => one.decision)).toEqual(['REFUNDED', 'REFUND_DUE', 'INTENT_CREATED']);
    const [refunded, due] = all.items;
    const [refund] = m.refundsOf(purchaseId);
    expect(refunded).toMatchObject({
      purchaseId,
      orderId: `ord_${purchaseId.slice(4)}`,
      paymentId: `pay_${purchaseId.slice(4)}`,
      saleId: sale.saleId,
      providerId: refund?.id,
      amount: 499,
      currency: 'INR',
      source: 'webhook',
    });
    expect(due).toMatchObject({ providerId: intentId, why: expect.stringContaining('after the hold had ended') });
    const first = await get(`/admin/payments/decisions?saleId=${sale.saleId}&limit=2`);
    const second = await get(`/admin/payments/decisions?saleId=${sale.saleId}&limit=500&after=${first.next}`);
    const ids = [...first.items, ...second.items].map((one: Json) => one.decisionId);
    expect(ids).toEqual(ids.toSorted((a, b) => b - a));
    expect(ids).toHaveLength(3);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('is append only, and for administrators', async () => {
    for (const change of ["UPDATE payment_decisions SET why = ''", 'DELETE FROM payment_decisions']) {
      await expect(t.postgres.query(change)).rejects.toThrow('append only');
    }
    const token = await tokenOf('u_buyer');
    expect((await api.call('GET', '/api/v1/admin/payments/decisions', { token })).status).toBe(403);
    const bad = await api.call('GET', '/api/v1/admin/payments/decisions?after=x&limit=0', { token: admin });
    expect(bad.status).toBe(422);
  });

  it('writes down a dispute, when it comes and when it is closed', async () => {
    const bought = await t.buyUntilPayable(await t.openSale());
    const dispute = {
      id: 'dp_1',
      object: 'dispute',
      payment_intent: bought.intentId,
      amount: 49_900,
      reason: 'fraudulent',
    };
    for (const [type, status] of [
      ['charge.dispute.created', 'needs_response'],
      ['charge.dispute.created', 'needs_response'],
      ['charge.dispute.closed', 'lost'],
    ] as const)
      await sendEvent({ ...dispute, status }, type);
    const told = await until(async () => {
      const decided = (await m.decisionsOf(bought.purchaseId)).filter((one) => one.decision.startsWith('DISPUTE'));
      return decided.length >= 2 && decided;
    });
    expect(told.map((one) => one.decision).sort()).toEqual(['DISPUTED', 'DISPUTE_CLOSED']);
    expect(told.find((one) => one.decision === 'DISPUTED')?.why).toContain('fraudulent');
  });
});

describe('the operator', () => {
  it('has a failed refund tried again, which is made once', async () => {
    const { purchaseId, intentId } = await t.buyUntilPayable(await t.openSale());
    await m.pay(intentId);
    await m.rowBecomes(purchaseId, 'succeeded');
    t.sandbox.behave({ failRefunds: true });
    await t.stock.release([{ purchaseId, reason: 'REFUND' }]);
    await t.payments.handlers['payment.refund']({ keys: [purchaseId] }, m.job);
    await until(async () => (await m.refundRow(purchaseId))?.['status'] === 'failed');
    t.sandbox.behave({ reset: true });
    const retry = () => api.call('POST', `/api/v1/admin/payments/${purchaseId}/retry-refund`, { token: admin });
    const answers = await Promise.all([retry(), retry()]);
    expect(answers.map((answer) => answer.status)).toEqual([200, 200]);
    expect((await retry()).body).toEqual({ purchaseId, status: 'succeeded' });
    expect(m.refundsOf(purchaseId).filter((one) => one.status === 'succeeded')).toHaveLength(1);
    const unknown = await api.call('POST', '/api/v1/admin/payments/pur_03unknown00/retry-refund', { token: admin });
    expect(unknown.status).toBe(404);
  });

  it('compares with the provider at once', async () => {
    t.sandbox.behave({ dropWebhooks: true });
    const { purchaseId, intentId } = await t.buyUntilPayable(await t.openSale());
    await m.pay(intentId);
    await t.postgres.query("UPDATE payments SET created_at = now() - interval '5 s', reconciled_at = NULL");
    const { status, body } = await api.call('POST', '/api/v1/admin/payments/reconcile', { token: admin });
    expect(status).toBe(200);
    expect(body.differences).toMatchObject({ missed_success: 1 });
    expect(await t.statusOf(purchaseId)).toBe('CONFIRMED');
  });
});

describe('dead letters', () => {
  const list = async (): Promise<Json[]> => (await get('/admin/dead-letters')).items;
  const replay = (id: string) =>
    api.call('POST', `/api/v1/admin/dead-letters/${encodeURIComponent(id)}/replay`, { token: admin });

  it('of an event show it once, with its reason, and a replay settles it once its cause is gone', async () => {
    const bought = await t.buyUntilPayable(await t.openSale());
    const id = await sendEvent(paidIntent(bought, 1));
    const letter = await until(async () => (await list()).find((one) => one.id === id));
    expect(letter).toMatchObject({
      kind: 'event',
      what: 'payment_intent.succeeded',
      concerns: [bought.purchaseId],
      why: expect.stringContaining('49900 INR were due'),
      replay: expect.stringContaining('settles the event again'),
    });
    await until(async () => (await queue.listDead()).length > 0);
    expect((await list()).filter((one) => JSON.stringify(one).includes(id))).toHaveLength(1);
    // Replayed while nothing has changed, it is dead again.
    expect((await replay(id)).status).toBe(200);
    await until(async () => (await list()).some((one) => one.id === id));
    await t.postgres.query('UPDATE payments SET amount = 1 WHERE purchase_id = $1', [bought.purchaseId]);
    expect((await replay(id)).status).toBe(200);
    await m.becomes(bought.purchaseId, 'CONFIRMED');
    await until(async () => (await replay(id)).status === 404);
    await until(async () => !(await list()).some((one) => JSON.stringify(one).includes(id)));
  });

  it('of a job are refused where no purchase lives, and replayed where money is to be returned', async () => {
    const sale = await t.openSale({ paymentStart: 'on_demand' });
    const [ended, living] = [await t.buy(sale), await t.buy(sale)];
    await t.drain();
    await t.stock.release([{ purchaseId: ended, reason: 'BUYER' }]);
    // A refund whose payment has no intent can help nobody: it is a dead letter at once.
    await t.postgres.query(
      `INSERT INTO payments (payment_id, purchase_id, order_id, amount, currency, status)
       VALUES ($1, $2, $3, 49900, 'INR', 'succeeded')`,
      [`pay_${ended.slice(4)}`, ended, `ord_${ended.slice(4)}`],
    );
    await t.drain();
    await t.postgres.query("UPDATE purchases SET status = 'REFUNDED' WHERE purchase_id = $1", [ended]);
    await queue.add('payment.refund', { keys: [ended] }, { jobId: 'dead-refund' });
    await until(async () => (await list()).some((one) => one.id === 'dead-refund'));
    expect((await list()).find((one) => one.id === 'dead-refund')).toMatchObject({
      kind: 'job',
      what: 'payment.refund',
      concerns: [ended],
      why: expect.stringContaining('no intent'),
      replay: expect.stringContaining('returns the money'),
    });
    expect((await replay('dead-refund')).status).toBe(200);
    await until(async () => (await list()).some((one) => one.id === 'dead-refund'));

    const starts = [
      { id: 'start-ended', name: 'payment.start', payload: { purchaseIds: [ended] } },
      { id: 'start-living', name: 'payment.start', payload: { purchaseIds: [ended, living] } },
    ].map((job) => ({ ...job, reason: 'a bug', attempts: 10, failedAt: 1 }));
    const replayed: string[] = [];
    const letters = createDeadLetters({
      postgres: t.postgres,
      records: t.orders.dead,
      events: t.payments.dead,
      stock: t.stock,
      queue: {
        listDead: async () => starts,
        replayDead: async (id) => replayed.push(id) > 0,
        removeDead: async () => false,
        counts: async () => ({ failed: 2 }),
      },
    });
    const found = await letters.list(10);
    expect(found.find((one) => one.id === 'start-ended')?.replay).toContain('refused');
    expect(await letters.replay('start-ended')).toMatchObject({ kind: 'refused' });
    expect(await letters.replay('start-living')).toMatchObject({ kind: 'done' });
    expect(await letters.replay('start-unknown')).toEqual({ kind: 'not_found' });
    expect(replayed).toEqual(['start-living']);
    expect(await queue.removeDead('dead-refund')).toBe(true);
  });

  it('of a record say that its purchase has ended, and are counted for the alarm', async () => {
    const purchaseId = await t.buy(await t.openSale({ paymentStart: 'on_demand' }));
    await t.stock.release([{ purchaseId, reason: 'DATA_ERROR' }]);
    await t.postgres.query(
      `INSERT INTO dead_records (dead_id, partition, entry_id, purchase_id, kind, bytes, error)
       VALUES ('dead-3-1-1-0', 3, '1-1', $1, 'purchase', '\\x00', 'refused as data')`,
      [purchaseId],
    );
    const letter = (await list()).find((one) => one.id === 'dead-3-1-1-0');
    expect(letter).toMatchObject({
      kind: 'record',
      concerns: [purchaseId],
      replay: expect.stringContaining('refused'),
    });
    const letters = createDeadLetters({
      postgres: t.postgres,
      records: t.orders.dead,
      events: t.payments.dead,
      stock: t.stock,
      queue,
    });
    await letters.measure();
    expect(await renderMetrics()).toMatch(/doorbuster_dead_letters_count\{[^}]*kind="record"[^}]*\} 1/);
    expect(await letters.drop('dead-3-1-1-0')).toMatchObject({ kind: 'done' });
    expect(await letters.drop('dead-3-1-1-0')).toEqual({ kind: 'not_found' });
    await letters.measure();
    expect(await renderMetrics()).toMatch(/doorbuster_dead_letters_count\{[^}]*kind="record"[^}]*\} 0/);
  });
});
