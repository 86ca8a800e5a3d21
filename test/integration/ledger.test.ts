// The ledger is in two places, the purchases' own rows and the movements: together every movement once, for ever, whatever
// comes late or again, and whatever an older version of the schema has written.
import { copyFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrate } from '../../core/postgres/migrate.ts';
import { int4Array, int8Array, textArray } from '../../core/postgres/arrays.ts';
import { applyRecords } from '../../shop/orders/apply-store.ts';
import { findOrder, listOrders, moveOrder } from '../../shop/orders/store.ts';
import { HELD_TO_AVAILABLE, HELD_TO_SOLD, openTestOutbox, purchaseRecord, type TestOutbox } from '../support/outbox.ts';
import { openTestDatabase, temporaryDirectory, type TestDatabase } from '../support/stack.ts';

const P = 3;
const MIGRATIONS = fileURLToPath(new URL('../../db/migrations/', import.meta.url));
const ledgerOf = async ({ postgres }: Pick<TestOutbox, 'postgres'>, purchaseId: string) =>
  (
    await postgres.query(
      'SELECT version, partition, seq, d_available, d_held, d_sold, reason FROM ledger WHERE purchase_id = $1 ORDER BY version',
      [purchaseId],
    )
  ).rows;
const movementsOf = async ({ postgres }: TestOutbox, purchaseId: string) =>
  (await postgres.query('SELECT FROM movements WHERE purchase_id = $1', [purchaseId])).rowCount;
const NOTHING = { available: 0, held: 0, sold: 0, loaded: 0 };
const END = { version: 3, partition: P, seq: 2, d_available: 1, d_held: -1, d_sold: 0, reason: 'EXPIRED' };
const HOLD = { version: 1, partition: P, seq: 1, d_available: -1, d_held: 1, d_sold: 0, reason: 'RESERVED' };

describe('the ledger', () => {
  let t: TestOutbox;
  beforeAll(async () => {
    t = await openTestOutbox();
  });
  afterAll(() => t.close());
  const apply = (...records: Parameters<typeof applyRecords>[2]) =>
    t.postgres.transaction((tx) => applyRecords(tx, P, records));

  it('takes a hold that comes after what followed it, once', async () => {
    const hold = purchaseRecord({ purchaseId: 'pur_03late0000001', seq: 1 });
    const paid = { ...hold, seq: 2, version: 2, status: 'CONFIRMED' as const, movement: HELD_TO_SOLD };
    await apply(paid);
    for (const _ of [1, 2]) await apply(hold, { ...paid });
    expect(await ledgerOf(t, hold.purchaseId)).toEqual([
      HOLD,
      { version: 2, partition: P, seq: 2, d_available: 0, d_held: -1, d_sold: 1, reason: 'CONFIRMED' },
    ]);
    expect((await findOrder(t.postgres, 'ord_03late0000001'))?.status).toBe('CONFIRMED');
  });

  it('keeps the end of a hold in the purchase, once, whichever way it comes', async () => {
    for (const [n, ways] of [[true], [false], [true, false], [false, false]].entries()) {
      const hold = purchaseRecord({ purchaseId: `pur_03ends000000${n}`, seq: 1 });
      const end = { ...hold, seq: 2, version: 3, status: 'EXPIRED' as const, movement: HELD_TO_AVAILABLE };
      await apply(hold);
      for (const areNew of ways) await t.postgres.transaction((tx) => applyRecords(tx, P, [end], { areNew }));
      expect(await ledgerOf(t, hold.purchaseId)).toEqual([HOLD, END]);
      expect((await findOrder(t.postgres, hold.purchaseId.replace('pur', 'ord')))?.status).toBe('EXPIRED');
      expect(await movementsOf(t, hold.purchaseId)).toBe(0);
    }
  });

  it('keeps the end of a hold that comes with it, or before it', async () => {
    const [together, before] = ['pur_03both0000001', 'pur_03both0000002'].map((purchaseId) => {
      const hold = purchaseRecord({ purchaseId, seq: 1 });
      return [hold, { ...hold, seq: 2, version: 3, status: 'EXPIRED' as const, movement: HELD_TO_AVAILABLE }] as const;
    });
    if (together === undefined || before === undefined) throw new Error('two purchases');
    await t.postgres.transaction((tx) => applyRecords(tx, P, together, { areNew: true }));
    for (const record of before.toReversed()) await apply(record);
    for (const [hold] of [together, before]) expect(await ledgerOf(t, hold.purchaseId)).toEqual([HOLD, END]);
  });

  it('does not take an end again that an older version wrote as a movement, nor from it one that a purchase has', async () => {
    const hold = purchaseRecord({ purchaseId: 'pur_03aged0000001', seq: 1 });
    const end = { ...hold, seq: 2, version: 3, status: 'EXPIRED' as const, movement: HELD_TO_AVAILABLE };
    const asMovement = (purchaseId: string) =>
      t.postgres.query(
        `INSERT INTO movements (purchase_id, version, partition, seq, sale_id, sku, d_available, d_held, d_sold, d_loaded, reason, at)
         SELECT purchase_id, 3, ${P}, 2, sale_id, sku, 1, -1, 0, 0, 'EXPIRED', now() FROM purchases WHERE purchase_id = $1`,
        [purchaseId],
      );
    await apply(hold);
    await asMovement(hold.purchaseId);
    await apply(end);
    expect(await ledgerOf(t, hold.purchaseId)).toEqual([HOLD, END]);
    // One to be tried again: by then the entry is gone, or another worker's.
    await expect(asMovement('pur_03ends0000000')).rejects.toMatchObject({ code: '40001' });
  });

  it('writes changes of purchases that are not there, or newer than thought, as it must', async () => {
    const missing = purchaseRecord({ purchaseId: 'pur_03gone0000001', seq: 1, version: 2, status: 'CANCELLED' });
    const newer = purchaseRecord({ purchaseId: 'pur_03gone0000002', seq: 1, version: 5 });
    const late = { ...newer, version: 4, status: 'CANCELLED' as const, movement: NOTHING };
    await apply(newer);
    await t.postgres.transaction((tx) =>
      applyRecords(tx, P, [{ ...missing, movement: NOTHING }, late], { areNew: true }),
    );
    const { rows } = await t.postgres.query(
      "SELECT status, version FROM purchases WHERE purchase_id LIKE 'pur\\_03gone%' ORDER BY purchase_id",
    );
    expect(rows).toEqual([
      { status: 'CANCELLED', version: 2 },
      { status: 'RESERVED', version: 5 },
    ]);
  });

  it('is append only in both places', async () => {
    const hold = purchaseRecord({ purchaseId: 'pur_03stay0000001', seq: 1 });
    await apply(hold, { ...hold, seq: 2, version: 2, status: 'CONFIRMED', movement: HELD_TO_SOLD });
    const ended = purchaseRecord({ purchaseId: 'pur_03stay0000002', seq: 3 });
    await apply(ended, { ...ended, seq: 4, version: 2, status: 'EXPIRED', movement: HELD_TO_AVAILABLE });
    for (const change of [
      'UPDATE purchases SET end_seq = 9',
      'UPDATE purchases SET end_version = NULL, end_seq = NULL, end_at = NULL',
      'UPDATE purchases SET quantity = 2',
      'DELETE FROM purchases',
    ]) {
      const only = t.postgres.query(`${change} WHERE purchase_id = $1`, [ended.purchaseId]);
      await expect(only).rejects.toThrow('append only');
    }
    for (const change of [
      'UPDATE purchases SET hold_seq = 9',
      'UPDATE purchases SET hold_version = NULL, hold_seq = NULL, hold_at = NULL',
      'UPDATE purchases SET quantity = 2',
      'DELETE FROM purchases',
      'UPDATE movements SET d_sold = 2',
      'DELETE FROM movements',
    ]) {
      const only = t.postgres.query(`${change} WHERE purchase_id = $1`, [hold.purchaseId]);
      await expect(only).rejects.toThrow('append only');
    }
  });

  it('takes batches of as many kinds as purchases, and of any text', async () => {
    const records = Array.from({ length: 300 }, (_, i) =>
      purchaseRecord({
        purchaseId: `pur_03kinds${i}`,
        seq: i + 1,
        buyer: `u_"{,\\}' ${i} 𝄞`,
        quantity: 1,
        expiresAt: i,
      }),
    );
    await apply(...records);
    const { rows } = await t.postgres.query<{ buyer_id: string }>(
      "SELECT buyer_id FROM purchases WHERE purchase_id LIKE 'pur\\_03kinds%' ORDER BY ticket",
    );
    expect(rows.map((row) => row.buyer_id)).toEqual(records.map((record) => record.buyer));
  });
});

describe('arrays of parameters', () => {
  it('arrive as they were, or are refused by the server', async () => {
    const database = await openTestDatabase();
    const ints = [0, -1, 2 ** 31, -(2 ** 33) - 7, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER];
    const texts = ['', 'NULL', '{"a",\\}', 'ü𝄞'];
    const same = <T>(value: T): T => value;
    const { rows } = await database.postgres.query(
      'SELECT $1::bigint[]::text AS ints, $2::text[]::text[] AS texts, $3::int[] AS small',
      [int8Array(ints, same), textArray(texts, same), int4Array([-5, 7], same)],
    );
    expect(rows[0]).toEqual({ ints: `{${ints.join(',')}}`, texts, small: [-5, 7] });
    const refused = (value: number) => database.postgres.query('SELECT $1::bigint[]', [int8Array([value], same)]);
    for (const value of [1.5, Number.NaN, 1e300]) await expect(refused(value)).rejects.toMatchObject({ code: /^22/ });
    await database.drop();
  });
});

describe('what was written before purchases held their orders', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await openTestDatabase();
    await database.postgres.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
    const older = temporaryDirectory('older-migrations');
    for (const name of readdirSync(MIGRATIONS)) {
      if (name < '0010') copyFileSync(join(MIGRATIONS, name), join(older, name));
    }
    await migrate(database.postgres, older);
    await database.postgres.query(`
      INSERT INTO purchases (purchase_id, version, status, buyer_id, sale_id, sku, quantity, ticket, unit_price, currency, had_hold, created_at, updated_at)
        SELECT 'pur_03old' || n, 1, 'RESERVED', 'u_old', 'sale_03test', 'SHIRT', 1, n, 500, 'INR', n < 3, now() - n * interval '1 h', now() - interval '1 h'
          FROM generate_series(1, 3) n;
      INSERT INTO orders SELECT 'ord_03old' || n, 'pur_03old' || n, 'u_old', 'sale_03test', CASE n WHEN 1 THEN 'CREATED' ELSE 'PACKED' END, 1, 500, 'INR',
          now() - n * interval '1 h', now() - n * interval '31 min' FROM generate_series(1, 2) n;
      INSERT INTO order_items SELECT order_id, 1, 'SHIRT', 1, 500 FROM orders;
      INSERT INTO ledger SELECT purchase_id, 1, ${P}, 1, sale_id, sku, -1, 1, 0, 0, 'RESERVED', now() FROM purchases WHERE had_hold;
      INSERT INTO orders VALUES ('ord_cart', NULL, 'u_old', NULL, 'CREATED', 1, 700, 'INR', now(), now()),
        ('ord_03lost', 'pur_03lost', 'u_other', 'sale_03test', 'CREATED', 1, 700, 'INR', now(), now());
      INSERT INTO order_items VALUES ('ord_cart', 1, 'SHIRT', 1, 500), ('ord_cart', 2, 'HAT', 2, 100)`);
    await migrate(database.postgres, MIGRATIONS);
  });
  afterAll(() => database.drop());

  it('is there as it was', async () => {
    const orders = await listOrders(database.postgres, { userId: 'u_old', limit: 10 });
    expect(
      orders.map(({ orderId, status, totalAmount, items }) => [orderId, status, totalAmount, items.length]),
    ).toEqual([
      ['ord_cart', 'CREATED', 700, 2],
      ['ord_03old1', 'CREATED', 500, 1],
      ['ord_03old2', 'PACKED', 500, 1],
    ]);
    expect(await findOrder(database.postgres, 'ord_03lost')).toMatchObject({ purchaseId: 'pur_03lost', items: [] });
    expect(await findOrder(database.postgres, 'ord_03old3')).toBeUndefined();
    expect(await ledgerOf(database, 'pur_03old1')).toEqual([HOLD]);
  });

  it('is not counted again when its records come again, and goes on', async () => {
    const hold = purchaseRecord({ purchaseId: 'pur_03old1', seq: 1, unitPrice: 500 });
    const paid = { ...hold, seq: 2, version: 2, status: 'CONFIRMED' as const, movement: HELD_TO_SOLD };
    for (const records of [[hold], [hold, paid]]) {
      await database.postgres.transaction((tx) => applyRecords(tx, P, records));
    }
    expect((await ledgerOf(database, 'pur_03old1')).map((row) => row['version'])).toEqual([1, 2]);
    expect(await moveOrder(database.postgres, 'ord_03old1', 'CONFIRMED', 'PACKED')).toBe(true);
    expect(await moveOrder(database.postgres, 'ord_cart', 'CREATED', 'CANCELLED')).toBe(true);
    expect(await moveOrder(database.postgres, 'ord_03old1', 'CONFIRMED', 'PACKED')).toBe(false);
  });
});
