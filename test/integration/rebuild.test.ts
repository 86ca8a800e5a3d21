// A Redis that was emptied is built again from Postgres: with every place in line, every hold and every limit that Postgres
// knows; without what it was never told, which is counted; and nobody sells in between.
import { describe, expect, it } from 'vitest';
import { keys } from '../../actors/keys.ts';
import { newPurchaseId } from '../../actors/purchase-ids.ts';
import { moveOrder } from '../../shop/orders/store.ts';
import { fenced, useRebuildStand } from '../support/rebuild-stand.ts';

const stand = useRebuildStand();
const { attach, busySale, seen, expectAgreement, loseAllButTheLast } = stand;
const newcomer = (purchaseId: string, buyer = purchaseId) => ({ purchaseId, buyer, quantity: 1, fingerprint: 'f' });

describe('a Redis that was emptied', () => {
  it('sells nothing, and after the rebuild everything is where it was', async () => {
    const { saleId, a, ids } = await busySale();
    await stand.shop.relay();
    const before = await seen(saleId, ids);
    await stand.shop.outbox.redis.flushall();
    await expect(stand.shop.buy(saleId, a, 1)).rejects.toMatchObject(fenced);
    await expect(attach()).rejects.toMatchObject(fenced);
    expect((await stand.rebuild.examine()).map(({ reason }) => reason)).toEqual(Array(8).fill('Redis is empty'));

    const built = await stand.rebuild.run();
    expect(built.map(({ partition, epoch }) => [partition, epoch])).toEqual(
      Array.from({ length: 8 }, (_, p) => [p, 2]),
    );
    expect(built[stand.shop.partition]).toMatchObject({
      sales: 1,
      purchases: 13,
      corrected: 0,
      lostTickets: 0,
      unsound: [],
    });
    await expect(stand.shop.buy(saleId, a, 1)).rejects.toMatchObject(fenced); // of the old epoch still
    await attach();
    expect(await stand.rebuild.examine()).toEqual([]);
    expect(await seen(saleId, ids)).toEqual(before);
    const [waiting] = await stand.shop.outbox.stock.look([ids[11] ?? '']);
    expect(waiting?.version).toBeGreaterThan(100); // above what its buyer may have been told
    await expectAgreement();

    // It goes on as if nothing had been: the next place, the same answers to retries, the same limits.
    const [last = ''] = await stand.shop.buy(saleId, a, 1);
    expect((await stand.shop.outbox.stock.look([last]))[0]).toMatchObject({ status: 'WAITING', ticket: 13, ahead: 2 });
    const buyer = before.purchases[12]?.buyer ?? '';
    const limited = await stand.shop.outbox.stock.reserve(saleId, a, [
      { ...newcomer(newPurchaseId(saleId, buyer), buyer), quantity: 2 },
    ]);
    expect(limited.outcomes[0]).toMatchObject({ code: 'LIMIT_EXCEEDED', purchaseId: ids[12] });
    const again = { saleId, sku: a, by: 1, operationId: `op-${saleId}`, reason: '' };
    expect((await stand.shop.outbox.stock.restock(again)).outcome).toBe('REPLAY');
    await stand.shop.outbox.stock.release([{ purchaseId: ids[4] ?? '', reason: 'BUYER' }]);
    const [next] = await stand.shop.outbox.stock.look([ids[10] ?? '']);
    expect(next).toMatchObject({ ticket: 11, status: 'RESERVED' });
    await stand.shop.relay();
    await expectAgreement();
  });

  it('loses what Postgres was never told, and says how much; later places keep their numbers', async () => {
    const { saleId, a } = await busySale();
    await stand.shop.relay();
    const untold = await stand.shop.buy(saleId, a, 2);
    const [, , ...later] = [...untold, ...(await stand.shop.buy(saleId, a, 1))];
    await loseAllButTheLast();
    await stand.shop.outbox.redis.flushall();
    const [built] = (await stand.rebuild.run()).filter(({ partition }) => partition === stand.shop.partition);
    expect(built).toMatchObject({ lostTickets: 2, unsound: [] });
    await attach();
    expect(await stand.shop.outbox.stock.look(later)).toMatchObject([{ ticket: 15, status: 'WAITING' }]);
    expect((await stand.shop.outbox.stock.look(untold.slice(0, 2))).filter(Boolean)).toEqual([]);
    await expectAgreement();
    const { rows } = await stand.shop.outbox.postgres.query(
      'SELECT reason FROM purchases WHERE sale_id = $1 AND reason = $2',
      [saleId, 'LOST'],
    );
    expect(rows.length).toBe(2);
  });

  it('closes the books over a movement that never came', async () => {
    const { saleId, a } = await busySale();
    await stand.shop.relay();
    const stock = stand.shop.outbox.stock;
    await stock.restock({ saleId, sku: a, by: 10, operationId: `more-${saleId}`, reason: '' });
    await stand.shop.relay();
    const [id = ''] = await stand.shop.buy(saleId, a, 1); // its hold is never told …
    await stock.confirm([{ purchaseId: id, paymentRef: 'pi' }]); // … its payment is
    await loseAllButTheLast();
    await stand.shop.outbox.postgres.query(
      `INSERT INTO payments (payment_id, purchase_id, order_id, provider_payment_id, attempt, amount, currency, status)
       SELECT 'pay_' || substr($1, 5), $1, 'ord_' || substr($1, 5), 'pi_' || substr($1, 5), 1, total_amount, currency, 'succeeded'
         FROM orders WHERE purchase_id = $1`,
      [id],
    );
    await stand.shop.outbox.redis.flushall();
    const [built] = (await stand.rebuild.run()).filter(({ partition }) => partition === stand.shop.partition);
    expect(built).toMatchObject({ corrected: 1, lostTickets: 0 });
    await attach();
    expect((await stock.look([id]))[0]?.status).toBe('CONFIRMED');
    await expectAgreement();
  });

  it('gives back what was taken back in Postgres, though the return of its unit was lost', async () => {
    const { saleId, ids } = await busySale();
    const [taken = ''] = ids;
    await stand.shop.relay();
    expect(await moveOrder(stand.shop.outbox.postgres, `ord_${taken.slice(4)}`, 'CONFIRMED', 'CANCELLED')).toBe(true);
    await stand.shop.outbox.redis.flushall();
    await stand.rebuild.run();
    await attach();
    expect((await stand.shop.outbox.stock.look([taken]))[0]?.status).toBe('REFUNDED');
    expect((await stand.shop.outbox.stock.snapshot([saleId]))[0]?.items[0]).toMatchObject({ sold: 3 });
    await stand.shop.relay();
    // What the payment's job does, which is asked for by the record of the return.
    await stand.shop.outbox.postgres.query(
      `INSERT INTO refunds (purchase_id, provider_refund_id, amount, currency, status, reason)
       SELECT purchase_id, 're_taken', amount, currency, 'succeeded', 'ORDER_CANCELLED' FROM payments WHERE purchase_id = $1`,
      [taken],
    );
    await expectAgreement();
  });

  it('never loses a paid order: what Postgres knows as paid is sold before anybody may end it', async () => {
    const { saleId, ids } = await busySale();
    const paid = ids[5] ?? '';
    await stand.shop.relay();
    await stand.shop.outbox.postgres.query(
      `INSERT INTO payments (payment_id, purchase_id, order_id, provider_payment_id, attempt, amount, currency, status)
       SELECT 'pay_' || substr($1, 5), $1, 'ord_' || substr($1, 5), 'pi_' || substr($1, 5), 1, total_amount, currency, 'succeeded'
         FROM orders WHERE purchase_id = $1`,
      [paid],
    );
    await stand.shop.outbox.redis.flushall();
    const [built] = (await stand.rebuild.run()).filter(({ partition }) => partition === stand.shop.partition);
    expect(built?.confirmed).toBe(1);
    await attach();
    const [view] = await stand.shop.outbox.stock.look([paid]);
    expect(view?.status).toBe('CONFIRMED');
    await stand.shop.relay();
    await expectAgreement();
    expect((await stand.shop.outbox.stock.snapshot([saleId]))[0]?.items[0]).toMatchObject({ sold: 5 });
  });

  it('sells nothing of which the money is on its way back', async () => {
    const { saleId, ids } = await busySale();
    const [returning = '', returned = ''] = [ids[5], ids[7]];
    const { postgres, stock, redis } = stand.shop.outbox;
    await stand.shop.relay();
    for (const [id, refundId] of [
      [returning, null],
      [returned, 're_1'],
    ]) {
      await postgres.query(
        `INSERT INTO payments (payment_id, purchase_id, order_id, provider_payment_id, attempt, amount, currency, status)
         SELECT 'pay_' || substr($1, 5), $1, 'ord_' || substr($1, 5), 'pi_' || substr($1, 5), 1, total_amount, currency, 'succeeded'
           FROM orders WHERE purchase_id = $1`,
        [id],
      );
      await postgres.query(
        `INSERT INTO refunds (purchase_id, provider_refund_id, amount, currency, status, reason)
         SELECT purchase_id, $2, amount, currency, 'pending', 'LATE_PAYMENT' FROM payments WHERE purchase_id = $1`,
        [id, refundId],
      );
    }
    await redis.flushall();
    const [built] = (await stand.rebuild.run()).filter(({ partition }) => partition === stand.shop.partition);
    expect(built).toMatchObject({ confirmed: 0 });
    await attach();
    const views = await stock.look([returning, returned]);
    expect(views.map((view) => [view?.status, view?.isRefundDue])).toEqual([
      ['EXPIRED', true],
      ['REFUNDED', true],
    ]);
    const answers = await stock.confirm([returning, returned].map((purchaseId) => ({ purchaseId, paymentRef: 'pi' })));
    expect(answers.map(({ decision }) => decision)).toEqual(['REFUND', 'REFUND']);
    expect((await stock.snapshot([saleId]))[0]?.items[0]).toMatchObject({ sold: 4, loaded: 9 });
    await stand.shop.relay();
    await expectAgreement();
  });

  it('loads a sale whose first load was never told', async () => {
    const sku = `C${Math.random()}`;
    const saleId = await stand.shop.openSale({ [sku]: 5 });
    await stand.shop.outbox.redis.flushall();
    await stand.rebuild.run();
    await attach();
    const [snapshot] = await stand.shop.outbox.stock.snapshot([saleId]);
    expect(snapshot?.items).toMatchObject([{ sku, loaded: 5, available: 5 }]);
    await expectAgreement();
  });
});

describe('a Redis of another layout', () => {
  it('is refused, and built again with all that it had', async () => {
    const { saleId, a, ids } = await busySale();
    const before = await seen(saleId, ids);
    const { partition, outbox } = stand.shop;
    await outbox.redis.hset(keys.fence(partition), { form: '2' });
    await expect(attach()).rejects.toMatchObject(fenced);
    const other = { partition, reason: 'Redis was written by another version' };
    expect(await stand.rebuild.examine()).toEqual([other]);
    expect(await stand.rebuild.run()).toMatchObject([{ ...other, lostTickets: 0, unsound: [] }]);
    await attach();
    expect(await stand.rebuild.examine()).toEqual([]);
    expect(await seen(saleId, ids)).toEqual(before);
    await stand.shop.buy(saleId, a, 1);
    await stand.shop.relay();
    await expectAgreement();
  });
});
