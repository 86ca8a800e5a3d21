// The server at the level of bytes: what HTTP clients do that `fetch` does not.
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newBuyer, openSale, startTestApi, type TestApi, tokenOf } from '../support/api.ts';

let api: TestApi;
/** Begins first, because it takes six seconds. */
let slow: Promise<string>;

beforeAll(async () => {
  api = await startTestApi();
  await api.api.attached;
  const admin = await tokenOf('u_slow', 'ADMIN');
  const { socket, ended } = open();
  slow = ended;
  socket.write(
    `POST /api/v1/sales HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${admin}\r\nContent-Length: 999\r\n\r\n{`,
  );
  // A byte now and then: that is what keeps a connection open against those who only look for silence.
  const drip = setInterval(() => socket.write(' '), 500);
  void ended.then(() => clearInterval(drip));
});
afterAll(() => api?.close());

function open(port = api.api.port): { socket: Socket; ended: Promise<string>; until(part: string): Promise<string> } {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  let look = () => {};
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
    look();
  });
  socket.on('error', () => undefined);
  const ended = new Promise<string>((resolve) => socket.on('close', () => resolve(text)));
  const until = (part: string) =>
    new Promise<string>((resolve) => {
      look = () => {
        if (text.includes(part)) resolve(text);
      };
      look();
    });
  return { socket, ended, until };
}

describe('the server', () => {
  it.each(['HEAD', 'GET', 'OPTIONS', 'DELETE', 'TRACE'])(
    'answers %s of an unknown address and keeps the connection',
    async (method) => {
      const { socket, until } = open();
      socket.write(`${method} /nothing HTTP/1.1\r\nHost: x\r\n\r\n`);
      await until('HTTP/1.1 404');
      socket.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n');
      expect(await until('"live"')).toContain('HTTP/1.1 200 OK');
      socket.destroy();
    },
  );

  it.each(['HEAD /livez', 'HEAD /api/v1/sales', 'OPTIONS /api/v1/sales', 'OPTIONS /livez'])(
    'answers %s and keeps the connection',
    async (line) => {
      const { socket, until } = open();
      socket.write(`${line} HTTP/1.1\r\nHost: x\r\n\r\n`);
      await until('\r\n\r\n');
      socket.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n');
      await until('"live"');
      socket.destroy();
    },
  );

  it('ends a connection that does not wait for its answers, and no other', async () => {
    // uWebSockets.js knows no pipelining of answers that take time; browsers and proxies do not use it.
    const { socket, ended } = open();
    socket.write('GET /api/v1/sales HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(4));
    await ended;
    expect((await api.call('GET', '/livez')).status).toBe(200);
  });

  it('skips the body of a request that it refuses, and goes on', async () => {
    const { socket, until } = open();
    socket.write('POST /api/v1/sales HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{"a":');
    await until('HTTP/1.1 401');
    socket.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n');
    await until('"live"');
    socket.destroy();
  });

  it('ends a connection that announces a body nobody will read', async () => {
    const { socket, ended } = open();
    socket.write('POST /api/v1/sales HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n');
    expect(await ended).toContain('HTTP/1.1 401');
  });

  it('ends a connection with headers over the limit', async () => {
    const { socket, ended } = open();
    socket.write(`GET /livez HTTP/1.1\r\nHost: x\r\nX-Large: ${'a'.repeat(20_000)}\r\n\r\n`);
    expect(await ended).toMatch(/431|400|^$/);
  });

  it.each([
    'hello\r\n\r\n',
    'GET\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    '\u0000\u0001\u0002\r\n\r\n',
    'POST /api/v1/sales HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n',
  ])('survives bytes that are no request: %j', async (bytes) => {
    const { socket, ended } = open();
    socket.end(bytes);
    await ended;
    expect((await api.call('GET', '/livez')).status).toBe(200);
  });

  it('survives clients that hang up in the middle of a purchase', async () => {
    const { saleId, sku } = await openSale(api, { stock: 50 });
    const buyers = await Promise.all(Array.from({ length: 20 }, newBuyer));
    await Promise.all(
      buyers.map(({ token }, i) => {
        const { socket, ended } = open();
        const body = JSON.stringify({ sku, quantity: 1 });
        const head = `POST /api/v1/sales/${saleId}/purchases HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Length: ${body.length}\r\n\r\n`;
        socket.write(i % 2 === 0 ? head + body : head + body.slice(0, 7));
        setImmediate(() => socket.destroy());
        return ended;
      }),
    );
    const { token } = await newBuyer();
    const answer = await api.call('POST', `/api/v1/sales/${saleId}/purchases`, { token, body: { sku } });
    expect(answer.status).toBe(201);
    const counts = (await api.call('GET', `/api/v1/inventory/${sku}`)).body;
    expect(counts.available + counts.held).toBe(50);
  });

  it('answers those that are in while it goes down, and ends their connections', async () => {
    const other = await startTestApi(api);
    await other.api.attached;
    const kept = open(other.api.port);
    kept.socket.write('POST /api/v1/guests HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n');
    await kept.until('HTTP/1.1 201');
    const half = open(other.api.port);
    const admin = await tokenOf('u_operator', 'ADMIN');
    half.socket.write(
      `POST /api/v1/sales HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${admin}\r\nContent-Length: 2\r\n\r\n{`,
    );
    // Only when the head has been read does the process know of it.
    await other.call('GET', '/livez');
    const closing = other.close();
    half.socket.write('}');
    expect(await half.ended).toMatch(/HTTP\/1\.1 422[^]*connection: close/i);
    await closing;
    await kept.ended;
    await expect(fetch(`${other.url}/livez`)).rejects.toThrow();
  });

  it('tells a client whose body only drips, and ends the connection', async () => {
    expect(await slow).toMatch(/HTTP\/1\.1 408[^]*connection: close[^]*REQUEST_TIMEOUT/i);
  });
});
