// What every answer tells a browser: of every route, with and without success, of the page, and of what is no route. And
// that no answer says which server it is.
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newBuyer, startTestApi, type TestApi, tokenOf } from '../support/api.ts';

let api: TestApi;
let guarded: TestApi;
const PAGE = 'https://shop.example';

beforeAll(async () => {
  api = await startTestApi();
  guarded = await startTestApi(api, { allowedOrigins: [PAGE] });
  await Promise.all([api.api.attached, guarded.api.attached]);
});
afterAll(async () => {
  await guarded?.close();
  await api?.close();
});

const EVERYWHERE = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000',
};

function expectSafe(headers: Headers, what: string): void {
  for (const [name, value] of Object.entries(EVERYWHERE)) expect(headers.get(name), `${name} of ${what}`).toBe(value);
  // A header that is there twice is read as a list: one of each.
  expect(headers.get('content-security-policy'), what).toMatch(/^default-src 'none';[^,]*frame-ancestors 'none'[^,]*$/);
  expect(headers.get('x-request-id'), what).toMatch(/^[\w.-]+$/);
  for (const name of ['server', 'x-powered-by', 'uwebsockets', 'set-cookie', 'via', 'access-control-allow-credentials'])
    expect(headers.get(name), `${name} of ${what}`).toBeNull();
}

const filled = (path: string) => path.replaceAll(/\{\w+\}/g, 'none-such');

describe('every answer', () => {
  it('of every route is safe to open, whoever asks and whatever the answer', async () => {
    const tokens = [undefined, 'forged', (await newBuyer()).token, await tokenOf('u_operator', 'ADMIN')];
    const statuses = new Set<number>();
    for (const { method, path } of api.api.routes) {
      for (const token of tokens) {
        const options = token === undefined ? {} : { token };
        const answer = await api.call(method, filled(path), method === 'POST' ? { ...options, body: {} } : options);
        expectSafe(answer.headers, `${method} ${path} ${answer.status}`);
        statuses.add(answer.status);
      }
    }
    expect([...statuses]).toEqual(expect.arrayContaining([200, 400, 401, 403, 404, 422]));
  });

  it('of what is no route is, too', async () => {
    const answers = await Promise.all([
      api.call('GET', '/nothing'),
      api.call('PATCH', '/api/v1/sales'),
      api.call('OPTIONS', '/api/v1/sales'),
      api.call('GET', '/%00'),
      api.call('HEAD', '/api/v1/sales'),
      api.call('GET', '/ws'),
      api.call('POST', '/api/v1/sales', { token: await tokenOf('u_operator', 'ADMIN'), raw: 'x'.repeat(70_000) }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([404, 405, 204, 404, 200, 404, 413]);
    for (const { headers, status } of answers) expectSafe(headers, String(status));
  });

  it('of the page lets the page do what it does, and nobody into a frame', async () => {
    const { headers, body } = await api.call('GET', '/');
    expectSafe(headers, 'the page');
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).not.toMatch(/script-src[^;]*'unsafe|\*|https:/);
    expect(policy).toMatch(/script-src 'sha256-/);
    expect(headers.get('cross-origin-opener-policy')).toBe('same-origin');
    expect(headers.get('access-control-allow-origin')).toBeNull();
    expect(body).toContain('<html');
  });

  it('is read by any origin, since none brings anything along', async () => {
    const headers = { origin: 'https://elsewhere.example', 'access-control-request-method': 'POST' };
    const answer = await api.call('GET', '/api/v1/sales', { headers });
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
    const preflight = await api.call('OPTIONS', '/api/v1/sales', { headers });
    expect(preflight.headers.get('access-control-allow-origin')).toBe('*');
    expect(preflight.headers.get('access-control-allow-credentials')).toBeNull();
  });

  it('is whole: a header of one answer never comes from another request', async () => {
    const split = await api.call('GET', '/api/v1/sales', { headers: { 'x-request-id': 'a%0d%0aset-cookie:b' } });
    expect(split.headers.get('x-request-id')).not.toContain('%');
    const location = await api.call('GET', '/nothing%0d%0aset-cookie:%20a=b');
    expect(location.headers.get('set-cookie')).toBeNull();
  });
});

/** The head of an answer to a handshake, as bytes. */
function shake(url: string, lines: readonly string[], query = ''): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(port), hostname);
    let text = '';
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString();
      if (!text.includes('\r\n\r\n')) return;
      socket.destroy();
      resolve(text);
    });
    socket.on('error', reject);
    const key = Buffer.alloc(16, 7).toString('base64');
    const handshake = [
      'connection: upgrade',
      'upgrade: websocket',
      'sec-websocket-version: 13',
      `sec-websocket-key: ${key}`,
    ];
    socket.write([`GET /ws${query} HTTP/1.1`, 'host: x', ...handshake, ...lines, '', ''].join('\r\n'));
  });
}
const statusOf = (answer: string) => Number(answer.split(' ')[1]);

describe('a socket', () => {
  it('is opened by the pages that may, and by what is no page', async () => {
    const asked = async (target: TestApi, ...lines: string[]) => statusOf(await shake(target.url, lines));
    expect(await asked(guarded, `origin: ${PAGE}`)).toBe(101);
    expect(await asked(guarded)).toBe(101);
    for (const origin of [
      'https://elsewhere.example',
      'null',
      `${PAGE}.elsewhere.example`,
      'http://shop.example',
      `${PAGE}:444`,
    ])
      expect(await asked(guarded, `origin: ${origin}`), origin).toBe(403);
    expect(await asked(api, 'origin: https://elsewhere.example')).toBe(101);
  });

  it('does not say which server it is, opened or refused', async () => {
    const heads = [
      await shake(api.url, []),
      await shake(api.url, [], '?access_token=forged'),
      await shake(guarded.url, ['origin: null']),
    ];
    expect(heads.map(statusOf)).toEqual([101, 401, 403]);
    for (const head of heads) expect(head).not.toMatch(/uwebsockets|server:/i);
    for (const refused of heads.slice(1)) expect(refused.toLowerCase()).toContain('x-content-type-options: nosniff');
  });
});
