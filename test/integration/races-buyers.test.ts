// What one buyer can do to themselves: clicks twice, has two devices, pays and cancels in the same moment, pays as the
// hold ends. On two real API processes; every round must be explained by some order of one thing after the other.
import { beforeAll, describe, expect, it } from 'vitest';
import { sleep } from '../../core/clock.ts';
import { randomId } from '../../core/ids.ts';
import { newBuyer, openSale, openSocket, type TestSocket } from '../support/api.ts';
import { buy, countsOf, expectCalm, type Sale, tally, useStarters } from '../support/race.ts';
import { booksOf, buyPayable, comesToRest, pay } from '../support/race-money.ts';

const ROUNDS = 15;
const PAID_ROUNDS = 14;

const starters = useStarters(1);
let sale: Sale;

beforeAll(async () => {
  sale = await openSale(starters.door(), { stock: 1_000 });
});

describe('a buyer who clicks twice', () => {
  it('with one key has one purchase, whoever answers', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const [buyer, key] = [await newBuyer(), randomId('key')];
      const answers = await starters.race(
        Array.from({ length: 6 }, () => () => buy(starters.door(), sale, buyer, { key })),
      );
      expect(tally(answers)).toEqual({ 201: 6 });
      expect(new Set(answers.map(({ body }) => `${body.purchaseId} ${body.ticket}`)).size).toBe(1);
    }
  });

  it('with keys of their own has one purchase, and is told which', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const buyer = await newBuyer();
      const runs = Array.from({ length: 6 }, (_, i) => () => buy(starters.door(), sale, buyer, { key: `key-${i}` }));
      const answers = await starters.race(runs);
      expect(tally(answers)).toEqual({ 201: 1, '409 LIMIT_EXCEEDED': 5 });
      expect(new Set(answers.map(({ body }) => body.purchaseId)).size).toBe(1);
    }
  });

  it('with one key for two wishes has the first of them, at every process', async () => {
    const wide = await openSale(starters.door(), { stock: 1_000, perBuyerLimit: 10 });
    for (let round = 0; round < ROUNDS; round += 1) {
      const [buyer, key] = [await newBuyer(), randomId('key')];
      const runs = [1, 2, 1, 2, 1, 2].map((quantity) => async () => ({
        quantity,
        answer: await buy(starters.door(), wide, buyer, { quantity, key }),
      }));
      const answers = await starters.race(runs);
      const won = answers.find(({ answer }) => answer.status === 201)?.quantity;
      const expected = (quantity: number) => (quantity === won ? [201, undefined] : [422, 'KEY_REUSED']);
      expect(answers.map(({ answer }) => [answer.status, answer.body.code])).toEqual(
        answers.map(({ quantity }) => expected(quantity)),
      );
    }
    await starters.shop.audit(wide.saleId);
  });

  it('on two devices has one purchase, and both of them know it', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const buyer = await newBuyer();
      const socket = await openSocket(starters.door().url, { token: buyer.token });
      const bySocket = async (): Promise<Record<string, unknown>> => {
        socket.send({ type: 'buy', id: 1, ...sale, quantity: 1 });
        return socket.next((message) => message.id === 1);
      };
      const byHttp = async (): Promise<Record<string, unknown>> => (await buy(starters.door(), sale, buyer)).body;
      const both = await starters.race([bySocket, byHttp]);
      expect(both[0]?.['purchaseId']).toBe(both[1]?.['purchaseId']);
      expect(both.map(({ code }) => code).filter((code) => code !== undefined)).toEqual(['LIMIT_EXCEEDED']);
      await isTold(socket, both[1]?.['purchaseId'], both[0]?.['type'] === 'purchase');
      socket.close();
    }
  });
});

/** A device that was refused hears of the other's purchase all the same. */
async function isTold(socket: TestSocket, purchaseId: unknown, hasHeard: boolean): Promise<void> {
  if (!hasHeard) await socket.next((message) => message.type === 'purchase' && message.purchaseId === purchaseId);
}

describe('a buyer who pays in a bad moment', () => {
  it('and cancels in the same one, either has it and has paid once, or has neither', async () => {
    const paid = await openSale(starters.door(), { stock: PAID_ROUNDS });
    const endings = await Promise.all(
      Array.from({ length: PAID_ROUNDS }, async () => {
        const payable = await buyPayable(starters.door(), paid);
        const { purchaseId, buyer } = payable;
        const cancel = () => starters.door().call('DELETE', `/api/v1/purchases/${purchaseId}`, { token: buyer.token });
        let cancelled = { status: 0, body: {} as { status?: string } };
        await starters.race(
          [async () => void (cancelled = await cancel()), async () => void (await pay(starters.shop, payable))],
          30,
        );
        const status = await comesToRest(starters.shop, purchaseId);
        // Too late to cancel means that it is theirs; in time means that it is not, unless the money was faster still.
        if (cancelled.status === 409) expect(status).toBe('CONFIRMED');
        else expect([cancelled.status, cancelled.body.status]).toEqual([200, 'CANCELLED']);
        return { status, charges: booksOf(starters.shop, purchaseId).charges };
      }),
    );
    const sold = endings.filter(({ status }) => status === 'CONFIRMED').length;
    const { available, held, sold: counted } = await countsOf(starters.door(), paid);
    expect({ available, held, sold: counted }).toEqual({ available: PAID_ROUNDS - sold, held: 0, sold });
    await starters.shop.audit(paid.saleId);
  });

  it('around the end of the hold, either has it and has paid once, or got the money back once', async () => {
    // Fewer than buyers want: who comes late finds somebody in the line.
    const short = await openSale(starters.door(), { stock: PAID_ROUNDS, holdSeconds: 3, lineLimit: 5 });
    const payables = await Promise.all(Array.from({ length: PAID_ROUNDS }, () => buyPayable(starters.door(), short)));
    const waiting = await Promise.all(
      Array.from({ length: 5 }, async () => buy(starters.door(), short, await newBuyer())),
    );
    for (const { status } of waiting) expect(status).toBeLessThan(300);
    await Promise.all(
      payables.map(async (payable) => {
        await sleep(Math.max(0, payable.expiresAt - Date.now() + starters.between(-250, 400)));
        await pay(starters.shop, payable);
      }),
    );
    const endings = await Promise.all(payables.map(({ purchaseId }) => comesToRest(starters.shop, purchaseId)));
    // Those in the line had nobody to pay for them: their holds end too.
    for (const { body } of waiting) await comesToRest(starters.shop, body.purchaseId);
    const sold = endings.filter((status) => status === 'CONFIRMED').length;
    expect(await countsOf(starters.door(), short)).toMatchObject({
      available: PAID_ROUNDS - sold,
      held: 0,
      sold,
      waiting: 0,
    });
    await starters.shop.audit(short.saleId);
  });
});

it('afterwards the books agree, and no process has complained', async () => {
  const report = await starters.shop.audit();
  expect([report.oversold, report.lost, report.outOfOrder]).toEqual([0, 0, 0]);
  await expectCalm(starters.shop);
});
