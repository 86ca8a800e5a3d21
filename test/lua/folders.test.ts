// What a buyer has in a sale is one value in Redis, and the limit is summed up from it: a value that stays small however often
// somebody comes, of which nothing is lost, and which two buyers may share without knowing of each other.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { newPurchaseId } from '../../actors/purchase-ids.ts';
import type { Purchase } from '../../actors/records.ts';
import { idOf, openTestStock, PARTITION, readCensus, saleOf, type TestStock, told } from '../support/stock.ts';
import { placeOf, recordsOf } from '../support/stored-purchase.ts';

let t: TestStock;
const TAG = `db:{p${PARTITION}}:`;
const buyer = 'u_again';

beforeAll(async () => {
  t = await openTestStock();
});
beforeEach(() => t.reset());
afterAll(() => t.close());

async function recordsIn(purchaseId: string): Promise<number> {
  const { key, field } = placeOf(TAG, purchaseId);
  return recordsOf((await t.redis.hgetBuffer(key, field)) ?? Buffer.alloc(0)).length;
}
const lookAt = async (ids: readonly string[]): Promise<(Purchase | undefined)[]> => t.stock.look(ids);

describe('a buyer who comes and goes', () => {
  it('leaves what has ended behind: all of it is found, and the limit counts what lives', async () => {
    const sale = saleOf({ stock: 50, perBuyerLimit: 2 });
    await t.stock.createSale(sale);
    const ids: string[] = [];
    for (let i = 0; i < 30; i++) {
      const [outcome] = await t.buy(sale.saleId, [{ buyer }]);
      ids.push(idOf(outcome));
      await t.stock.release([{ purchaseId: idOf(outcome), reason: 'BUYER' }]);
    }
    const [first = '', second = ''] = ids;
    expect(await recordsIn(first)).toBeLessThan(10);
    expect((await lookAt(ids)).map((p) => [p?.purchaseId, p?.status, p?.ticket])).toEqual(
      ids.map((id, i) => [id, 'CANCELLED', i + 1]),
    );
    expect(await t.stock.release([{ purchaseId: first, reason: 'BUYER' }])).toMatchObject([{ outcome: 'REPLAY' }]);
    // A late payment of the first: it counts again, and the next one finds no room.
    const pay = (purchaseId: string) => t.stock.confirm([{ purchaseId, paymentRef: 'pi' }]);
    expect(await pay(first)).toMatchObject([{ decision: 'CONFIRMED' }]);
    const wishes = [{ buyer }, { buyer }];
    expect(told(await t.buy(sale.saleId, wishes))).toEqual(['RESERVED 31', 'LIMIT_EXCEEDED']);
    expect(await pay(second)).toMatchObject([{ decision: 'REFUND' }]);
    const { counters, purchases } = await readCensus(t.stock, sale.saleId);
    expect(counters).toMatchObject({ sold: 1, held: 1, available: 48, lastTicket: 31 });
    expect(purchases.map((p) => p.purchaseId).slice(0, 30)).toEqual(ids);
  });

  it('gets none of it in the way of another whose print is the same', async () => {
    const sale = saleOf({ stock: 9, perBuyerLimit: 1 });
    await t.stock.createSale(sale);
    const mine = newPurchaseId(sale.saleId, buyer);
    const theirs = mine.slice(0, 18) + newPurchaseId(sale.saleId, 'u_other').slice(18);
    const both = [
      { purchaseId: mine, buyer },
      { purchaseId: theirs, buyer: 'u_other' },
    ];
    expect(told(await t.buy(sale.saleId, both))).toEqual(['RESERVED 1', 'RESERVED 2']);
    expect(await recordsIn(mine)).toBe(2);
    expect(told(await t.buy(sale.saleId, both))).toEqual(['RESERVED 1', 'RESERVED 2']);
    const more = both.map((wish) => ({
      ...wish,
      purchaseId: mine.slice(0, 18) + wish.buyer.padEnd(12, '0').slice(-12),
    }));
    const refused = await t.buy(sale.saleId, more);
    expect(refused).toMatchObject([
      { code: 'LIMIT_EXCEEDED', purchaseId: mine },
      { code: 'LIMIT_EXCEEDED', purchaseId: theirs },
    ]);
    await t.stock.release([{ purchaseId: theirs, reason: 'BUYER' }]);
    expect((await lookAt([mine, theirs])).map((p) => [p?.buyer, p?.status])).toEqual([
      [buyer, 'RESERVED'],
      ['u_other', 'CANCELLED'],
    ]);
  });
});

describe('a buyer whom nothing limits', () => {
  it('has as many as they like, in one call and in many, each found by its id', async () => {
    const sale = saleOf({ stock: 90, perBuyerLimit: 0 });
    await t.stock.createSale(sale);
    const wishes = Array.from({ length: 40 }, () => ({ buyer, purchaseId: newPurchaseId(sale.saleId, buyer) }));
    const expected = wishes.map((_, i) => `RESERVED ${i + 1}`);
    expect(told(await t.buy(sale.saleId, wishes.slice(0, 20)))).toEqual(expected.slice(0, 20));
    for (const wish of wishes.slice(20)) await t.buy(sale.saleId, [wish]);
    expect(told(await t.buy(sale.saleId, wishes))).toEqual(expected);
    expect(await recordsIn(wishes[0]?.purchaseId ?? '')).toBe(1);
    const ids = wishes.map((wish) => wish.purchaseId);
    await t.stock.confirm(ids.slice(0, 20).map((purchaseId) => ({ purchaseId, paymentRef: 'pi' })));
    t.clock.advance(60_000);
    await t.stock.expire(PARTITION);
    const { counters, purchases, missing } = await readCensus(t.stock, sale.saleId);
    expect(counters).toMatchObject({ sold: 20, held: 0, available: 70 });
    expect(purchases.map((p) => p.purchaseId)).toEqual(ids);
    expect(missing).toEqual([]);
  });
});

it('After the purge nothing is left of a buyer who came often', async () => {
  for (const perBuyerLimit of [0, 2]) {
    const sale = saleOf({ stock: 20, perBuyerLimit });
    await t.stock.createSale(sale);
    for (let i = 0; i < 12; i++) {
      const [outcome] = await t.buy(sale.saleId, [{ buyer }]);
      await t.stock.release([{ purchaseId: idOf(outcome), reason: 'BUYER' }]);
    }
    await t.stock.setSaleState(sale.saleId, 'close');
  }
  await t.redis.del(`${TAG}outbox`);
  await t.redis.hset(`${TAG}fence`, 'applied', (await t.redis.hget(`${TAG}fence`, 'seq')) ?? '0');
  t.clock.advance(86_400_000);
  for (let hasMore = true; hasMore; ) ({ hasMore } = await t.stock.tick(PARTITION));
  expect(await t.redis.exists(`${TAG}purchases`)).toBe(0);
});
