// A record that Postgres refuses costs its own purchase and nothing else; what is not the data's fault costs nothing.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keys } from '../../actors/keys.ts';
import { SYSTEMIC_REFUSALS_MIN } from '../../core/constants.ts';
import { randomId } from '../../core/ids.ts';
import { isInfrastructureError } from '../../core/postgres/postgres.ts';
import { createDeadRecords } from '../../shop/orders/dead-records.ts';
import { findPurchase } from '../../shop/sales/purchase-store.ts';
import { saleOf } from '../support/stock.ts';
import { insertTestSale, openTestOutbox, purchaseRecord, stockRecord, type TestOutbox } from '../support/outbox.ts';

const P = 3;
let t: TestOutbox;
beforeAll(async () => {
  t = await openTestOutbox();
  await insertTestSale(t.postgres, 'sale_03test');
});
afterAll(() => t.close());
beforeEach(async () => {
  t.jobs.length = 0;
  await t.redis.del(keys.outbox(P));
  await t.postgres.query('DELETE FROM dead_records');
});

let seq = 1000;
const next = () => ++seq;
const newId = () => randomId('pur', P);
const dead = () => createDeadRecords({ postgres: t.postgres, stock: t.stock });
const applyAll = async () => t.apply()({ partition: P, entryIds: await t.read(P) });

/** A real hold in Redis, whose own entries are removed: the test writes what Postgres shall hear of it. */
async function holdOf(): Promise<{ purchaseId: string; saleId: string }> {
  const sale = saleOf();
  await t.stock.createSale(sale);
  const purchaseId = newId();
  await t.stock.reserve(sale.saleId, 'SHIRT', [{ purchaseId, buyer: 'u_1', quantity: 1, fingerprint: 'f' }]);
  await t.redis.del(keys.outbox(P));
  seq = Math.max(seq, Number(await t.redis.hget(keys.fence(P), 'seq')));
  return { purchaseId, saleId: sale.saleId };
}
const statusOf = async (purchaseId: string) => (await t.stock.look([purchaseId]))[0]?.status;

describe('a record that Postgres refuses', () => {
  it.each([
    ['a NUL in a text', { buyer: 'u_\0' }],
    ['a number beyond its type', { quantity: 2 ** 40 }],
    ['a status that does not exist', { status: 'LOST' as never }],
    ['a movement that breaks the balance', { movement: { available: -1, held: 2, sold: 0, loaded: 0 } }],
    [
      'a text too long for its index',
      { purchaseId: `pur_03${Array.from({ length: 400 }, () => randomId('x')).join('')}` },
    ],
  ])('ends one purchase of a batch: %s', async (_, poison) => {
    const hold = await holdOf();
    const good = Array.from({ length: 9 }, () => purchaseRecord({ purchaseId: newId(), seq: next() }));
    const bad = purchaseRecord({ purchaseId: hold.purchaseId, seq: next(), ...poison });
    await t.write(P, [...good.slice(0, 4), bad, ...good.slice(4)]);
    await applyAll();
    for (const { purchaseId } of good)
      expect(await findPurchase(t.postgres, purchaseId)).toMatchObject({ status: 'RESERVED' });
    const [found, ...others] = await dead().list();
    expect(others).toEqual([]);
    expect(found).toMatchObject({ kind: 'purchase', partition: P, replayedAt: 0 });
    // The one whose id itself was unusable cannot be released by it.
    const isKnown = bad.purchaseId === hold.purchaseId;
    expect(found?.outcome).toBe(isKnown ? 'RELEASED' : 'NOT_FOUND');
    expect(await statusOf(hold.purchaseId)).toBe(isKnown ? 'CANCELLED' : 'RESERVED');
    const started = t.jobs
      .filter((job) => job.name === 'payment.start')
      .flatMap((job) => (job.payload as { purchaseIds: string[] }).purchaseIds);
    expect(started.sort()).toEqual(good.map((record) => record.purchaseId).sort());
    if (isKnown) expect(await dead().replay(found?.deadId ?? '')).toEqual({ kind: 'ended', status: 'CANCELLED' });
  });

  it('is written down once, however often its entry comes, and its release is applied', async () => {
    const hold = await holdOf();
    const id = await t.write(P, [
      purchaseRecord({ purchaseId: hold.purchaseId, seq: next(), saleId: hold.saleId, buyer: '\0' }),
    ]);
    await t.read(P);
    let deaths = 0;
    const dies = t.apply({
      stepHook: (step) => {
        if (step === 'committed' && deaths++ < 2) throw new Error('killed');
      },
    });
    for (const _ of [1, 2]) await expect(dies({ partition: P, entryIds: [id] })).rejects.toThrow('killed');
    await dies({ partition: P, entryIds: [id] });
    expect(await dead().list()).toHaveLength(1);
    await applyAll();
    expect(await findPurchase(t.postgres, hold.purchaseId)).toMatchObject({
      status: 'CANCELLED',
      reason: 'DATA_ERROR',
      buyer: 'u_1',
    });
    const { rows } = await t.postgres.query('SELECT status FROM orders WHERE purchase_id = $1', [hold.purchaseId]);
    expect(rows).toEqual([{ status: 'FAILED' }]);
    expect(await t.left(P)).toEqual([]);
  });

  it('can be replayed by the operator while its purchase lives', async () => {
    const hold = await holdOf();
    await t.stock.confirm([{ purchaseId: hold.purchaseId, paymentRef: 'pi_1' }]);
    await t.redis.del(keys.outbox(P));
    seq = Number(await t.redis.hget(keys.fence(P), 'seq'));
    const record = purchaseRecord({ purchaseId: hold.purchaseId, seq: next(), version: 2, status: 'CONFIRMED' });
    await t.postgres.query('ALTER TABLE purchases ADD CONSTRAINT no_confirm CHECK (status <> $$CONFIRMED$$) NOT VALID');
    await t.write(P, [record]);
    await applyAll();
    const [found] = await dead().list();
    // Paid: it is not taken from its buyer, the operator decides.
    expect(found).toMatchObject({ purchaseId: hold.purchaseId, outcome: 'CONFIRMED' });
    expect(await dead().replay(found?.deadId ?? '')).toMatchObject({ kind: 'refused' });
    await t.postgres.query('ALTER TABLE purchases DROP CONSTRAINT no_confirm');
    expect(await dead().replay(found?.deadId ?? '')).toEqual({ kind: 'replayed' });
    expect(await dead().replay(found?.deadId ?? '')).toEqual({ kind: 'already_replayed' });
    expect(await dead().replay('dead-none')).toEqual({ kind: 'not_found' });
    expect(await findPurchase(t.postgres, hold.purchaseId)).toMatchObject({ status: 'CONFIRMED' });
  });

  it('keeps an entry that cannot be read, raw, and goes on', async () => {
    const junk = Buffer.from([0xc1, 0xff, 0x00]);
    await t.writeBytes(P, next(), 1, junk);
    const good = purchaseRecord({ purchaseId: newId(), seq: next() });
    await t.write(P, [good]);
    await t.write(P, [stockRecord({ movementId: 'broken', seq: next(), by: 1, saleId: '\0' })]);
    await applyAll();
    expect(await findPurchase(t.postgres, good.purchaseId)).toBeDefined();
    const found = await dead().list();
    expect(found.map((record) => record.kind).sort()).toEqual(['stock', 'unreadable']);
    const unreadable = found.find((record) => record.kind === 'unreadable');
    expect(unreadable?.bytes).toEqual(junk);
    expect(await dead().replay(unreadable?.deadId ?? '')).toMatchObject({ kind: 'refused' });
    expect(await t.left(P)).toEqual([]);
  });
});

describe('what is not the fault of the data', () => {
  it('ends no purchase when the schema is wrong: the entry stays and is tried again', async () => {
    const hold = await holdOf();
    const id = await t.write(P, [purchaseRecord({ purchaseId: hold.purchaseId, seq: next() })]);
    await t.read(P);
    await t.postgres.query('ALTER TABLE purchases RENAME TO purchases_away');
    const failure = await t
      .apply()({ partition: P, entryIds: [id] })
      .catch((error: unknown) => error);
    // To the queue it is a reason to try again, for ever, and never a dead letter.
    expect(isInfrastructureError(failure)).toBe(true);
    expect(await t.left(P)).toEqual([id]);
    expect(await statusOf(hold.purchaseId)).toBe('RESERVED');
    await t.postgres.query('ALTER TABLE purchases_away RENAME TO purchases');
    await t.apply()({ partition: P, entryIds: [id] });
    expect(await findPurchase(t.postgres, hold.purchaseId)).toMatchObject({ status: 'RESERVED' });
  });

  it('stops instead of ending a whole batch that is refused', async () => {
    const records = Array.from({ length: SYSTEMIC_REFUSALS_MIN }, () =>
      purchaseRecord({ purchaseId: newId(), seq: next(), currency: 'inr' }),
    );
    const id = await t.write(P, records);
    await t.read(P);
    await expect(t.apply()({ partition: P, entryIds: [id] })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await dead().list()).toEqual([]);
    expect(await t.left(P)).toEqual([id]);
  });

  it('starts over when the partition was rebuilt between reading and writing', async () => {
    const record = purchaseRecord({ purchaseId: newId(), seq: next() });
    const id = await t.write(P, [record]);
    await t.read(P);
    const raise = () =>
      t.postgres.query('UPDATE partitions SET epoch = epoch + 1 WHERE partition = $1', [P]).then(() => undefined);
    const meanwhile = t.apply({ stepHook: (step) => (step === 'read' ? raise() : undefined) });
    await expect(meanwhile({ partition: P, entryIds: [id] })).rejects.toMatchObject({ code: 'FENCED' });
    expect(await findPurchase(t.postgres, record.purchaseId)).toBeUndefined();
    await t.apply()({ partition: P, entryIds: [id] });
    expect(await findPurchase(t.postgres, record.purchaseId)).toBeDefined();
  });
});
