// Rows by COPY are the rows that a statement would have written; and where they cannot be, nothing is.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COPY_BUFFER_BYTES } from '../../core/constants.ts';
import { CopyRows } from '../../core/postgres/copy-rows.ts';
import { applyRecords } from '../../shop/orders/apply-store.ts';
import { HELD_TO_AVAILABLE, openTestOutbox, purchaseRecord, type TestOutbox } from '../support/outbox.ts';

const P = 3;
const COPY = 'COPY things (word, small, large, flag, at) FROM STDIN (FORMAT binary)';
let t: TestOutbox;
beforeAll(async () => {
  t = await openTestOutbox();
  await t.postgres.query('CREATE TABLE things (word text, small int UNIQUE, large bigint, flag bool, at timestamptz)');
});
afterAll(() => t.close());

type Thing = readonly [word: string | null, small: number, large: number | null, flag: boolean, at: number | null];
function copyOf(things: readonly Thing[]): Buffer | undefined {
  const copy = new CopyRows(1);
  for (const [word, small, large, flag, at] of things) {
    copy.row(5);
    copy.text(word);
    copy.int4(small);
    copy.int8(large);
    copy.bool(flag);
    copy.time(at);
  }
  return copy.bytes();
}
const things = async () =>
  (await t.postgres.query<{ word: string }>('SELECT word, small, large, flag, at FROM things ORDER BY small')).rows;

describe('a COPY', () => {
  it('takes every kind of value', async () => {
    const rows: Thing[] = [
      ['', -(2 ** 31), Number.MIN_SAFE_INTEGER, true, 0],
      [null, 0, null, false, null],
      ['"{,\\}\' 𝄞\n', 2 ** 31 - 1, Number.MAX_SAFE_INTEGER, true, 1_785_500_000_123],
    ];
    expect((await t.postgres.query(COPY, [copyOf(rows)])).rowCount).toBe(3);
    expect(await things()).toEqual(
      rows.map(([word, small, large, flag, at]) => ({
        word,
        small,
        large,
        flag,
        at: at === null ? null : new Date(at),
      })),
    );
  });

  it('writes every batch in a place of its own as long as it is needed', async () => {
    await t.postgres.query('CREATE TABLE many (nr int, word text)');
    const send = (batch: number) => {
      const rows = new CopyRows(COPY_BUFFER_BYTES);
      for (let n = 0; n < 3_000; n += 1) {
        rows.row(2);
        rows.int4(batch);
        rows.text(`${batch}-${'x'.repeat(200)}`);
      }
      return t.postgres.query('COPY many (nr, word) FROM STDIN (FORMAT binary)', [rows.bytes()]);
    };
    for (const batches of [[1], [2, 3, 4, 5, 6, 7], [8, 9]]) await Promise.all(batches.map(send));
    const { rows } = await t.postgres.query(
      "SELECT count(*)::int AS rows, count(DISTINCT nr)::int AS batches FROM many WHERE word = nr || '-' || repeat('x', 200)",
    );
    expect(rows).toEqual([{ rows: 27_000, batches: 9 }]);
  });

  it('has no rows for a value that does not fit its type', () => {
    const odd: readonly unknown[][] = [
      [1, 1, 1, true, 0],
      ['a', 2 ** 31, 1, true, 0],
      ['a', 1, 0.5, true, 0],
    ];
    for (const row of odd) expect(copyOf([row as unknown as Thing])).toBeUndefined();
  });

  it('that is refused leaves nothing, and a connection that goes on', async () => {
    const before = (await things()).length;
    const twice = copyOf(
      Array.from({ length: 2_000 }, (_, i): Thing => ['x'.repeat(200), 7 + (i % 1_500), 1, true, 0]),
    );
    for (const rows of [twice, copyOf([['a\0b', 5, 1, true, 0]]), Buffer.from([0, 9])]) {
      const attempt = t.postgres.transaction(async (tx) => {
        await tx.query("INSERT INTO things (word) VALUES ('first')");
        await tx.query(COPY, [rows]);
      });
      await expect(attempt).rejects.toMatchObject({ code: expect.stringMatching(/^2[23]/) });
      expect((await things()).length).toBe(before);
    }
    await expect(t.postgres.query('COPY nowhere (a) FROM STDIN (FORMAT binary)', [twice])).rejects.toThrow('nowhere');
    await expect(t.postgres.query(COPY, [[]])).rejects.toThrow('Buffer');
    expect((await t.postgres.query(COPY, [copyOf([['last', 3, 1, true, 0]])])).rowCount).toBe(1);
  });
});

describe('records that were surely never applied', () => {
  const all = ['purchases', 'ledger', 'orders'];
  const rowsOf = async (prefix: string) => {
    const tables = all.map((table) =>
      t.postgres.query(`SELECT * FROM ${table} WHERE purchase_id LIKE $1 ORDER BY purchase_id`, [`pur_03${prefix}%`]),
    );
    return JSON.parse(
      JSON.stringify((await Promise.all(tables)).map(({ rows }) => rows)).replaceAll(`03${prefix}`, '03'),
    ) as unknown;
  };
  const history = (prefix: string) => {
    const at = (name: string) => `pur_03${prefix}${name}`;
    const held = purchaseRecord({
      purchaseId: at('held'),
      seq: 1,
      quantity: 2,
      movement: { available: -2, held: 2, sold: 0, loaded: 0 },
    });
    const ended = purchaseRecord({ purchaseId: at('ended'), seq: 2, buyer: 'u_𝄞' });
    const end = { version: 2, status: 'EXPIRED', reason: 'HOLD_EXPIRED', movement: HELD_TO_AVAILABLE } as const;
    return [
      [
        held,
        ended,
        { ...ended, ...end, seq: 3 },
        purchaseRecord({ purchaseId: at('waits'), seq: 4, status: 'WAITING' }),
      ],
      [
        purchaseRecord({ purchaseId: at('waits'), seq: 5, version: 2 }),
        { ...held, ...end, seq: 6, movement: { available: 2, held: -2, sold: 0, loaded: 0 } },
      ],
      [purchaseRecord({ purchaseId: at('cart'), seq: 7, orderRef: 'ord_03cart', reason: 'why', isRefundDue: true })],
    ];
  };

  it('become the same rows as others', async () => {
    for (const [prefix, areNew] of [
      ['copied', true],
      ['stated', false],
    ] as const) {
      for (const records of history(prefix)) {
        await t.postgres.transaction((tx) => applyRecords(tx, P, records, { areNew }));
      }
    }
    const copied = await rowsOf('copied');
    expect((copied as unknown[][]).map((rows) => rows.length)).toEqual([4, 6, 3]);
    expect(copied).toEqual(await rowsOf('stated'));
  });
});
