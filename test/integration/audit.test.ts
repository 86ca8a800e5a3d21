import { beforeEach, describe, expect, it } from 'vitest';
import type { AuditReport } from '../../shop/admin/admin.ts';
import { useAuditStand } from '../support/audit-stand.ts';
import { PRICE, type AuditedShop } from '../support/audited-shop.ts';
import { readStored } from '../support/stored-purchase.ts';

const stand = useAuditStand();
const { sql, redisKey, changeRecord } = stand;
let shop: AuditedShop;
let [saleId, paid, held, waiting]: [string, string[], string[], string[]] = ['', [], [], []];
beforeEach(() => {
  shop = stand.shop;
  ({ saleId, paid, held, waiting } = stand.sale);
});

const shirt = () => stand.sale.shirt;
const codes = (report: AuditReport) => [...new Set(report.differences.map((difference) => difference.code))].sort();
const first = (ids: readonly string[]) => ids[0] ?? '';

const payFor = (id: string) =>
  sql(
    "INSERT INTO payments (payment_id, purchase_id, order_id, amount, currency, status) VALUES ('pay_' || $1, $1, 'ord_' || substr($1, 5), $2, 'INR', 'succeeded')",
    [id, PRICE],
  );
const refund = (id: string, amount: number, status: string) =>
  sql("INSERT INTO refunds (purchase_id, amount, currency, status) VALUES ($1, $2, 'INR', $3)", [id, amount, status]);

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
    expect(codes(await shop.audit(saleId))).toEqual(['TICKET_MISSING']);
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
    expect(codes(report)).toEqual(['CONSERVATION', 'LEDGER_MISMATCH']);
    const problems = report.sales[0]?.skus[0]?.problems ?? [];
    expect(problems.join('\n')).toContain('1 available + 3 held + 4 sold make 8, but 7 units were loaded');
  });

  it('finds a counter that its purchases do not add up to, though it conserves', async () => {
    const key = redisKey('stock', saleId, shirt());
    await shop.outbox.redis.hincrby(key, 'held', -1);
    await shop.outbox.redis.hincrby(key, 'available', 1);
    const report = await shop.audit(saleId);
    expect(codes(report)).toEqual(['HELD_MISMATCH', 'LEDGER_MISMATCH']);
  });

  it('finds more sold than loaded', async () => {
    const key = redisKey('stock', saleId, shirt());
    await shop.outbox.redis.hincrby(key, 'loaded', -5);
    const report = await shop.audit(saleId);
    expect(codes(report)).toEqual(['CONSERVATION', 'LEDGER_MISMATCH', 'OVERSOLD']);
    expect(report.oversold).toBe(2);
  });

  it('finds a purchase whose record is gone', async () => {
    await shop.outbox.redis.del(redisKey('p', first(held)));
    const report = await shop.audit(saleId);
    expect(codes(report)).toEqual(['HELD_MISMATCH', 'RECORD_UNREADABLE']);
    expect(report.lost).toBe(1);
    expect(report.differences.find((d) => d.code === 'RECORD_UNREADABLE')?.purchaseId).toBe(first(held));
  });

  it('finds a purchase that Redis has forgotten altogether', async () => {
    await shop.outbox.redis.lrem(redisKey('tickets', saleId, shirt()), 1, first(held));
    await shop.outbox.redis.del(redisKey('p', first(held)));
    const report = await shop.audit(saleId);
    expect(codes(report)).toEqual(['HELD_MISMATCH', 'TICKET_MISSING', 'UNKNOWN_TO_REDIS']);
  });

  it('finds a purchase that says something else than its row', async () => {
    await changeRecord(first(held), { status: 'EXPIRED' });
    const report = await shop.audit(saleId);
    expect(codes(report)).toEqual(['HELD_MISMATCH', 'ROW_DIFFERS']);
    expect(report.differences.find((d) => d.code === 'ROW_DIFFERS')?.message).toContain('differ in status');
  });

  it('finds somebody who waits and is not in the line', async () => {
    await shop.outbox.redis.zrem(redisKey('line', saleId, shirt()), first(waiting));
    expect(codes(await shop.audit(saleId))).toEqual(['HEAD_MISMATCH']);
  });

  it('finds a buyer with more than the limit', async () => {
    const both = held.slice(0, 2);
    for (const id of both) await changeRecord(id, { buyer: 'u_greedy' });
    await sql("UPDATE purchases SET buyer_id = 'u_greedy' WHERE purchase_id = ANY($1)", [both]);
    const report = await shop.audit(saleId);
    expect(codes(report)).toEqual(['LIMIT_EXCEEDED']);
    expect(report.differences[0]?.message).toContain('u_greedy: has 2 units');
  });

  it('finds a count below zero', async () => {
    await shop.outbox.redis.hset(redisKey('stock', saleId, shirt()), { available: -1, held: 4 });
    const report = await shop.audit(saleId);
    expect(codes(report)).toEqual(['HELD_MISMATCH', 'LEDGER_MISMATCH', 'NEGATIVE_COUNT']);
    const message = report.differences.find((d) => d.code === 'NEGATIVE_COUNT')?.message;
    expect(message).toContain('below zero (available -1)');
    expect(message).toContain(`npm run ops -- rebuild ${saleId}`);
  });

  it('finds two purchases with one ticket', async () => {
    await changeRecord(waiting[1] ?? '', { ticket: 10 });
    await shop.outbox.redis.zadd(redisKey('line', saleId, shirt()), 10, waiting[1] ?? '');
    const report = await shop.audit(saleId);
    expect(codes(report)).toEqual(['ROW_DIFFERS', 'TICKET_MISSING', 'TICKET_TWICE']);
    const message = report.differences.find((d) => d.code === 'TICKET_TWICE')?.message;
    expect(message).toContain(`${waiting[1]} and ${waiting[0]} both have ticket 10`);
  });

  it('finds a hold that no sweep has ended', async () => {
    await changeRecord(first(held), { expiresAt: Date.now() - 60_000 });
    const report = await shop.audit(saleId);
    expect(codes(report)).toEqual(['HOLD_OVERDUE']);
    expect(report.differences[0]?.message).toMatch(/should have ended 6\d s ago/);
    await changeRecord(first(held), { expiresAt: Date.now() - 5_000 });
    expect(codes(await shop.audit(saleId))).toEqual([]);
  });

  it('finds a sale that Redis does not know any more', async () => {
    const names = await shop.outbox.redis.keys(`*${saleId}*`);
    await shop.outbox.redis.del(...names);
    const report = await shop.audit(saleId);
    expect(codes(report)).toEqual(['SALE_UNKNOWN_TO_REDIS']);
    expect(report.sales[0]?.skus[0]).toMatchObject({ loaded: 7, held: 3, sold: 4 });
  });

  it('says that the workers are gone when nothing leaves the outbox', async () => {
    await shop.buy(saleId, shirt(), 2);
    const report = await shop.audit(saleId, { relayPatienceMs: 100 });
    expect(codes(report)).toEqual(['RELAY_STALLED']);
    expect(report.pending).toBeGreaterThan(0);
    await shop.relay();
    expect(await shop.audit(saleId)).toMatchObject({ ok: true, pending: 0 });
  });
});

describe('planted differences in Postgres', () => {
  const planted: [string, () => Promise<unknown>, string[]][] = [
    [
      'a deleted order',
      () => sql('UPDATE purchases SET order_status = NULL WHERE purchase_id = $1', [first(paid)]),
      ['ORDER_MISSING'],
    ],
    [
      'a deleted purchase',
      () => sql('DELETE FROM purchases WHERE purchase_id = $1', [first(waiting)]),
      ['ROW_MISSING'],
    ],
    [
      'a purchase that is older than Redis says',
      () =>
        sql("UPDATE purchases SET version = version - 1, status = 'RESERVED' WHERE purchase_id = $1", [first(paid)]),
      ['LEDGER_OF_PURCHASE', 'MONEY_NOT_RETURNED', 'ORDER_STATUS', 'ROW_BEHIND'],
    ],
    [
      'an order that says something else',
      () => sql("UPDATE purchases SET order_status = 'CANCELLED' WHERE purchase_id = $1", [first(paid)]),
      ['ORDER_STATUS'],
    ],
    [
      'a payment of another amount than its order',
      () => sql('UPDATE payments SET amount = amount - 1 WHERE purchase_id = $1', [first(paid)]),
      ['PAYMENT_AMOUNT'],
    ],
    [
      'an order of nothing',
      () =>
        sql(
          "INSERT INTO cart_orders VALUES ('ord_x' || $1, 'pur_x' || $1, 'u_x', $1, 'CONFIRMED', 1, 1, 'INR', now(), now())",
          [saleId],
        ),
      ['ORDER_WITHOUT_PURCHASE'],
    ],
    [
      'a movement that was counted twice',
      () =>
        sql(
          `INSERT INTO movements SELECT purchase_id, version + 10, partition, seq, sale_id, sku, d_available, d_held, d_sold, d_loaded, reason, at
                   FROM ledger WHERE purchase_id = $1 AND d_sold > 0`,
          [first(paid)],
        ),
      ['LEDGER_MISMATCH', 'LEDGER_OF_PURCHASE'],
    ],
    [
      'holds that were granted out of order',
      // Tickets are exchanged in both places, so that nothing but the order of the grants is wrong.
      async () => {
        const [a, b] = [first(held), held[1] ?? ''];
        await sql(
          'UPDATE purchases p SET ticket = q.ticket FROM purchases q WHERE (p.purchase_id, q.purchase_id) IN (($1, $2), ($2, $1))',
          [a, b],
        );
        const [one, two] = await Promise.all([a, b].map((id) => readStored(shop.outbox.redis, redisKey('p', id))));
        await changeRecord(a, { ticket: two?.ticket ?? 0 });
        await changeRecord(b, { ticket: one?.ticket ?? 0 });
      },
      ['OUT_OF_ORDER'],
    ],
    ['a lost payment', () => sql('DELETE FROM payments WHERE purchase_id = $1', [first(paid)]), ['PAYMENT_MISSING']],
    [
      'a second payment',
      () =>
        sql(
          "INSERT INTO payments (payment_id, purchase_id, order_id, amount, currency, status) SELECT 'pay_2' || $1, 'x' || $1, order_id, amount, currency, 'succeeded' FROM payments WHERE purchase_id = $1",
          [first(paid)],
        ),
      ['PAID_TWICE'],
    ],
    [
      'a payment of another amount',
      () => sql('UPDATE payments SET amount = 1 WHERE purchase_id = $1', [first(paid)]),
      ['PAYMENT_AMOUNT'],
    ],
    [
      'money without goods',
      () =>
        sql(
          "INSERT INTO payments (payment_id, purchase_id, order_id, amount, currency, status) VALUES ('pay_' || $1, $1, 'ord_' || substr($1, 5), $2, 'INR', 'succeeded')",
          [first(held), PRICE],
        ),
      ['MONEY_NOT_RETURNED'],
    ],
    [
      'goods and money',
      () =>
        sql("INSERT INTO refunds (purchase_id, amount, currency, status) VALUES ($1, $2, 'INR', 'succeeded')", [
          first(paid),
          PRICE,
        ]),
      ['REFUNDED_AND_DELIVERED'],
    ],
    [
      'a refund of nothing',
      () =>
        sql("INSERT INTO refunds (purchase_id, amount, currency, status) VALUES ($1, $2, 'INR', 'succeeded')", [
          first(held),
          PRICE,
        ]),
      ['REFUND_WITHOUT_PAYMENT'],
    ],
    [
      'a refund that failed',
      async () => {
        await payFor(first(held));
        await refund(first(held), PRICE, 'failed');
      },
      ['REFUND_FAILED'],
    ],
    [
      'more money returned than was paid',
      async () => {
        await payFor(first(held));
        await refund(first(held), 2 * PRICE, 'succeeded');
      },
      ['REFUNDED_TWICE'],
    ],
    [
      'a sale that was closed by hand',
      () => sql("UPDATE sales SET status = 'CLOSED' WHERE sale_id = $1", [saleId]),
      ['SALE_STATUS'],
    ],
  ];

  it.each(planted)('finds %s', async (_, plant, expected) => {
    await plant();
    const report = await shop.audit(saleId);
    expect(codes(report)).toEqual(expected);
    expect(report.ok).toBe(false);
    for (const { message } of report.differences) expect(message).toMatch(/^\S.{20,}\.$/);
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
