// Many at once: what purchases of one call share is kept once, and calls of several SKUs of a partition go out together.
// Neither may be seen from outside.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { newPurchaseId, unownedPurchaseId } from '../../actors/purchase-ids.ts';
import { keys } from '../../actors/keys.ts';
import { createStockStore, type ReserveItem } from '../../actors/stock-store.ts';
import { randomId } from '../../core/ids.ts';
import { createEpochRecord, openTestStock, PARTITION, readCensus, saleOf, told } from '../support/stock.ts';
import { readStored } from '../support/stored-purchase.ts';
import type { TestStock } from '../support/stock.ts';
import { readTrail } from './model/invariants.ts';

let t: TestStock;
const TAG = `db:{p${PARTITION}}:`;
const wishes = (count: number, buyer = 'u') =>
  Array.from({ length: count }, (_, i): ReserveItem & { quantity: number } => ({
    ...{
      purchaseId: unownedPurchaseId(PARTITION),
      buyer: `${buyer}_${i}`,
      quantity: 1 + (i % 3),
      fingerprint: `f${i % 3}`,
    },
  }));

beforeAll(async () => {
  t = await openTestStock();
});
beforeEach(() => t.reset());
afterAll(() => t.close());

describe('a crowd in one call', () => {
  it('is kept as each of them would be alone, whatever becomes of them', async () => {
    const sale = saleOf({ stock: 60, perBuyerLimit: 3 });
    await t.stock.createSale(sale);
    const crowd = wishes(30);
    await t.stock.reserve(sale.saleId, 'SHIRT', crowd);
    const { purchases } = await readCensus(t.stock, sale.saleId);
    expect(purchases.map((p) => [p.purchaseId, p.buyer, p.quantity, p.fingerprint, p.ticket])).toEqual(
      crowd.map((w, i) => [w.purchaseId, w.buyer, w.quantity, w.fingerprint, i + 1]),
    );
    const [alone] = wishes(1, 'alone');
    const [late] = (await t.stock.reserve(sale.saleId, 'SHIRT', alone ? [alone] : [])).outcomes;
    expect(told([...(late ? [late] : [])])).toEqual(['WAITING 31']);
    // Some have paid, some gave back, the others' holds end: each from what the crowd has in common.
    const ids = crowd.map((w) => w.purchaseId);
    await t.stock.confirm(ids.slice(0, 5).map((purchaseId) => ({ purchaseId, paymentRef: 'pi' })));
    await t.stock.release(ids.slice(5, 10).map((purchaseId) => ({ purchaseId, reason: 'BUYER' })));
    t.clock.advance(60_000);
    await t.stock.expire(PARTITION);
    const after = await readCensus(t.stock, sale.saleId);
    expect(after.missing).toEqual([]);
    expect(after.purchases.map((p) => p.status)).toEqual([
      ...Array.from({ length: 5 }, () => 'CONFIRMED'),
      ...Array.from({ length: 5 }, () => 'CANCELLED'),
      ...Array.from({ length: 21 }, () => 'EXPIRED'),
    ]);
    const trail = readTrail(await t.outbox()).get(`${sale.saleId} SHIRT`);
    expect(trail).toMatchObject({ sold: after.counters.sold, held: 0, available: after.counters.available });
  });

  it('finds a repeated id and a buyer at the limit among those of the same call', async () => {
    const sale = saleOf({ stock: 20 });
    await t.stock.createSale(sale);
    const crowd = wishes(9).map((w) => ({
      ...{ ...w, quantity: 1, fingerprint: 'f' },
      purchaseId: newPurchaseId(sale.saleId, w.buyer),
    }));
    const [first, second] = crowd;
    const again = { ...first, purchaseId: newPurchaseId(sale.saleId, first?.buyer ?? '') } as ReserveItem;
    const { outcomes } = await t.stock.reserve(sale.saleId, 'SHIRT', [
      ...crowd,
      ...(first && second ? [first, { ...second, fingerprint: 'other' }, again] : []),
    ]);
    expect(told(outcomes).slice(8)).toEqual(['RESERVED 9', 'RESERVED 1', 'KEY_REUSED', 'LIMIT_EXCEEDED']);
    expect(outcomes[9]).toMatchObject({ isReplay: true, purchase: { purchaseId: first?.purchaseId, version: 1 } });
    expect(outcomes[11]).toMatchObject({ purchaseId: first?.purchaseId });
    expect(told(await t.buy(sale.saleId, [{ buyer: first?.buyer ?? '' }]))).toEqual(['LIMIT_EXCEEDED']);
  });

  it('takes two lots for two wishes apart, however their words are put together', async () => {
    const sale = saleOf({ stock: 200 });
    await t.stock.createSale({ ...sale, perBuyerLimit: 0 });
    const crowd = wishes(10).map((w, i) => ({
      ...w,
      ...(i % 2 ? { quantity: 1, fingerprint: '2x' } : { quantity: 12, fingerprint: 'x' }),
    }));
    await t.stock.reserve(sale.saleId, 'SHIRT', crowd);
    const stored = await Promise.all(crowd.map((w) => readStored(t.redis, TAG, w.purchaseId)));
    expect(stored.map((p) => [p.quantity, p.fingerprint])).toEqual(crowd.map((w) => [w.quantity, w.fingerprint]));
  });
});

describe('SKUs that are asked for at once', () => {
  it('share calls, and each gets its own answers', async () => {
    const items = ['A', 'B', 'C', 'D'].map((sku) => ({ sku, stock: 2, unitPrice: sku.charCodeAt(0), currency: 'EUR' }));
    const [one, two] = [saleOf({ items }), saleOf({ items, perBuyerLimit: 0, lineLimit: 0 })];
    await t.stock.createSale(one);
    await t.stock.createSale(two);
    const before = (await t.outbox()).length;
    const asked = [one, two].flatMap(({ saleId }) => items.map(({ sku, unitPrice }) => ({ saleId, sku, unitPrice })));
    const answers = await Promise.all(asked.map(({ saleId, sku }) => t.stock.reserve(saleId, sku, wishes(1, sku))));
    answers.forEach(({ outcomes, counters }, i) => {
      expect(told(outcomes)).toEqual(['RESERVED 1']);
      expect(counters).toMatchObject({ ...{ saleId: asked[i]?.saleId, sku: asked[i]?.sku }, held: 1, available: 1 });
      expect(outcomes[0]).toMatchObject({ purchase: { unitPrice: asked[i]?.unitPrice } });
    });
    // The first went alone, and the others together behind it.
    expect((await t.outbox()).length).toBe(before + 2);
    readTrail(await t.outbox());
  });

  it('do not suffer for one whose sale cannot be read', async () => {
    const [sound, broken] = [saleOf(), saleOf()];
    await t.stock.createSale(sound);
    await t.stock.createSale(broken);
    await t.redis.set(`db:{p${PARTITION}}:sale:${broken.saleId}`, 'not what it should be');
    const ask = (saleId: string) => t.stock.reserve(saleId, 'SHIRT', wishes(1, randomId('u')));
    const [, second, third] = await Promise.allSettled([ask(sound.saleId), ask(broken.saleId), ask(sound.saleId)]);
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'INTERNAL' } });
    expect(third).toMatchObject({ status: 'fulfilled', value: { counters: { held: 2, saleStatus: 'OPEN' } } });
  });
});

it('A Redis that another version wrote is not sold from', async () => {
  await t.redis.hset(keys.fence(PARTITION), 'form', '1');
  const stock = createStockStore({ redis: t.redis });
  await expect(stock.attach(createEpochRecord())).rejects.toMatchObject({ code: 'FENCED' });
  const sale = saleOf();
  await expect(stock.createSale(sale)).rejects.toMatchObject({ code: 'FENCED' });
});
