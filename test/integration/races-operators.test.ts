// Operators and buyers at the same moment, on two real API processes: what each of them is told must fit one order of one thing
// after the other, and the books must agree.
import { beforeAll, describe, expect, it } from 'vitest';
import { randomId } from '../../core/ids.ts';
import { newBuyer, openSale, type TestAnswer, tokenOf } from '../support/api.ts';
import { buy, countsOf, expectCalm, type Sale, statusesOf, tally, times, useStarters } from '../support/race.ts';

const ROUNDS = 8;

const starters = useStarters(2);
let admin: string;

beforeAll(async () => {
  admin = await tokenOf('u_operator', 'ADMIN');
});

const close = ({ saleId }: Sale) => starters.door().call('POST', `/api/v1/sales/${saleId}/close`, { token: admin });
const adjust = ({ sku }: Sale, quantity: number) =>
  starters.door().call('POST', '/api/v1/inventory/adjust', { token: admin, body: { sku, quantity } });
const buyNew = async (sale: Sale) => buy(starters.door(), sale, await newBuyer());
const accepted = (answers: readonly TestAnswer[]): TestAnswer[] => answers.filter(({ status }) => status < 300);

describe('the end of a sale', () => {
  it('and its buyers: who was accepted before it keeps the hold, who waited is let go', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const sale = await openSale(starters.door(), { stock: 4, lineLimit: 100 });
      const [closed, ...bought] = await starters.race([() => close(sale), ...times(10, () => buyNew(sale))]);
      expect(closed?.status).toBe(200);
      const counts = tally(bought);
      expect(Object.keys(counts).filter((kind) => !['201', '202', '409 SALE_CLOSED'].includes(kind))).toEqual([]);
      expect(counts['201'] ?? 0).toBeLessThanOrEqual(4);
      const reserved = bought.filter(({ status }) => status === 201);
      expect(new Set(await statusesOf(starters.shop, reserved))).toEqual(
        new Set(reserved.length > 0 ? ['RESERVED'] : []),
      );
      // The line is let go in slices, in the call that closes and in those that look.
      const waited = bought.filter(({ status }) => status === 202);
      await expect
        .poll(async () => new Set(await statusesOf(starters.shop, waited)), { timeout: 120_000 })
        .toEqual(new Set(waited.length > 0 ? ['CANCELLED'] : []));
      expect(await countsOf(starters.door(), sale)).toMatchObject({
        held: reserved.length,
        available: 4 - reserved.length,
        waiting: 0,
      });
    }
  });

  it('and a delivery: it is counted before, or refused after', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const sale = await openSale(starters.door(), { stock: 2, lineLimit: 100 });
      const first = await Promise.all(times(5, () => buyNew(sale)).map((run) => run()));
      const [closed, more] = await starters.race([() => close(sale), () => adjust(sale, 3)]);
      expect(closed?.status).toBe(200);
      expect([200, 409]).toContain(more?.status);
      const isCounted = more?.status === 200;
      if (!isCounted) expect(more?.body.code).toBe('SALE_CLOSED');
      const counts = await countsOf(starters.door(), sale);
      expect(counts).toMatchObject({ loaded: isCounted ? 5 : 2, waiting: 0 });
      // Those in the line get all of it, or none.
      const statuses = (await statusesOf(starters.shop, first)).sort();
      const isGiven = statuses.filter((status) => status === 'RESERVED').length;
      expect([2, 5]).toContain(isGiven);
      if (!isCounted) expect(isGiven).toBe(2);
      expect((counts['held'] ?? 0) + (counts['available'] ?? 0)).toBe(counts['loaded']);
    }
  });
});

describe('stock that is taken away', () => {
  it('while buyers reach for it: never below what is held', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const sale = await openSale(starters.door(), { stock: 5, lineLimit: 100 });
      const [less, ...bought] = await starters.race([() => adjust(sale, -3), ...times(4, () => buyNew(sale))]);
      const isTaken = less?.status === 200;
      if (!isTaken) expect([less?.status, less?.body.code]).toEqual([409, 'ADJUST_BELOW_COMMITTED']);
      expect(accepted(bought).length).toBe(4);
      // After it two are left; before it a hold in excess makes it a refusal.
      const reserved = bought.filter(({ status }) => status === 201).length;
      expect(reserved).toBe(isTaken ? 2 : 4);
      expect(await countsOf(starters.door(), sale)).toMatchObject({
        loaded: isTaken ? 2 : 5,
        held: reserved,
        waiting: 4 - reserved,
      });
    }
  });

  it('and brought back: the line gets it in its order', async () => {
    const sale = await openSale(starters.door(), { stock: 1, lineLimit: 1_000 });
    expect((await buyNew(sale)).status).toBe(201);
    const waiting = await Promise.all(times(40, () => buyNew(sale)).map((run) => run()));
    expect(tally(waiting)).toEqual({ 202: 40 });
    const [, ...bought] = await starters.race(
      [() => adjust(sale, 3), ...times(10, () => buyNew(sale)), ...times(9, () => adjust(sale, 3))],
      40,
    );
    expect(tally(bought)).toEqual({ 200: 9, 202: 10 });
    const byTicket = waiting.toSorted((a, b) => a.body.ticket - b.body.ticket);
    const statuses = await statusesOf(starters.shop, byTicket);
    expect(statuses).toEqual(statuses.map((_, i) => (i < 30 ? 'RESERVED' : 'WAITING')));
    await starters.shop.audit(sale.saleId);
  });
});

describe('two operators', () => {
  it('with one SKU have one sale', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const skus = [randomId('sku'), randomId('sku')];
      // In both orders: whoever locks one after the other must not wait for ever.
      const create = (items: string[]) =>
        starters.door().call('POST', '/api/v1/sales', {
          token: admin,
          body: { name: 'Race', items: items.map((sku) => ({ sku, stock: 1, price: 1, currency: 'INR' })) },
        });
      const answers = await starters.race(
        [() => create(skus), () => create(skus.toReversed()), () => create(skus), () => create(skus.toReversed())],
        3,
      );
      expect(tally(answers)).toEqual({ 201: 1, '409 SKU_IN_ANOTHER_SALE': 3 });
    }
  });

  it('who open, pause and close at once leave a sale in one of these states, for good', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const sale = await openSale(starters.door(), { stock: 5 });
      const move = (verb: string) =>
        starters.door().call('POST', `/api/v1/sales/${sale.saleId}/${verb}`, { token: admin });
      const answers = await starters.race([
        () => move('pause'),
        () => move('open'),
        () => move('close'),
        () => buyNew(sale),
      ]);
      expect(answers[2]?.status).toBe(200);
      for (const { status, body } of answers.slice(0, 2))
        if (status !== 200) expect([status, body.code]).toEqual([409, 'ILLEGAL_TRANSITION']);
      const bought = answers[3];
      if (bought !== undefined && bought.status >= 300) expect(bought.body.code).toMatch(/^SALE_(PAUSED|CLOSED)$/);
      expect((await starters.door().call('GET', `/api/v1/sales/${sale.saleId}`)).body.status).toBe('CLOSED');
    }
  });
});

it('afterwards no process of the operators has ended or complained', () => expectCalm(starters.shop));
