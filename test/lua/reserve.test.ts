// reserve: who gets a hold, who waits, who is refused; and that a refused one leaves nothing behind.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LINE_FULL_RETRY_MAX_SECONDS, LINE_FULL_SPREAD_SECONDS } from '../../core/constants.ts';
import { randomId } from '../../core/ids.ts';
import { idOf, openTestStock, PARTITION, readCensus, saleOf, type TestStock, told } from '../support/stock.ts';

let t: TestStock;
beforeAll(async () => {
  t = await openTestStock();
});
beforeEach(() => t.reset());
afterAll(() => t.close());

describe('reserve', () => {
  it('reserves while stock is free, then lets wait, and refuses when the line is full', async () => {
    const sale = saleOf({ stock: 2, lineLimit: 2 });
    await t.stock.createSale(sale);
    expect(told(await t.buy(sale.saleId, [{}, {}, {}, {}, {}]))).toEqual([
      'RESERVED 1',
      'RESERVED 2',
      'WAITING 3',
      'WAITING 4',
      'LINE_FULL',
    ]);
    const [snapshot] = await t.stock.snapshot([sale.saleId]);
    expect(snapshot?.items[0]).toMatchObject({
      loaded: 2,
      available: 0,
      held: 2,
      sold: 0,
      waiting: 2,
      head: 3,
      lastTicket: 4,
    });
  });

  it('tells price, hold and place', async () => {
    const sale = saleOf({ stock: 1 });
    await t.stock.createSale(sale);
    const [first, , third] = await t.buy(sale.saleId, [{ buyer: 'u_1' }, {}, {}]);
    expect(first).toMatchObject({
      isReplay: false,
      purchase: { buyer: 'u_1', unitPrice: 49_900, currency: 'INR', expiresAt: t.clock.now() + 60_000, ahead: 0 },
    });
    // One before it in the line: the first hold may end in 60 s, the next one after another 60 s.
    expect(third).toMatchObject({ purchase: { status: 'WAITING', expiresAt: 0, ahead: 1, estimatedWaitSeconds: 120 } });
  });

  it('says SOLD_OUT for certain only: never while a hold may still end', async () => {
    const sale = saleOf({ stock: 2, lineLimit: 100 });
    await t.stock.createSale(sale);
    const outcomes = await t.buy(sale.saleId, [{}, {}, {}]);
    const paid = outcomes.slice(0, 2).map((o) => ({ purchaseId: idOf(o), paymentRef: 'pi_1' }));
    await t.stock.confirm(paid.slice(0, 1));
    expect(told(await t.buy(sale.saleId, [{}, { quantity: 1 }]))).toEqual(['WAITING 4', 'WAITING 5']);
    await t.stock.confirm(paid.slice(1));
    expect(told(await t.buy(sale.saleId, [{}]))).toEqual(['SOLD_OUT']);
  });

  it('refuses what is more than there will ever be, and lets the rest buy', async () => {
    const sale = saleOf({ stock: 2, perBuyerLimit: 5 });
    await t.stock.createSale(sale);
    expect(told(await t.buy(sale.saleId, [{ quantity: 3 }, { quantity: 2 }]))).toEqual(['SOLD_OUT', 'RESERVED 1']);
  });

  it('lets the head block the line while its quantity may still come', async () => {
    const sale = saleOf({ stock: 3, perBuyerLimit: 3 });
    await t.stock.createSale(sale);
    const [one, , three] = await t.buy(sale.saleId, [{}, {}, { quantity: 2 }, {}]);
    expect((await t.stock.look([idOf(three)]))[0]).toMatchObject({ status: 'WAITING' });
    await t.stock.release([{ purchaseId: idOf(one), reason: 'BUYER' }]);
    const { purchases, counters } = await readCensus(t.stock, sale.saleId);
    expect(purchases.map((p) => p.status)).toEqual(['CANCELLED', 'RESERVED', 'RESERVED', 'WAITING']);
    expect(counters).toMatchObject({ available: 0, held: 3, head: 4 });
  });

  it('counts a buyer over all their purchases and names the live one', async () => {
    const sale = saleOf({ stock: 5, perBuyerLimit: 2 });
    await t.stock.createSale(sale);
    const outcomes = await t.buy(sale.saleId, [{ buyer: 'u_a' }, { buyer: 'u_a' }, { buyer: 'u_a' }]);
    expect(told(outcomes)).toEqual(['RESERVED 1', 'RESERVED 2', 'LIMIT_EXCEEDED']);
    expect(outcomes[2]).toMatchObject({ purchaseId: idOf(outcomes[1]) });
    await t.stock.release([{ purchaseId: idOf(outcomes[0]), buyer: 'u_a', reason: 'BUYER' }]);
    expect(told(await t.buy(sale.saleId, [{ buyer: 'u_a' }]))).toEqual(['RESERVED 3']);
  });

  it('sends a buyer at the limit to what they can still pay or give back, else to what they have bought', async () => {
    const sale = saleOf({ perBuyerLimit: 2 });
    await t.stock.createSale(sale);
    const [held, paid] = (await t.buy(sale.saleId, [{ buyer: 'u_a' }, { buyer: 'u_a' }])).map(idOf);
    const refused = async () => (await t.buy(sale.saleId, [{ buyer: 'u_a' }]))[0];
    await t.stock.confirm([{ purchaseId: paid ?? '', paymentRef: 'pi' }]);
    expect(await refused()).toEqual({ kind: 'refused', code: 'LIMIT_EXCEEDED', purchaseId: held });
    await t.stock.confirm([{ purchaseId: held ?? '', paymentRef: 'pi' }]);
    expect(await refused()).toEqual({ kind: 'refused', code: 'LIMIT_EXCEEDED', purchaseId: paid });
  });

  it('counts the limit over the SKUs of a sale, not over sales', async () => {
    const items = ['A', 'B'].map((sku) => ({ sku, stock: 2, unitPrice: 1, currency: 'EUR' }));
    const [sale, other] = [saleOf({ items }), saleOf()];
    await t.stock.createSale(sale);
    await t.stock.createSale(other);
    expect(told(await t.buy(sale.saleId, [{ buyer: 'u_a' }], 'A'))).toEqual(['RESERVED 1']);
    expect(told(await t.buy(sale.saleId, [{ buyer: 'u_a' }], 'B'))).toEqual(['LIMIT_EXCEEDED']);
    expect(told(await t.buy(other.saleId, [{ buyer: 'u_a' }]))).toEqual(['RESERVED 1']);
  });

  it('allows any number where the limit is 0', async () => {
    const sale = saleOf({ stock: 3, perBuyerLimit: 0 });
    await t.stock.createSale(sale);
    const wishes = [{ buyer: 'u_a', quantity: 2 }, { buyer: 'u_a' }];
    expect(told(await t.buy(sale.saleId, wishes))).toEqual(['RESERVED 1', 'RESERVED 2']);
  });

  it('ends up to 64 due holds of its SKU before it answers', async () => {
    const sale = saleOf({ stock: 70, lineLimit: 0 });
    await t.stock.createSale(sale);
    await t.buy(
      sale.saleId,
      Array.from({ length: 70 }, () => ({})),
    );
    t.clock.advance(60_000);
    expect(told(await t.buy(sale.saleId, [{}]))).toEqual(['RESERVED 71']);
    const [snapshot] = await t.stock.snapshot([sale.saleId]);
    expect(snapshot?.items[0]).toMatchObject({ held: 7, available: 63 });
  });

  it('does not know other sales and SKUs', async () => {
    const sale = saleOf();
    await t.stock.createSale(sale);
    expect(told(await t.buy(sale.saleId, [{}], 'NO-SUCH'))).toEqual(['SKU_NOT_FOUND']);
    expect(told(await t.buy(randomId('sale', PARTITION), [{}]))).toEqual(['SALE_NOT_FOUND']);
    expect(told(await t.buy('sale_', [{}]))).toEqual(['SALE_NOT_FOUND']);
  });
});

describe('the line', () => {
  it('calls those whom it has no room for back at spread moments, within a minute', async () => {
    const sale = saleOf({ stock: 1, lineLimit: 0, holdMs: 3_600_000 });
    await t.stock.createSale(sale);
    const [, ...refused] = await t.buy(
      sale.saleId,
      Array.from({ length: 101 }, () => ({})),
    );
    const moments = refused.map((one) => (one.kind === 'refused' ? (one.retryAfterSeconds ?? 0) : 0));
    expect(Math.max(...moments)).toBeLessThanOrEqual(LINE_FULL_RETRY_MAX_SECONDS);
    expect(Math.min(...moments)).toBeGreaterThan(LINE_FULL_RETRY_MAX_SECONDS - 2 * LINE_FULL_SPREAD_SECONDS);
    expect(new Set(moments).size).toBeGreaterThan(1);
  });

  it('has twice the stock as places unless told, and no limit before the opening', async () => {
    const sale = saleOf({ stock: 1, startNow: false });
    await t.stock.createSale(sale);
    const room = await t.buy(
      sale.saleId,
      Array.from({ length: 5 }, () => ({})),
    );
    expect(told(room)).toEqual(['WAITING 1', 'WAITING 2', 'WAITING 3', 'WAITING 4', 'WAITING 5']);
    await t.stock.setSaleState(sale.saleId, 'open');
    // The room keeps its places and is admitted in order; newcomers find the line full.
    const full = await t.buy(sale.saleId, [{}]);
    expect(full).toEqual([{ kind: 'refused', code: 'LINE_FULL', retryAfterSeconds: expect.any(Number) }]);
    const { purchases } = await readCensus(t.stock, sale.saleId);
    expect(purchases.map((p) => p.status)).toEqual(['RESERVED', 'WAITING', 'WAITING', 'WAITING', 'WAITING']);
    const two = saleOf({ stock: 2 });
    await t.stock.createSale(two);
    expect(
      told(
        await t.buy(
          two.saleId,
          Array.from({ length: 7 }, () => ({})),
        ),
      ).slice(5),
    ).toEqual(['WAITING 6', 'LINE_FULL']);
  });

  it('numbers who was taken in without gaps, whoever is refused or leaves in between', async () => {
    const sale = saleOf({ stock: 2, lineLimit: 3 });
    await t.stock.createSale(sale);
    const first = await t.buy(sale.saleId, [{ buyer: 'u_a' }, { buyer: 'u_a' }, {}, { quantity: 9 }, {}]);
    expect(told(first)).toEqual(['RESERVED 1', 'LIMIT_EXCEEDED', 'RESERVED 2', 'LIMIT_EXCEEDED', 'WAITING 3']);
    await t.stock.release([{ purchaseId: idOf(first[4]), reason: 'BUYER' }]);
    expect(told(await t.buy(sale.saleId, [{}, {}]))).toEqual(['WAITING 4', 'WAITING 5']);
    const { purchases, missing } = await readCensus(t.stock, sale.saleId);
    expect(purchases.map((p) => p.ticket)).toEqual([1, 2, 3, 4, 5]);
    expect(missing).toEqual([]);
  });
});
