// A bad item in the middle of a batch is answered alone: it changes nothing, and its neighbours get what they asked for.
// The input here is what the typed store would never send.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { unownedPurchaseId } from '../../actors/purchase-ids.ts';
import { randomId } from '../../core/ids.ts';
import { pack } from '../../core/redis/msgpack.ts';
import { idOf, openTestStock, PARTITION, readCensus, saleOf, type TestStock } from '../support/stock.ts';
import { spoilStored } from '../support/stored-purchase.ts';

let t: TestStock;
let saleId: string;
let ids: string[];
const TAG = `db:{p${PARTITION}}:`;
const corruptId = `pur_0${PARTITION}corruptcorrupt`;
const foreignId = `pur_0${PARTITION}foreignforeign`;

beforeAll(async () => {
  t = await openTestStock();
});
beforeEach(async () => {
  await t.reset();
  const sale = saleOf({ stock: 10, perBuyerLimit: 3 });
  saleId = sale.saleId;
  await t.stock.createSale(sale);
  ids = (await t.buy(saleId, [{}, {}, {}])).map(idOf);
  await spoilStored(t.redis, TAG, corruptId, Buffer.from([0xc1, 0xff, 0x00]));
  // Sound msgpack, but no purchase: a text where a number belongs.
  const fields = ['u', 1, 1, 1, 'RESERVED', 1, 1, false, 0, '', '', '', 0];
  await spoilStored(t.redis, TAG, foreignId, Buffer.concat(fields.map(pack)));
});
afterAll(() => t.close());

/** The columns of a batch are told apart here; what an item lacks is nothing that a script could take for it. */
async function reserve(items: readonly (readonly unknown[])[]): Promise<unknown> {
  const column = (place: number) => items.map((item) => item[place] ?? false);
  const batch = [saleId, 'SHIRT', column(0), column(1), column(2), column(3)];
  const [answer] = (await t.run('reserve', [1_000, [batch]])) as [unknown, unknown][];
  return answer?.[1];
}

const BAD_IDS = [[], [7], [false], [''], ['nobody'], [{ a: 1 }], 'text', 5, true, [[]], [corruptId], [foreignId]];

describe('a bad item', () => {
  it.each([
    ['confirm', ['pi'], 'CONFIRMED'],
    ['release', ['', 'BUYER'], 'RELEASED'],
    ['mark', ['PAYMENT_PENDING', ''], 'MARKED'],
  ] as const)('of %s changes nothing for the others', async (verb, rest, good) => {
    const [first, second] = ids;
    const reply = await t.run(verb, [[[first, ...rest], ...BAD_IDS, [second, ...rest]]]);
    const rows = reply as [string, string, unknown][];
    expect(rows.map((row) => row[1])).toEqual([
      good,
      ...Array.from({ length: BAD_IDS.length - 2 }, () => 'NOT_FOUND'),
      ...['CORRUPT', 'CORRUPT', good],
    ]);
    const { purchases } = await readCensus(t.stock, saleId);
    expect(purchases[2]).toMatchObject({ status: 'RESERVED', version: 1 });
  });

  it('of these verbs with other arguments of a wrong type does what can be done', async () => {
    const [a, b, c] = ids;
    expect(await t.run('confirm', [[[a, { not: 'text' }]]])).toMatchObject([[a, 'CONFIRMED', expect.anything()]]);
    const marks = (await t.run('mark', [[[b, 5], [b], [b, 'CONFIRMED']]])) as unknown[][];
    expect(marks.map((row) => row[1])).toEqual(['ILLEGAL', 'ILLEGAL', 'ILLEGAL']);
    // A stranger is not shown the purchase either.
    const nothing = [c, 'NOT_FOUND', false];
    expect(await t.run('release', [[[c, 5, 'BUYER'], [c], [c, 'u_nobody', 'BUYER']]])).toEqual([
      nothing,
      nothing,
      nothing,
    ]);
  });

  it('of reserve is BAD_REQUEST alone', async () => {
    const id = () => unownedPurchaseId(PARTITION);
    const bad = [
      ...[['text'], [5], [true], [[]], [id()], [id(), 'u', 0, 'f'], [id(), 'u', -1, 'f'], [id(), 'u', 1.5, 'f']],
      ...[
        [id(), 'u', 1e9, 'f'],
        [id(), 'u', '1', 'f'],
        [id(), 'two words', 1, 'f'],
        [id(), '', 1, 'f'],
      ],
      ...[
        ['two words', 'u', 1, 'f'],
        [id(), 'u', 1, 5],
        [5, 'u', 1, 'f'],
        ['x'.repeat(101), 'u', 1, 'f'],
      ],
      ...[
        [id(), 'u', Number.NaN, 'f'],
        [id(), 'u', Number.POSITIVE_INFINITY, 'f'],
        [corruptId, 'u', 1, 'f'],
      ],
    ];
    const before = await t.dump();
    expect(await reserve(bad)).toEqual(bad.map(() => 'BAD_REQUEST'));
    expect(await t.dump()).toEqual(before);
    const items = [[id(), 'u_first', 1, 'f'], ...bad, [id(), 'u_last', 1, 'f']];
    expect(await reserve(items)).toEqual([4, ...bad.map(() => 'BAD_REQUEST'), 5]);
    const { counters } = await readCensus(t.stock, saleId);
    expect(counters).toMatchObject({ held: 5, available: 5, lastTicket: 5 });
  });

  it('of look is not found alone', async () => {
    const [first, second] = ids;
    const rows = (await t.run('look', [[first, 5, {}, true, 'nobody', corruptId, foreignId, second]])) as unknown[];
    expect(rows.map((row) => row !== false)).toEqual([true, false, false, false, false, false, false, true]);
    expect(await t.stock.look(['', 'nonsense', corruptId, first ?? ''])).toMatchObject([
      ...[undefined, undefined, undefined],
      { purchaseId: first, status: 'RESERVED' },
    ]);
  });

  it('of acknowledge is passed over', async () => {
    const [entry] = await t.outbox();
    const bad = ['', 'text', '5', '5-', '-5', 'a-1', '999999999999999999999999999999999999999999-1', 7, {}, '99-1'];
    expect(await t.run('acknowledge', ['relay', [...bad, entry?.id, entry?.id]])).toEqual([1]);
    expect((await t.outbox()).map(({ id }) => id)).not.toContain(entry?.id);
  });

  it('of an order refuses the whole order and changes nothing', async () => {
    const good = [unownedPurchaseId(PARTITION), saleId, 'SHIRT', 1];
    const before = await t.dump();
    for (const bad of [
      'text',
      [],
      [1, 2, 3, 4],
      [good[0], saleId, 'SHIRT', 0],
      [good[0], saleId, 'SHIRT', '1'],
      good,
    ]) {
      expect(await t.run('reserveOrder', ['ord_1', 'print', [good, bad], 1_000])).toEqual([
        'BAD_REQUEST',
        expect.any(String),
        [],
      ]);
    }
    expect(await t.run('reserveOrder', ['', 'print', [good], 1_000])).toEqual(['BAD_REQUEST', '', []]);
    expect(await t.dump()).toEqual(before);
  });

  it('of a sale, a restock or a state changes nothing', async () => {
    const terms = [0, 0, 1_000, 0, -1, 0, 0];
    const item = ['SHIRT', 1, 1, 'EUR'];
    const before = await t.dump();
    const bad = [
      ...[
        [randomId('sale', 3), ['x', 0, 0, 0, 0, 0, 0], 0, [item]],
        [randomId('sale', 3), terms, 0, [['A B', 1, 1, 'EUR']]],
      ],
      ...[
        [randomId('sale', 3), terms, 0, [item, item]],
        [randomId('sale', 3), terms, 0, [['A', -1, 1, 'EUR']]],
      ],
      ...[
        [randomId('sale', 3), terms, 0, [['A', 1.5, 1, 'EUR']]],
        [randomId('sale', 3), terms, 0, [item, 'text']],
      ],
      [randomId('sale', 3), [0, 0, 0, 0, 0, 0, 0], 0, [item]],
    ];
    for (const input of bad) await expect(t.run('saleCreate', input)).rejects.toMatchObject({ code: 'INTERNAL' });
    for (const by of [0, 1.5, '1', Number.NaN, 1e12]) {
      expect(await t.run('restock', [saleId, 'SHIRT', by, 'op', 'why', 1_000])).toEqual(['BAD_REQUEST', false]);
    }
    expect(await t.run('saleState', [saleId, 'explode'])).toEqual(['ILLEGAL', 'OPEN']);
    expect(await t.dump()).toEqual(before);
  });
});

describe('lost bytes', () => {
  it('under a waiting purchase do not block the line', async () => {
    const sale = saleOf({ stock: 2, perBuyerLimit: 2, lineLimit: 9 });
    await t.stock.createSale(sale);
    const line = (await t.buy(sale.saleId, [{}, {}, { quantity: 2 }, {}, {}])).map(idOf);
    await spoilStored(t.redis, TAG, line[2] ?? '', 'lost');
    await t.stock.release([{ purchaseId: line[0] ?? '', reason: 'BUYER' }]);
    const { counters, purchases, missing } = await readCensus(t.stock, sale.saleId);
    expect(purchases.map((p) => p.status)).toEqual(['CANCELLED', 'RESERVED', 'RESERVED', 'WAITING']);
    expect(missing).toEqual([line[2]]);
    expect(counters).toMatchObject({ held: 2, available: 0, waiting: 1, head: 5 });
  });

  it('under a hold do not stop the sweep, and stay visible to the audit', async () => {
    await spoilStored(t.redis, TAG, ids[0] ?? '', 'lost');
    t.clock.advance(60_000);
    expect(await t.stock.expire(PARTITION)).toMatchObject({ ended: 2, hasMore: false });
    expect(await t.stock.expire(PARTITION)).toMatchObject({ ended: 0, hasMore: false });
    const { counters, missing } = await readCensus(t.stock, saleId);
    expect(counters).toMatchObject({ held: 1, available: 9 });
    expect(missing).toEqual([ids[0]]);
  });
});
