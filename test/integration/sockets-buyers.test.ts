// Buyers on sockets, two processes of one system: what happens through one is told through the other.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createStockFeed } from '../../actors/stock-feed.ts';
import { quietLog, type Json, newBuyer, openSale, startTestApi, type TestApi, tokenOf } from '../support/api.ts';

let one: TestApi;
let two: TestApi;

beforeAll(async () => {
  one = await startTestApi();
  two = await startTestApi(one);
  await Promise.all([one.api.attached, two.api.attached]);
});
afterAll(async () => {
  await two?.close();
  await one?.close();
});

const isLine = (message: Json) => message.type === 'line';
const isPurchase = (status: string) => (message: Json) => message.type === 'purchase' && message.status === status;
const withId = (id: string | number) => (message: Json) => message.id === id;

describe.each([false, true])('a socket (binary: %s)', (isBinary) => {
  it('buys, and the answer carries the id of the message', async () => {
    const { saleId, sku } = await openSale(one);
    const { token } = await newBuyer();
    const socket = await one.socket({ token, isBinary });
    socket.send({ type: 'buy', id: 7, saleId, sku, quantity: 1, key: 'k' });
    const answer = await socket.next(withId(7));
    expect(answer).toMatchObject({ type: 'purchase', status: 'RESERVED', saleId, sku, quantity: 1, unitPrice: 499.5 });
    socket.send({ type: 'buy', id: 'again', saleId, sku, quantity: 1, key: 'k' });
    expect(await socket.next(withId('again'))).toMatchObject({ type: 'purchase', purchaseId: answer.purchaseId });
    socket.send({ type: 'buy', id: 'more', saleId, sku, quantity: 1 });
    expect(await socket.next(withId('more'))).toMatchObject({
      type: 'error',
      code: 'LIMIT_EXCEEDED',
      purchaseId: answer.purchaseId,
    });
    socket.close();
  });

  it('is shown the line at once and at every change', async () => {
    const { saleId, sku } = await openSale(one, { stock: 2 });
    const watcher = await two.socket({ token: (await newBuyer()).token, isBinary });
    watcher.send({ type: 'subscribe', saleId, sku });
    expect(await watcher.next(isLine)).toMatchObject({
      saleId,
      sku,
      status: 'OPEN',
      head: 1,
      waiting: 0,
      available: 2,
      held: 0,
      sold: 0,
    });
    const { token } = await newBuyer();
    await one.call('POST', `/api/v1/sales/${saleId}/purchases`, { token, body: { sku } });
    expect(await watcher.next((m) => isLine(m) && m.held === 1)).toMatchObject({ available: 1 });
    await one.call('POST', `/api/v1/sales/${saleId}/pause`, { token: await tokenOf('u_operator', 'ADMIN') });
    expect(await watcher.next((m) => isLine(m) && m.status === 'PAUSED')).toMatchObject({ held: 1 });
    watcher.close();
  });
});

describe('news of purchases', () => {
  it('reach the buyer through any process', async () => {
    const { saleId, sku } = await openSale(one, { stock: 1 });
    const [first, second] = [await newBuyer(), await newBuyer()];
    const held = await one.call('POST', `/api/v1/sales/${saleId}/purchases`, { token: first.token, body: { sku } });
    const socket = await two.socket({ token: second.token });
    const bought = await one.call('POST', `/api/v1/sales/${saleId}/purchases`, { token: second.token, body: { sku } });
    expect(bought.status).toBe(202);
    const waiting = await socket.next(isPurchase('WAITING'));
    expect(waiting.purchaseId).toBe(bought.body.purchaseId);
    await one.call('DELETE', `/api/v1/purchases/${held.body.purchaseId}`, { token: first.token });
    const reserved = await socket.next(isPurchase('RESERVED'));
    expect(reserved.purchaseId).toBe(bought.body.purchaseId);
    expect(reserved.version).toBeGreaterThan(waiting.version);
    socket.close();
  });

  it('reach nobody else', async () => {
    const { saleId, sku } = await openSale(one);
    const [buyer, other] = [await newBuyer(), await newBuyer()];
    const socket = await one.socket({ token: other.token });
    const mine = await one.socket({ token: buyer.token });
    await two.call('POST', `/api/v1/sales/${saleId}/purchases`, { token: buyer.token, body: { sku } });
    await mine.next(isPurchase('RESERVED'));
    socket.send({ type: 'ping', id: 'last' });
    await socket.next(withId('last'));
    expect(socket.messages).toEqual([]);
    for (const each of [socket, mine]) each.close();
  });

  it('are told once a version', async () => {
    const { saleId, sku } = await openSale(one);
    const { token } = await newBuyer();
    const socket = await one.socket({ token });
    socket.send({ type: 'buy', id: 1, saleId, sku, quantity: 1 });
    const { purchaseId } = await socket.next(withId(1));
    await two.call('DELETE', `/api/v1/purchases/${purchaseId}`, { token });
    await socket.next(isPurchase('CANCELLED'));
    expect(
      socket.messages.filter((message) => message.purchaseId === purchaseId && message.status === 'CANCELLED'),
    ).toEqual([]);
    socket.close();
  });

  it('are caught up with after a reconnect', async () => {
    const { saleId, sku } = await openSale(one);
    const [buyer, other] = [await newBuyer(), await newBuyer()];
    const bought = await one.call('POST', `/api/v1/sales/${saleId}/purchases`, { token: buyer.token, body: { sku } });
    const theirs = await one.call('POST', `/api/v1/sales/${saleId}/purchases`, { token: other.token, body: { sku } });
    const socket = await two.socket({ token: buyer.token });
    socket.send({
      type: 'resume',
      id: 'r',
      purchaseIds: [bought.body.purchaseId, theirs.body.purchaseId, 'pur_nonsense'],
    });
    expect(await socket.next((m) => m.type === 'purchase' && m.id === 'r')).toMatchObject({
      id: 'r',
      purchaseId: bought.body.purchaseId,
      status: 'RESERVED',
    });
    for (const purchaseId of [theirs.body.purchaseId, 'pur_nonsense']) {
      expect(await socket.next((m) => m.purchaseId === purchaseId)).toMatchObject({
        type: 'error',
        code: 'PURCHASE_NOT_FOUND',
      });
    }
    socket.close();
  });

  it('come with the payment when it is ready', async () => {
    const { saleId, sku } = await openSale(one);
    const buyer = await newBuyer();
    const socket = await two.socket({ token: buyer.token });
    const { body } = await one.call('POST', `/api/v1/sales/${saleId}/purchases`, { token: buyer.token, body: { sku } });
    await socket.next(isPurchase('RESERVED'));
    const feed = createStockFeed({ redisUrl: one.testRedis.url, log: quietLog });
    await feed.publishPayment({
      purchaseId: body.purchaseId,
      buyer: buyer.userId,
      clientSecret: 'pi_1_secret_2',
      status: 'requires_payment_method',
    });
    expect(await socket.next((m) => m.type === 'payment')).toEqual({
      type: 'payment',
      purchaseId: body.purchaseId,
      clientSecret: 'pi_1_secret_2',
      status: 'requires_payment_method',
    });
    await feed.close();
    socket.close();
  });
});
