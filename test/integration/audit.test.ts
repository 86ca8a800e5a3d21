import { beforeEach, describe, expect, it } from 'vitest';
import { codesOf, useAuditStand } from '../support/audit-stand.ts';
import { PRICE, type AuditedShop } from '../support/audited-shop.ts';
import { ticketEntryOf } from '../support/stored-purchase.ts';

const stand = useAuditStand();
const { sql, redisKey, changeRecord } = stand;
let shop: AuditedShop;
let [saleId, paid, held, waiting]: [string, string[], string[], string[]] = ['', [], [], []];
beforeEach(() => {
  shop = stand.shop;
  ({ saleId, paid, held, waiting } = stand.sale);
});

const shirt = () => stand.sale.shirt;
const first = (ids: readonly string[]) => ids[0] ?? '';

describe('a shop in order', () => {
  it('has no differences, and its figures are those of the purchases', async () => {
    const report = await shop.audit(saleId);
    expect(report.differences).toEqual([]);
    expect(report).toMatchObject({ ok: true, pending: 0, outOfOrder: 0, oversold: 0, lost: 0 });
    expect(report.sales).toHaveLength(1);
    const [skuShirt, skuCap] = report.sales[0]?.skus ?? [];
    expect(skuShirt).toMatchObject({
      loaded: 7,
      available: 0,
      held: 3,
      sold: 4,
      waiting: 2,
      confirmed: 4,
      problems: [],
    });
    expect(skuShirt?.ledger).toEqual({ loaded: 7, available: 0, held: 3, sold: 4 });
    expect(skuCap).toMatchObject({ loaded: 2, available: 0, held: 0, sold: 2, waiting: 0 });
  });

  it('stays in order through refunds, restocks, late payments and holds of orders', async () => {
    const { stock, postgres } = shop.outbox;
    await stock.release([{ purchaseId: first(paid), reason: 'REFUND' }]);
    await sql("UPDATE payments SET status = 'refunded' WHERE purchase_id = $1", [first(paid)]);
    await sql("INSERT INTO refunds (purchase_id, amount, currency, status) VALUES ($1, $2, 'INR', 'succeeded')", [
      first(paid),
      PRICE,
    ]);
    await stock.restock({ saleId, sku: shirt(), by: 3, operationId: `op-${saleId}`, reason: 'found more' });
    const released = held.slice(2);
    await stock.release(released.map((purchaseId) => ({ purchaseId, reason: 'BUYER' as const })));
    await stock.reserveOrder({ orderId: `cart-${stand.count}`, items: [{ saleId, sku: shirt(), quantity: 1 }] });
    await shop.pay(released);
    await shop.relay();
    expect(
      (await postgres.query('SELECT 1 FROM purchases WHERE order_ref = $1', [`cart-${stand.count}`])).rowCount,
    ).toBe(1);
    expect((await shop.audit(saleId)).differences).toEqual([]);
  });

  it('is judged from Postgres alone once Redis has forgotten it', async () => {
    await shop.outbox.stock.setSaleState(saleId, 'close');
    await shop.outbox.stock.release(held.map((purchaseId) => ({ purchaseId, reason: 'OPERATOR' as const })));
    await shop.relay();
    await sql("UPDATE sales SET updated_at = now() - interval '2 days' WHERE sale_id = $1", [saleId]);
    const report = await shop.audit(saleId);
    expect(report.differences).toEqual([]);
    expect(report.sales[0]?.skus[0]).toMatchObject({ loaded: 7, sold: 4, held: 0, available: 3 });
    await sql('DELETE FROM purchases WHERE purchase_id = $1', [first(waiting)]);
    expect(codesOf(await shop.audit(saleId))).toEqual(['TICKET_MISSING']);
  });

  it('counts what is on its way as pending, not as a violation', async () => {
    const done = new Set<string>();
    await shop.buy(saleId, shirt(), 1);
    const relayed: Promise<void>[] = [];
    const onStep = ({ step }: { step: string }) => {
      if (step === 'waiting' && !done.has(step)) relayed.push(shop.relay());
      done.add(step);
    };
    const report = await shop.audit(saleId, { relayPatienceMs: 20_000, onStep });
    await Promise.all(relayed);
    expect(done).toContain('waiting');
    expect(report.differences).toEqual([]);
  });

  it('leaves a purchase alone while an event of its payment waits for its settlement', async () => {
    await sql("UPDATE payments SET status = 'processing' WHERE purchase_id = $1", [first(paid)]);
    await sql(
      "INSERT INTO payment_events (event_id, type, purchase_id, payload, created_at) VALUES ($1, 'payment_intent.succeeded', $2, '{}', now())",
      [`evt_${saleId}`, first(paid)],
    );
    expect(await shop.audit(saleId)).toMatchObject({ ok: true, pending: 1 });
  });
});

describe('planted differences in Redis', () => {
  it('finds units that appeared from nowhere', async () => {
    await shop.outbox.redis.hincrby(redisKey('stock', saleId, shirt()), 'available', 1);
    const report = await shop.audit(saleId);
    expect(report.ok).toBe(false);
    expect(codesOf(report)).toEqual(['CONSERVATION', 'LEDGER_MISMATCH']);
    const problems = report.sales[0]?.skus[0]?.problems ?? [];
    expect(problems.join('\n')).toContain('1 available + 3 held + 4 sold make 8, but 7 units were loaded');
  });

  it('finds a counter that its purchases do not add up to, though it conserves', async () => {
    const key = redisKey('stock', saleId, shirt());
    await shop.outbox.redis.hincrby(key, 'held', -1);
    await shop.outbox.redis.hincrby(key, 'available', 1);
    const report = await shop.audit(saleId);
    expect(codesOf(report)).toEqual(['HELD_MISMATCH', 'LEDGER_MISMATCH']);
  });

  it('finds more sold than loaded', async () => {
    const key = redisKey('stock', saleId, shirt());
    await shop.outbox.redis.hincrby(key, 'loaded', -5);
    const report = await shop.audit(saleId);
    expect(codesOf(report)).toEqual(['CONSERVATION', 'LEDGER_MISMATCH', 'OVERSOLD']);
    expect(report.oversold).toBe(2);
  });

  it('finds a purchase whose record is gone', async () => {
    await stand.loseRecord(first(held));
    const report = await shop.audit(saleId);
    expect(codesOf(report)).toEqual(['HELD_MISMATCH', 'RECORD_UNREADABLE']);
    expect(report.lost).toBe(1);
    expect(report.differences.find((d) => d.code === 'RECORD_UNREADABLE')?.purchaseId).toBe(first(held));
  });

  it('finds a purchase that Redis has forgotten altogether', async () => {
    await shop.outbox.redis.lrem(redisKey('tickets', saleId, shirt()), 1, ticketEntryOf(first(held)));
    await stand.loseRecord(first(held));
    const report = await shop.audit(saleId);
    expect(codesOf(report)).toEqual(['HELD_MISMATCH', 'TICKET_MISSING', 'UNKNOWN_TO_REDIS']);
  });

  it('finds a purchase that says something else than its row', async () => {
    await changeRecord(first(held), { status: 'EXPIRED' });
    const report = await shop.audit(saleId);
    expect(codesOf(report)).toEqual(['HELD_MISMATCH', 'ROW_DIFFERS']);
    expect(report.differences.find((d) => d.code === 'ROW_DIFFERS')?.message).toContain('differ in status');
  });

  it('finds somebody who waits and is not in the line', async () => {
    await shop.outbox.redis.hset(redisKey('stock', saleId, shirt()), { head: 11 });
    expect(codesOf(await shop.audit(saleId))).toEqual(['HEAD_MISMATCH']);
  });

  it('finds a buyer with more than the limit', async () => {
    const both = held.slice(0, 2);
    for (const id of both) await changeRecord(id, { buyer: 'u_greedy' });
    await sql("UPDATE purchases SET buyer_id = 'u_greedy' WHERE purchase_id = ANY($1)", [both]);
    const report = await shop.audit(saleId);
    expect(codesOf(report)).toEqual(['LIMIT_EXCEEDED']);
    expect(report.differences[0]?.message).toContain('u_greedy: has 2 units');
  });

  it('finds a count below zero', async () => {
    await shop.outbox.redis.hset(redisKey('stock', saleId, shirt()), { available: -1, held: 4 });
    const report = await shop.audit(saleId);
    expect(codesOf(report)).toEqual(['HELD_MISMATCH', 'LEDGER_MISMATCH', 'NEGATIVE_COUNT']);
    const message = report.differences.find((d) => d.code === 'NEGATIVE_COUNT')?.message;
    expect(message).toContain('below zero (available -1)');
    expect(message).toContain(`npm run ops -- rebuild ${saleId}`);
  });

  it('finds two purchases with one ticket', async () => {
    await changeRecord(waiting[1] ?? '', { ticket: 10 });
    const report = await shop.audit(saleId);
    expect(codesOf(report)).toEqual(['ROW_DIFFERS', 'TICKET_MISSING', 'TICKET_TWICE']);
    const message = report.differences.find((d) => d.code === 'TICKET_TWICE')?.message;
    expect(message).toContain(`${waiting[1]} and ${waiting[0]} both have ticket 10`);
  });

  it('finds a hold that no sweep has ended', async () => {
    await changeRecord(first(held), { expiresAt: Date.now() - 60_000 });
    const report = await shop.audit(saleId);
    expect(codesOf(report)).toEqual(['HOLD_OVERDUE']);
    expect(report.differences[0]?.message).toMatch(/should have ended 6\d s ago/);
    await changeRecord(first(held), { expiresAt: Date.now() - 5_000 });
    expect(codesOf(await shop.audit(saleId))).toEqual([]);
  });

  it('finds a sale that Redis does not know any more', async () => {
    const names = await shop.outbox.redis.keys(`*${saleId}*`);
    await shop.outbox.redis.del(...names);
    const report = await shop.audit(saleId);
    expect(codesOf(report)).toEqual(['SALE_UNKNOWN_TO_REDIS']);
    expect(report.sales[0]?.skus[0]).toMatchObject({ loaded: 7, held: 3, sold: 4 });
  });

  it('says that the workers are gone when nothing leaves the outbox', async () => {
    await shop.buy(saleId, shirt(), 2);
    const report = await shop.audit(saleId, { relayPatienceMs: 100 });
    expect(codesOf(report)).toEqual(['RELAY_STALLED']);
    expect(report.pending).toBeGreaterThan(0);
    await shop.relay();
    expect(await shop.audit(saleId)).toMatchObject({ ok: true, pending: 0 });
  });
});

describe('the whole shop', () => {
  it('refuses a sale that is not there', async () => {
    await expect(shop.audit('sale_05nosuchsalexxxxxxx')).rejects.toMatchObject({ code: 'SALE_NOT_FOUND' });
  });

  it('compares 30,000 purchases while others buy', async () => {
    const id = await shop.openSale({ CROWD: 20_000 });
    const bought = await shop.buy(id, 'CROWD', 30_000);
    await shop.pay(bought.slice(0, 15_000));
    await shop.relay();
    let isOver = false;
    const traffic = (async () => {
      while (!isOver) {
        const more = await shop.buy(id, 'CROWD', 20);
        await shop.outbox.stock.release(
          more.slice(0, 10).map((purchaseId) => ({ purchaseId, reason: 'BUYER' as const })),
        );
        await shop.relay();
      }
    })();
    const report = await shop.audit(id, { relayPatienceMs: 20_000 });
    isOver = true;
    await traffic;
    expect(report.differences).toEqual([]);
    const atRest = await shop.audit(id);
    expect(atRest).toMatchObject({ ok: true, pending: 0 });
    expect(atRest.sales[0]?.skus[0]).toMatchObject({ loaded: 20_000, sold: 15_000, held: 5_000, available: 0 });
  });
});
