// One difference at a time is planted in Postgres, and the audit names it: that, nothing else, and in a sentence.
import { describe, expect, it } from 'vitest';
import { codesOf, useAuditStand } from '../support/audit-stand.ts';
import { PRICE } from '../support/audited-shop.ts';

const stand = useAuditStand();
const { sql, changeRecord } = stand;
const paid = () => stand.sale.paid[0] ?? '';
const held = () => stand.sale.held[0] ?? '';
const waiting = () => stand.sale.waiting[0] ?? '';

const payFor = (id: string) =>
  sql(
    "INSERT INTO payments (payment_id, purchase_id, order_id, amount, currency, status) VALUES ('pay_' || $1, $1, 'ord_' || substr($1, 5), $2, 'INR', 'succeeded')",
    [id, PRICE],
  );
const refund = (id: string, amount: number, status: string) =>
  sql("INSERT INTO refunds (purchase_id, amount, currency, status) VALUES ($1, $2, 'INR', $3)", [id, amount, status]);

describe('planted differences in Postgres', () => {
  const planted: [string, () => Promise<unknown>, string[]][] = [
    [
      'a deleted order',
      () => sql('UPDATE purchases SET order_status = NULL WHERE purchase_id = $1', [paid()]),
      ['ORDER_MISSING'],
    ],
    ['a deleted purchase', () => sql('DELETE FROM purchases WHERE purchase_id = $1', [waiting()]), ['ROW_MISSING']],
    [
      'a purchase that is older than Redis says',
      () => sql("UPDATE purchases SET version = version - 1, status = 'RESERVED' WHERE purchase_id = $1", [paid()]),
      ['LEDGER_OF_PURCHASE', 'MONEY_NOT_RETURNED', 'ORDER_STATUS', 'ROW_BEHIND'],
    ],
    [
      'an order that says something else',
      () => sql("UPDATE purchases SET order_status = 'CANCELLED' WHERE purchase_id = $1", [paid()]),
      ['ORDER_STATUS'],
    ],
    [
      'a payment of another amount than its order',
      () => sql('UPDATE payments SET amount = amount - 1 WHERE purchase_id = $1', [paid()]),
      ['PAYMENT_AMOUNT'],
    ],
    [
      'an order of nothing',
      () =>
        sql(
          "INSERT INTO cart_orders VALUES ('ord_x' || $1, 'pur_x' || $1, 'u_x', $1, 'CONFIRMED', 1, 1, 'INR', now(), now())",
          [stand.sale.saleId],
        ),
      ['ORDER_WITHOUT_PURCHASE'],
    ],
    [
      'a movement that was counted twice',
      () =>
        sql(
          `INSERT INTO movements SELECT purchase_id, version + 10, partition, seq, sale_id, sku, d_available, d_held, d_sold, d_loaded, reason, at
                   FROM ledger WHERE purchase_id = $1 AND d_sold > 0`,
          [paid()],
        ),
      ['LEDGER_MISMATCH', 'LEDGER_OF_PURCHASE'],
    ],
    [
      'holds that were granted out of order',
      // Tickets are exchanged in both places, so that nothing but the order of the grants is wrong.
      async () => {
        const [a, b] = [held(), stand.sale.held[1] ?? ''];
        await sql(
          'UPDATE purchases p SET ticket = q.ticket FROM purchases q WHERE (p.purchase_id, q.purchase_id) IN (($1, $2), ($2, $1))',
          [a, b],
        );
        const [one, two] = await Promise.all([a, b].map(stand.readRecord));
        await changeRecord(a, { ticket: two?.ticket ?? 0 });
        await changeRecord(b, { ticket: one?.ticket ?? 0 });
      },
      ['OUT_OF_ORDER'],
    ],
    ['a lost payment', () => sql('DELETE FROM payments WHERE purchase_id = $1', [paid()]), ['PAYMENT_MISSING']],
    [
      'a second payment',
      () =>
        sql(
          "INSERT INTO payments (payment_id, purchase_id, order_id, amount, currency, status) SELECT 'pay_2' || $1, 'x' || $1, order_id, amount, currency, 'succeeded' FROM payments WHERE purchase_id = $1",
          [paid()],
        ),
      ['PAID_TWICE'],
    ],
    [
      'a payment of another amount',
      () => sql('UPDATE payments SET amount = 1 WHERE purchase_id = $1', [paid()]),
      ['PAYMENT_AMOUNT'],
    ],
    [
      'money without goods',
      () =>
        sql(
          "INSERT INTO payments (payment_id, purchase_id, order_id, amount, currency, status) VALUES ('pay_' || $1, $1, 'ord_' || substr($1, 5), $2, 'INR', 'succeeded')",
          [held(), PRICE],
        ),
      ['MONEY_NOT_RETURNED'],
    ],
    [
      'goods and money',
      () =>
        sql("INSERT INTO refunds (purchase_id, amount, currency, status) VALUES ($1, $2, 'INR', 'succeeded')", [
          paid(),
          PRICE,
        ]),
      ['REFUNDED_AND_DELIVERED'],
    ],
    [
      'a refund of nothing',
      () =>
        sql("INSERT INTO refunds (purchase_id, amount, currency, status) VALUES ($1, $2, 'INR', 'succeeded')", [
          held(),
          PRICE,
        ]),
      ['REFUND_WITHOUT_PAYMENT'],
    ],
    [
      'a refund that failed',
      async () => {
        await payFor(held());
        await refund(held(), PRICE, 'failed');
      },
      ['REFUND_FAILED'],
    ],
    [
      'more money returned than was paid',
      async () => {
        await payFor(held());
        await refund(held(), 2 * PRICE, 'succeeded');
      },
      ['REFUNDED_TWICE'],
    ],
    [
      'a sale that was closed by hand',
      () => sql("UPDATE sales SET status = 'CLOSED' WHERE sale_id = $1", [stand.sale.saleId]),
      ['SALE_STATUS'],
    ],
  ];

  it.each(planted)('finds %s', async (_, plant, expected) => {
    await plant();
    const report = await stand.shop.audit(stand.sale.saleId);
    expect(codesOf(report)).toEqual(expected);
    expect(report.ok).toBe(false);
    for (const { message } of report.differences) expect(message).toMatch(/^\S.{20,}\.$/);
  });
});
