// Whatever jobs the queue hands out first: Postgres has a partition's records in the order of the outbox, without a gap.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keys } from '../../actors/keys.ts';
import { randomId } from '../../core/ids.ts';
import { insertTestSale, openTestOutbox, purchaseRecord, type TestOutbox } from '../support/outbox.ts';

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

/** Entries of one hold each, handed out. */
async function hold(count: number): Promise<{ purchaseIds: string[]; entryIds: string[] }> {
  const purchaseIds: string[] = [];
  for (let i = 0; i < count; i++) {
    const purchaseId = randomId('pur', P);
    await t.write(P, [purchaseRecord({ purchaseId, seq: ++seq })]);
    purchaseIds.push(purchaseId);
  }
  return { purchaseIds, entryIds: await t.read(P) };
}

const known = async (purchaseIds: readonly string[]): Promise<string[]> => {
  const { rows } = await t.postgres.query<{ id: string }>(
    'SELECT purchase_id AS id FROM purchases WHERE purchase_id = ANY($1::text[]) ORDER BY hold_seq',
    [purchaseIds],
  );
  return rows.map(({ id }) => id);
};
const applied = async (): Promise<number | undefined> =>
  (await t.postgres.query<{ seq: number }>('SELECT seq FROM partitions WHERE partition = $1', [P])).rows[0]?.seq;

describe('a batch of the outbox', () => {
  it('takes with it what must come before it and no other job has committed', async () => {
    const { purchaseIds, entryIds } = await hold(3);
    await t.apply()({ partition: P, entryIds: entryIds.slice(2) });
    expect(await known(purchaseIds)).toEqual(purchaseIds);
    expect(await applied()).toBe(seq);
    expect(await t.left(P)).toEqual([]);
    const started = t.jobs.filter(({ name }) => name === 'payment.start').map(({ payload }) => payload);
    expect(started.flatMap((payload) => (payload as { purchaseIds: string[] }).purchaseIds)).toEqual(purchaseIds);
    await t.apply()({ partition: P, entryIds: entryIds.slice(0, 2) }); // nothing is left to do
    expect(await known(purchaseIds)).toEqual(purchaseIds);
  });

  it('waits for one of the same process that was begun before it, however long that one reads', async () => {
    const { entryIds } = await hold(2);
    const { promise: reading, resolve: goOn } = Promise.withResolvers<void>();
    const order: string[] = [];
    let readers = 0;
    const apply = t.apply({
      stepHook: async (step) => {
        order.push(step);
        if (step === 'read' && ++readers === 1) await reading;
      },
    });
    const first = apply({ partition: P, entryIds: entryIds.slice(0, 1) });
    const second = apply({ partition: P, entryIds: entryIds.slice(1) });
    await expect.poll(() => readers).toBe(2);
    expect(await applied()).toBe(seq - 2);
    goOn();
    await Promise.all([first, second]);
    expect(order.slice(0, 3)).toEqual(['read', 'read', 'committed']);
    expect(await applied()).toBe(seq);
  });

  it('does not wait for one that failed', async () => {
    const { purchaseIds, entryIds } = await hold(2);
    const { promise: reading, resolve: goOn } = Promise.withResolvers<void>();
    let readers = 0;
    const apply = t.apply({
      stepHook: async (step) => {
        if (step !== 'read' || ++readers > 1) return;
        await reading;
        throw new Error('killed');
      },
    });
    const first = apply({ partition: P, entryIds: entryIds.slice(0, 1) });
    await expect.poll(() => readers).toBe(1);
    const second = apply({ partition: P, entryIds: entryIds.slice(1) });
    await expect.poll(() => readers).toBe(2);
    goOn();
    await expect(first).rejects.toThrow('killed');
    await second;
    expect(await known(purchaseIds)).toEqual(purchaseIds);
  });

  it('stops at a gap: what is missing may be what Redis has just lost; a rebuild takes what there is', async () => {
    const { purchaseIds, entryIds } = await hold(3);
    await t.redis.xdel(keys.outbox(P), entryIds[1] ?? '');
    const job = { partition: P, entryIds: entryIds.slice(2) };
    await expect(t.apply({ crossesGaps: false })(job)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await known(purchaseIds)).toEqual([]);
    await t.apply()(job);
    expect(await known(purchaseIds)).toEqual([purchaseIds[0], purchaseIds[2]]);
    expect(await applied()).toBe(seq);
  });
});
