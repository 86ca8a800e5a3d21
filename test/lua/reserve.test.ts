// reserve: who gets a hold, who waits, who is refused; and that a refused one leaves nothing behind.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BuyOutcome } from '../../actors/stock-store.ts';
import { randomId } from '../../core/ids.ts';
import { openTestStock, saleOf, type TestStock } from '../support/stock.ts';

let t: TestStock;
beforeAll(async () => {
  t = await openTestStock();
});
afterAll(() => t.close());

let buyers = 0;
async function buy(saleId: string, wishes: { quantity?: number; buyer?: string; purchaseId?: string }[], sku = 'SHIRT') {
  const items = wishes.map((wish) => ({
    purchaseId: wish.purchaseId ?? randomId('pur', 3),
    buyer: wish.buyer ?? `u_${++buyers}`,
    quantity: wish.quantity ?? 1,
    fingerprint: `x${wish.quantity ?? 1}`,
  }));
  return (await t.stock.reserve(saleId, sku, items)).outcomes;
}
const told = (outcomes: BuyOutcome[]) =>
  outcomes.map((o) => (o.kind === 'purchase' ? `${o.purchase.status} ${o.purchase.ticket}` : o.code));
const idOf = (outcome: BuyOutcome | undefined) => (outcome?.kind === 'purchase' ? outcome.purchase.purchaseId : '');

describe('reserve', () => {
  it('reserves while stock is free, then lets wait, and refuses when the line is full', async () => {
    const sale = saleOf({ stock: 2, lineLimit: 2 });
    await t.stock.createSale(sale);
    expect(told(await buy(sale.saleId, [{}, {}, {}, {}, {}]))).toEqual([
      'RESERVED 1',
      'RESERVED 2',
      'WAITING 3',
      'WAITING 4',
      'LINE_FULL',
    ]);
    const [snapshot] = await t.stock.snapshot([sale.saleId]);
    expect(snapshot?.items[0]).toMatchObject({ loaded: 2, available: 0, held: 2, sold: 0, waiting: 2, head: 3, lastTicket: 4 });
  });

  it('gives the units of an expired hold to the head of the line in the same step', async () => {
    const sale = saleOf({ stock: 1 });
    await t.stock.createSale(sale);
    const [first, second] = await buy(sale.saleId, [{}, {}]);
    t.clock.advance(60_000);
    expect(await t.stock.expire(3)).toMatchObject({ lagMs: 0, hasMore: false });
    const [one, two] = await t.stock.look([idOf(first), idOf(second)]);
    expect([one?.status, two?.status]).toEqual(['EXPIRED', 'RESERVED']);
    expect(two?.expiresAt).toBe(t.clock.now() + 60_000);
  });

  it('says SOLD_OUT for certain once sold, also to those who wait', async () => {
    const sale = saleOf({ stock: 2 });
    await t.stock.createSale(sale);
    const outcomes = await buy(sale.saleId, [{}, {}, {}]);
    const paid = outcomes.slice(0, 2).map((o) => ({ purchaseId: idOf(o), paymentRef: 'pi_1' }));
    expect((await t.stock.confirm(paid)).map((c) => c.decision)).toEqual(['CONFIRMED', 'CONFIRMED']);
    const [third] = await t.stock.look([idOf(outcomes[2])]);
    expect(third?.status).toBe('SOLD_OUT');
    expect(told(await buy(sale.saleId, [{}]))).toEqual(['SOLD_OUT']);
  });

  it('answers a retry with the same purchase and another body with KEY_REUSED', async () => {
    const sale = saleOf({ stock: 5, perBuyerLimit: 3 });
    await t.stock.createSale(sale);
    const purchaseId = randomId('pur', 3);
    const wish = { purchaseId, buyer: 'u_retry', quantity: 2 };
    const outcomes = await buy(sale.saleId, [wish, wish, { ...wish, quantity: 1 }]);
    expect(told(outcomes)).toEqual(['RESERVED 1', 'RESERVED 1', 'KEY_REUSED']);
    expect(outcomes[1]).toMatchObject({ isReplay: true });
  });

  it('counts a buyer over all their purchases and names the live one', async () => {
    const sale = saleOf({ stock: 5, perBuyerLimit: 2 });
    await t.stock.createSale(sale);
    const outcomes = await buy(sale.saleId, [{ buyer: 'u_a' }, { buyer: 'u_a' }, { buyer: 'u_a' }]);
    expect(told(outcomes)).toEqual(['RESERVED 1', 'RESERVED 2', 'LIMIT_EXCEEDED']);
    expect(outcomes[2]).toMatchObject({ purchaseId: idOf(outcomes[1]) });
    await t.stock.release([{ purchaseId: idOf(outcomes[0]), buyer: 'u_a', reason: 'BUYER' }]);
    expect(told(await buy(sale.saleId, [{ buyer: 'u_a' }]))).toEqual(['RESERVED 3']);
  });
});
