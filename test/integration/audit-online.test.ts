// The continuous audit: each kind of violation is planted in a shop whose books are in order, found, confirmed, reported, and
// stops the sale of its SKU and of no other.
import { describe, expect, it } from 'vitest';
import { keys } from '../../actors/keys.ts';
import { readAuditState } from '../../shop/admin/audit-store.ts';
import { listFindings } from '../../shop/admin/finding-store.ts';
import { useOnlineAudit } from '../support/online-audit.ts';
import { ticketEntryOf } from '../support/stored-purchase.ts';

const online = useOnlineAudit();
const { stand, told, checkOf } = online;
const stockKey = () => stand.redisKey('stock', stand.sale.saleId, stand.sale.shirt);
const listKey = (what: string) => stand.redisKey(what, stand.sale.saleId, stand.sale.shirt);
const first = (ids: readonly string[]) => ids[0] ?? '';

describe('a shop in order', () => {
  it('agrees, and says by which sums at which position', async () => {
    expect(await online.audit.round()).toBe(1);
    expect(await told()).toEqual({ codes: [], blocked: [] });
    const seq = Number(await stand.shop.outbox.redis.hget(keys.fence(stand.shop.partition), 'seq'));
    expect(await checkOf()).toMatchObject({
      state: 'AGREES',
      position: seq,
      sums: {
        redis: { loaded: 7, available: 0, held: 3, sold: 4, waiting: 2, lastTicket: 11 },
        purchases: { held: 3, sold: 4, waiting: 2, tickets: 11 },
        sets: { holds: 3, holders: 3, line: 2, waiters: 2 },
        ledger: { loaded: 7, available: 0, held: 3, sold: 4 },
        orders: { sold: 4 },
      },
    });
    expect((await checkOf(stand.sale.cap))?.sums).toMatchObject({ redis: { sold: 2 }, orders: { sold: 2 } });
    expect(await readAuditState(stand.shop.outbox.postgres)).toMatchObject({ open: [] });
  });

  it('agrees through refunds, restocks, holds of orders and a cancellation that is half done', async () => {
    const { stock } = stand.shop.outbox;
    await stock.release([{ purchaseId: first(stand.sale.paid), reason: 'REFUND' }]);
    await stock.restock({
      saleId: stand.sale.saleId,
      sku: stand.sale.shirt,
      by: 4,
      operationId: `op-${stand.sale.saleId}`,
      reason: 'found more',
    });
    await stock.reserveOrder({
      orderId: `cart-${stand.count}`,
      items: [{ saleId: stand.sale.saleId, sku: stand.sale.shirt, quantity: 1 }],
    });
    await stand.shop.relay();
    await stand.sql("UPDATE purchases SET order_status = 'CANCELLED' WHERE purchase_id = $1", [stand.sale.paid[1]]);
    await online.audit.round();
    expect(await told()).toEqual({ codes: [], blocked: [] });
    expect((await checkOf())?.sums).toMatchObject({ redis: { loaded: 11, sold: 3 }, orders: { sold: 3 } });
  });

  it('is not stopped for a record that Postgres refused and the operator knows of', async () => {
    const sku = `POISON-${stand.count}`;
    const id = await stand.shop.openSale({ [sku]: 2 });
    await stand.shop.relay();
    const [bought] = await stand.shop.buy(id, sku, 1);
    const [entry] = (await stand.shop.outbox.redis.xrangeBuffer(keys.outbox(stand.shop.partition), '-', '+')).slice(-1);
    await stand.sql(
      "INSERT INTO dead_records (dead_id, partition, entry_id, purchase_id, kind, bytes, error) VALUES ($1, $2, 'x', $1, 'purchase', $3, 'no')",
      [bought, stand.shop.partition, entry?.[1][1]],
    );
    await stand.shop.outbox.redis.xdel(keys.outbox(stand.shop.partition), entry?.[0].toString() ?? '');
    const codes = async () => (await listFindings(stand.shop.outbox.postgres, id)).map(({ code }) => code).sort();
    await online.audit.round();
    expect(await codes()).toEqual([]);
    await stand.sql("UPDATE dead_records SET replayed_at = now(), outcome = 'RELEASED DROPPED'");
    await online.audit.round();
    expect(await codes()).toEqual([]);
    await stand.sql("UPDATE dead_records SET outcome = 'RELEASED'");
    await online.audit.round();
    expect(await codes()).toEqual(['LEDGER_MISMATCH', 'ROW_MISSING']);
    expect(await stand.shop.outbox.stock.blocksOf(id)).toMatchObject([{ sku, reason: 'AUDIT' }]);
    await stand.shop.outbox.stock.setSaleState(id, 'close');
    await stand.shop.relay();
  });
});

describe('a violation', () => {
  const redis = () => stand.shop.outbox.redis;
  const planted: [string, () => Promise<unknown>, string[]][] = [
    [
      'counts that are off by one',
      () => redis().hincrby(stockKey(), 'available', 1),
      ['CONSERVATION', 'LEDGER_MISMATCH'],
    ],
    [
      'counts that conserve and are wrong',
      async () => {
        await redis().hincrby(stockKey(), 'held', -1);
        await redis().hincrby(stockKey(), 'sold', 1);
      },
      ['HELD_MISMATCH', 'LEDGER_MISMATCH', 'ORDERS_MISMATCH', 'SOLD_MISMATCH'],
    ],
    [
      'a count below zero',
      () => redis().hset(stockKey(), { available: -1, held: 4 }),
      ['HELD_MISMATCH', 'LEDGER_MISMATCH', 'NEGATIVE_COUNT'],
    ],
    [
      'the bytes of a hold that are lost',
      () => stand.loseRecord(first(stand.sale.held)),
      ['HELD_MISMATCH', 'HOLD_UNTRACKED', 'RECORD_UNREADABLE'],
    ],
    ['a hold that the sweep does not know', () => redis().rpop(listKey('holds')), ['HOLD_UNTRACKED']],
    [
      'a hold that the sweep knows as that of another',
      async () => {
        const [ends] = ((await redis().lindex(listKey('holds'), -1)) ?? '').split(' ');
        await redis().lset(listKey('holds'), -1, `${ends} 9 9`);
      },
      ['HOLD_UNTRACKED'],
    ],
    [
      'a hold that the sweep comes for too late',
      () => redis().lset(listKey('holds'), -1, `${Date.now() + 86_400_000} 8 9`),
      ['HOLD_UNTRACKED'],
    ],
    ['a hold that is not counted', () => redis().hincrby(stockKey(), 'holders', -1), ['HOLD_UNTRACKED']],
    ['somebody who waits and is not counted', () => redis().hincrby(stockKey(), 'waiters', -1), ['LINE_UNTRACKED']],
    [
      'somebody who waits and is before the head of the line',
      () => redis().hset(stockKey(), { head: 11 }),
      ['HEAD_MISMATCH', 'LINE_UNTRACKED'],
    ],
    [
      'two who have changed places in the line',
      async () => {
        await redis().lset(listKey('tickets'), 9, ticketEntryOf(stand.sale.waiting[1] ?? ''));
        await redis().lset(listKey('tickets'), 10, ticketEntryOf(stand.sale.waiting[0] ?? ''));
      },
      ['LINE_UNTRACKED'],
    ],
    [
      'a ticket that nobody has',
      () =>
        redis().lrem(
          stand.redisKey('tickets', stand.sale.saleId, stand.sale.shirt),
          1,
          ticketEntryOf(first(stand.sale.waiting)),
        ),
      ['LINE_UNTRACKED', 'TICKET_MISSING', 'UNKNOWN_TO_REDIS', 'WAITING_MISMATCH'],
    ],
    [
      'a second ticket of one number',
      () => stand.changeRecord(stand.sale.waiting[1] ?? '', { ticket: 10 }),
      ['LINE_UNTRACKED', 'ROW_DIFFERS', 'TICKET_MISSING', 'TICKET_TWICE', 'WAITING_MISMATCH'],
    ],
    [
      'a movement that is in the ledger twice',
      () =>
        stand.sql(
          `INSERT INTO movements SELECT 'pur_other', version, partition, seq, sale_id, sku, d_available, d_held, d_sold, d_loaded, reason, at
             FROM ledger WHERE purchase_id = $1 AND d_sold > 0`,
          [first(stand.sale.paid)],
        ),
      ['LEDGER_MISMATCH'],
    ],
    [
      'a movement that is missing in the ledger',
      async () => {
        await stand.sql('ALTER TABLE movements DISABLE TRIGGER movements_append_only');
        await stand.sql('DELETE FROM movements WHERE purchase_id = $1 AND d_sold > 0', [first(stand.sale.paid)]);
        await stand.sql('ALTER TABLE movements ENABLE TRIGGER movements_append_only');
      },
      ['LEDGER_MISMATCH', 'LEDGER_OF_PURCHASE'],
    ],
    [
      'an order that is missing',
      () => stand.sql('UPDATE purchases SET order_status = NULL WHERE purchase_id = $1', [first(stand.sale.paid)]),
      ['ORDERS_MISMATCH', 'ORDER_MISSING'],
    ],
    [
      'a paid order whose units are not sold',
      () =>
        stand.sql("UPDATE purchases SET order_status = 'CONFIRMED' WHERE purchase_id = $1", [first(stand.sale.held)]),
      ['ORDERS_MISMATCH', 'ORDER_STATUS'],
    ],
    [
      'a purchase that Postgres has lost',
      async () => {
        await stand.sql('ALTER TABLE purchases DISABLE TRIGGER purchases_with_holds_stay');
        await stand.sql('DELETE FROM purchases WHERE purchase_id = $1', [first(stand.sale.held)]);
        await stand.sql('ALTER TABLE purchases ENABLE TRIGGER purchases_with_holds_stay');
      },
      ['LEDGER_MISMATCH', 'ROW_MISSING'],
    ],
    [
      'a purchase that Redis has lost',
      async () => {
        await redis().lrem(
          stand.redisKey('tickets', stand.sale.saleId, stand.sale.shirt),
          1,
          ticketEntryOf(first(stand.sale.held)),
        );
        await stand.loseRecord(first(stand.sale.held));
      },
      ['HELD_MISMATCH', 'HOLD_UNTRACKED', 'LINE_UNTRACKED', 'TICKET_MISSING', 'UNKNOWN_TO_REDIS'],
    ],
  ];

  it.each(planted)('is found: %s', async (_, plant, codes) => {
    await plant();
    await online.audit.round();
    expect(await told()).toEqual({ codes, blocked: [`${stand.sale.shirt} AUDIT`] });
    expect(await checkOf()).toMatchObject({ state: 'DIFFERS' });
    expect(await checkOf(stand.sale.cap)).toMatchObject({ state: 'AGREES' });
    const [outcome] = (
      await stand.shop.outbox.stock.reserve(stand.sale.saleId, stand.sale.shirt, [
        { purchaseId: `pur_05new${'0'.repeat(20)}`, buyer: 'u_new', quantity: 1, fingerprint: 'f' },
      ])
    ).outcomes;
    expect(outcome).toMatchObject({ kind: 'refused', code: 'SALE_PAUSED' });
  });
});
