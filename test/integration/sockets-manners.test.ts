// Sockets of clients without manners: each is answered or closed, and the process goes on.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Json, newBuyer, openSale, startTestApi, type TestApi, tokenOf } from '../support/api.ts';

let api: TestApi;

beforeAll(async () => {
  api = await startTestApi();
  await api.api.attached;
});
afterAll(() => api?.close());

const isError = (message: Json) => message.type === 'error';

describe('who a socket is', () => {
  it('is told by the query, by the header, or by the first message', async () => {
    const { token, userId } = await newBuyer();
    const byQuery = await api.socket({ query: `?access_token=${token}` });
    const byHeader = await api.socket({ token });
    const byMessage = await api.socket();
    byMessage.send({ type: 'auth', id: 1, token });
    expect(await byMessage.next((m) => m.id === 1)).toEqual({ type: 'auth', id: 1, userId });
    for (const socket of [byQuery, byHeader, byMessage]) {
      socket.send({ type: 'subscribe', saleId: 'sale_none', sku: 'A' });
      expect(await socket.next(isError)).toMatchObject({ code: 'SKU_NOT_FOUND' });
      socket.close();
    }
  });

  it('is refused before it opens when the token is wrong', async () => {
    await expect(api.socket({ query: '?access_token=forged' })).rejects.toThrow('401');
    await expect(api.socket({ token: await tokenOf('u_late', 'USER', -10) })).rejects.toThrow('401');
  });

  it('is closed when the first message carries a wrong token', async () => {
    const socket = await api.socket();
    socket.send({ type: 'auth', token: 'forged' });
    expect(await socket.next(isError)).toMatchObject({ code: 'UNAUTHENTICATED' });
    expect((await socket.closed).code).toBe(4401);
  });

  it('is closed when no token comes', async () => {
    const socket = await api.socket();
    socket.send({ type: 'buy', id: 1, saleId: 'sale_x', sku: 'A', quantity: 1 });
    expect(await socket.next(isError)).toMatchObject({ id: 1, code: 'UNAUTHENTICATED' });
    expect((await socket.closed).code).toBe(4401);
  });

  it('is closed when its token ends, and lives on with a new one', async () => {
    const { userId } = await newBuyer();
    // It ended three seconds ago; the leeway for clocks gives it two more.
    const short = await tokenOf(userId, 'USER', -3);
    const [left, renewed] = [await api.socket({ token: short }), await api.socket({ token: short })];
    renewed.send({ type: 'auth', token: await tokenOf(userId) });
    await renewed.next((m) => m.type === 'auth');
    expect(await left.next(isError)).toMatchObject({ code: 'TOKEN_EXPIRED' });
    expect((await left.closed).code).toBe(4401);
    renewed.send({ type: 'ping', id: 'here' });
    expect(await renewed.next((m) => m.id === 'here')).toEqual({ type: 'pong', id: 'here' });
    renewed.send({ type: 'auth', id: 'swap', token: (await newBuyer()).token });
    expect(await renewed.next((m) => m.id === 'swap')).toMatchObject({ code: 'FORBIDDEN' });
    expect((await renewed.closed).code).toBe(4401);
  });

  it('may be one of twenty of a buyer, not of more', async () => {
    const { token } = await newBuyer();
    const sockets = await Promise.all(Array.from({ length: 20 }, () => api.socket({ token })));
    const tooMany = await api.socket({ token });
    expect((await tooMany.closed).code).toBe(4429);
    sockets[0]?.close();
    await sockets[0]?.closed;
    const instead = await api.socket({ token });
    instead.send({ type: 'ping', id: 1 });
    await instead.next((m) => m.type === 'pong');
    for (const socket of [...sockets, instead]) socket.close();
  });
});

describe('messages that are none', () => {
  it.each([
    ['text', 'hello'],
    ['half of one', '{"type":"buy",'],
    ['a list', '[]'],
    ['null', 'null'],
    ['a type nobody knows', '{"type":"sell","id":9}'],
    ['bytes that are no msgpack', new Uint8Array([0xc1, 0xff, 0x00])],
    ['an array of four billion', new Uint8Array([0xdd, 0xff, 0xff, 0xff, 0xff])],
    ['nothing', new Uint8Array(0)],
    ['brackets without end', '['.repeat(10_000)],
    ['a buy of half a unit', '{"type":"buy","id":9,"saleId":"s","sku":"A","quantity":0.5}'],
    ['a buy of a broken sku', '{"type":"buy","id":9,"saleId":"s","sku":"A B","quantity":1}'],
    ['a resume of a thousand', JSON.stringify({ type: 'resume', purchaseIds: Array(1_000).fill('p') })],
  ])('%s gets an error and the socket lives', async (_, data) => {
    const { token } = await newBuyer();
    const socket = await api.socket({ token });
    socket.sendRaw(data);
    const error = await socket.next(isError);
    expect(['INVALID_JSON', 'VALIDATION_FAILED']).toContain(error.code);
    socket.sendRaw('{"type":"ping","id":"alive"}');
    await socket.next((m) => m.id === 'alive');
    socket.close();
  });

  it('close the socket when they are too large', async () => {
    const socket = await api.socket({ token: (await newBuyer()).token });
    socket.sendRaw('x'.repeat(20_000));
    await socket.closed;
    expect((await api.call('GET', '/livez')).status).toBe(200);
  });

  it('are slowed down, and in the end not read any more', async () => {
    const socket = await api.socket({ token: (await newBuyer()).token });
    for (let count = 0; count < 400; count += 1) socket.sendRaw('{}');
    expect(await socket.next((m) => m.code === 'RATE_LIMITED')).toMatchObject({ retryAfterSeconds: 1 });
    expect((await socket.closed).code).toBe(1008);
  });

  it('cannot watch more than some lines', async () => {
    const { saleId } = await openSale(api, {
      items: Array.from({ length: 33 }, (_, i) => ({ sku: `MANY-${i}`, stock: 1, price: 1, currency: 'INR' })),
    });
    const socket = await api.socket({ token: (await newBuyer()).token });
    for (let i = 0; i < 32; i += 1) socket.send({ type: 'subscribe', saleId, sku: `MANY-${i}` });
    for (let i = 0; i < 32; i += 1) await socket.next((m) => m.type === 'line' && m.sku === `MANY-${i}`);
    socket.send({ type: 'subscribe', id: 'one too many', saleId, sku: 'MANY-32' });
    expect(await socket.next(isError)).toMatchObject({ id: 'one too many', code: 'BAD_REQUEST' });
    socket.send({ type: 'unsubscribe', saleId, sku: 'MANY-0' });
    await expect
      .poll(async () => {
        socket.send({ type: 'subscribe', saleId, sku: 'MANY-32' });
        return (await socket.next((m) => m.type === 'line' || isError(m))).type;
      })
      .toBe('line');
    socket.close();
  });
});

it('all sockets are told when the process goes down', async () => {
  const other = await startTestApi(api);
  await other.api.attached;
  const socket = await other.socket({ token: (await newBuyer()).token });
  await other.close();
  expect((await socket.closed).code).toBe(1001);
});
