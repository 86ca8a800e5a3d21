// The outbox's records become rows: whatever their order, however often, whichever of a batch cannot be stored.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { findPurchase } from '../../shop/sales/purchase-store.ts';
import { findSale, saleOfSku } from '../../shop/sales/store.ts';
import { findOrder, listOrders, moveOrder } from '../../shop/orders/store.ts';
import {
  HELD_TO_AVAILABLE,
  HELD_TO_SOLD,
  insertTestSale,
  openTestOutbox,
  purchaseRecord,
  saleRecord,
  stockRecord,
  type TestOutbox,
} from '../support/outbox.ts';

const P = 3;
let t: TestOutbox;
let seq = 0;
beforeAll(async () => {
  t = await openTestOutbox();
  await insertTestSale(t.postgres, 'sale_03test');
});
afterAll(() => t.close());
beforeEach(() => {
  t.jobs.length = 0;
});

const next = () => ++seq;
let ids = 0;
const newId = () => `pur_03aaaaaa${String(++ids).padStart(6, '0')}`;
const applyAll = async (overrides = {}) => t.apply(overrides)({ partition: P, entryIds: await t.read(P) });
const ledgerOf = async (purchaseId: string) =>
  (
    await t.postgres.query(
      'SELECT version, d_available, d_held, d_sold, reason FROM ledger WHERE purchase_id = $1 ORDER BY version',
      [purchaseId],
    )
  ).rows;
const orderOf = (purchaseId: string) => findOrder(t.postgres, `ord_${purchaseId.slice(4)}`);

describe('outbox.apply', () => {
  it('writes purchase, order, item and ledger row of a hold, exactly as it was', async () => {
    const record = purchaseRecord({
      purchaseId: newId(),
      seq: next(),
      quantity: 2,
      movement: { available: -2, held: 2, sold: 0, loaded: 0 },
    });
    await t.write(P, [record]);
    await applyAll();
    const { kind: _, seq: __, movement: ___, ...purchase } = record;
    expect(await findPurchase(t.postgres, record.purchaseId)).toEqual(purchase);
    expect(await orderOf(record.purchaseId)).toMatchObject({
      status: 'CREATED',
      userId: 'u_buyer',
      purchaseId: record.purchaseId,
      totalAmount: 99_800,
      createdAt: record.createdAt,
      items: [{ sku: 'SHIRT', quantity: 2, unitPrice: 49_900 }],
    });
    expect(await ledgerOf(record.purchaseId)).toEqual([
      { version: 1, d_available: -2, d_held: 2, d_sold: 0, reason: 'RESERVED' },
    ]);
    expect(await t.left(P)).toEqual([]);
  });

  it('keeps the place of one who waits, without an order', async () => {
    const id = newId();
    await t.write(P, [purchaseRecord({ purchaseId: id, seq: next(), status: 'WAITING' })]);
    await applyAll();
    expect(await findPurchase(t.postgres, id)).toMatchObject({ status: 'WAITING', expiresAt: 0 });
    expect(await orderOf(id)).toBeUndefined();
    expect(await ledgerOf(id)).toEqual([]);
  });

  it('ends with the newest version and every movement when the newer batch comes first', async () => {
    const id = newId();
    const first = await t.write(P, [purchaseRecord({ purchaseId: id, seq: next() })]);
    const second = await t.write(P, [
      purchaseRecord({ purchaseId: id, seq: next(), version: 2, status: 'CONFIRMED', movement: HELD_TO_SOLD }),
    ]);
    await t.read(P);
    await t.apply()({ partition: P, entryIds: [second] });
    await t.apply()({ partition: P, entryIds: [first] });
    expect(await findPurchase(t.postgres, id)).toMatchObject({ status: 'CONFIRMED', version: 2 });
    expect(await orderOf(id)).toMatchObject({ status: 'CONFIRMED', version: 2, items: [{ quantity: 1 }] });
    expect((await ledgerOf(id)).map((row) => row.version)).toEqual([1, 2]);
  });

  it('takes several versions of a purchase in one batch, in any order, twice over', async () => {
    const id = newId();
    const records = [
      purchaseRecord({ purchaseId: id, seq: next(), version: 3, status: 'EXPIRED', movement: HELD_TO_AVAILABLE }),
      purchaseRecord({ purchaseId: id, seq: next(), version: 1, status: 'WAITING' }),
      purchaseRecord({ purchaseId: id, seq: next(), version: 2 }),
      purchaseRecord({ purchaseId: id, seq: seq, version: 2 }),
    ];
    await t.write(P, records);
    await t.write(
      P,
      records.map((r) => ({ ...r, seq: r.seq + 10 })),
    );
    seq += 10;
    await applyAll();
    expect(await findPurchase(t.postgres, id)).toMatchObject({ status: 'EXPIRED', version: 3 });
    expect(await orderOf(id)).toMatchObject({ status: 'EXPIRED' });
    expect((await ledgerOf(id)).map((row) => row.version)).toEqual([2, 3]);
    // It got its hold and lost it within the batch: nothing to start.
    expect(new Set(t.jobs.map((job) => job.name))).toEqual(new Set(['hold.expire', 'payment.cancel']));
  });

  it('asks for the payments of ended holds to be cancelled where there are any', async () => {
    const end = { version: 2, status: 'EXPIRED', movement: HELD_TO_AVAILABLE } as const;
    const held = [1, 2, 3].map(() => purchaseRecord({ purchaseId: newId(), seq: next() }));
    await t.write(P, held);
    await applyAll();
    t.jobs.length = 0;
    await t.write(
      P,
      held.map((record) => ({ ...record, ...end, seq: next() })),
    );
    const [, begun] = held.map(({ purchaseId }) => purchaseId);
    const asked: unknown[] = [];
    const begunAmong = async (purchaseIds: readonly string[]) => {
      asked.push(purchaseIds);
      return new Set([begun]);
    };
    await applyAll({ begunAmong });
    expect(asked).toEqual([held.map(({ purchaseId }) => purchaseId)]);
    expect(t.jobs.map(({ name, payload }) => [name, payload])).toEqual([['payment.cancel', { purchaseIds: [begun] }]]);
    for (const { purchaseId } of held) expect(await orderOf(purchaseId)).toMatchObject({ status: 'EXPIRED' });
  });

  it('does not take a packed order back to CONFIRMED, and lets a refund through', async () => {
    const id = newId();
    await t.write(P, [
      purchaseRecord({ purchaseId: id, seq: next(), version: 2, status: 'CONFIRMED', movement: HELD_TO_SOLD }),
    ]);
    await applyAll();
    expect(await moveOrder(t.postgres, `ord_${id.slice(4)}`, 'CONFIRMED', 'PACKED')).toBe(true);
    await t.write(P, [
      purchaseRecord({ purchaseId: id, seq: next(), version: 3, status: 'CONFIRMED', isRefundDue: true }),
    ]);
    await applyAll();
    expect(await orderOf(id)).toMatchObject({ status: 'PACKED', version: 3 });
    await t.write(P, [
      purchaseRecord({
        purchaseId: id,
        seq: next(),
        version: 4,
        status: 'REFUNDED',
        movement: { available: 1, held: 0, sold: -1, loaded: 0 },
      }),
    ]);
    await applyAll();
    expect(await orderOf(id)).toMatchObject({ status: 'REFUNDED' });
  });

  it('loads stock once, follows the sale, and lets its SKUs go when it is closed', async () => {
    await insertTestSale(t.postgres, 'sale_03gone', { sku: 'HAT' });
    const load = stockRecord({ movementId: 'load-1', seq: next(), by: 25, saleId: 'sale_03gone', sku: 'HAT' });
    await t.write(P, [
      load,
      { ...load, movementId: 'load-2', seq: next() },
      saleRecord({ seq: next(), version: 1, saleId: 'sale_03gone' }),
    ]);
    await t.write(P, [{ ...load, seq: next() }]);
    await applyAll();
    expect(await findSale(t.postgres, 'sale_03gone')).toMatchObject({
      status: 'OPEN',
      isInstalled: true,
      items: [{ loaded: 50, isLive: true }],
    });
    await t.write(P, [
      saleRecord({ seq: next(), version: 3, saleId: 'sale_03gone', status: 'CLOSED' }),
      saleRecord({ seq: next(), version: 2, saleId: 'sale_03gone', status: 'PAUSED' }),
    ]);
    await applyAll();
    expect(await findSale(t.postgres, 'sale_03gone')).toMatchObject({ status: 'CLOSED', version: 3 });
    expect(await insertTestSale(t.postgres, 'sale_03next', { sku: 'HAT' })).toEqual({ kind: 'inserted' });
    expect(await saleOfSku(t.postgres, 'HAT')).toEqual({ saleId: 'sale_03next', isLive: true });
    expect(await insertTestSale(t.postgres, 'sale_03other', { sku: 'HAT' })).toEqual({
      kind: 'sku_taken',
      sku: 'HAT',
      saleId: 'sale_03next',
    });
    expect(await findSale(t.postgres, 'sale_03other')).toBeUndefined();
  });

  it('remembers the highest position that it applied, never a lower one', async () => {
    const high = await t.write(P, [purchaseRecord({ purchaseId: newId(), seq: (seq += 50) })]);
    await t.read(P);
    await t.apply()({ partition: P, entryIds: [high] });
    const at = async () =>
      (await t.postgres.query<{ seq: number }>('SELECT seq FROM partitions WHERE partition = $1', [P])).rows[0]?.seq;
    expect(await at()).toBe(seq);
    await t.apply()({ partition: P, entryIds: [high] });
    expect(await at()).toBe(seq);
  });

  it('pages a user through the orders, newest first', async () => {
    const purchaseIds = [1, 2, 3].map(newId);
    await t.write(
      P,
      purchaseIds.map((purchaseId, i) =>
        purchaseRecord({ purchaseId, seq: next(), buyer: 'u_pager', createdAt: 1_800_000_000_000 + i }),
      ),
    );
    await applyAll();
    const first = await listOrders(t.postgres, { userId: 'u_pager', limit: 2 });
    const second = await listOrders(t.postgres, { userId: 'u_pager', limit: 2, after: first[1]?.orderId });
    expect([...first, ...second].map((order) => order.purchaseId)).toEqual(purchaseIds.toReversed());
  });

  it('ends a cart order whose hold ended, and starts no payment for its holds', async () => {
    await t.postgres.query(
      `INSERT INTO cart_orders (order_id, user_id, status, version, total_amount, currency, created_at, updated_at)
       VALUES ('ord_cart1', 'u_1', 'CREATED', 1, 100, 'INR', now(), now())`,
    );
    const id = newId();
    await t.write(P, [purchaseRecord({ purchaseId: id, seq: next(), orderRef: 'ord_cart1' })]);
    await applyAll();
    expect(t.jobs.map((job) => job.name)).toEqual(['hold.expire']);
    expect(await orderOf(id)).toBeUndefined();
    await t.write(P, [
      purchaseRecord({
        purchaseId: id,
        seq: next(),
        version: 2,
        status: 'EXPIRED',
        orderRef: 'ord_cart1',
        movement: HELD_TO_AVAILABLE,
      }),
    ]);
    await applyAll();
    expect(await findOrder(t.postgres, 'ord_cart1')).toMatchObject({ status: 'EXPIRED' });
  });
});
