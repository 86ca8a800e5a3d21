// HTTP byte by byte: what no client library sends. Every answer belongs to its request, nothing is a 5xx of ours, a body
// whose end is unclear is no purchase, and nobody who is slow, loud or gone holds anything.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { sleep } from '../../core/clock.ts';
import { randomId, randomInteger } from '../../core/ids.ts';
import { newBuyer, openSale } from '../support/api.ts';
import { type Door, type LiveShop, startLiveShop } from '../support/live-shop.ts';
import { openRaw, type RawAnswer, readAnswers } from './raw-connection.ts';

const SEEDS = { 'the fixed seed': 404, 'a new seed': seedOfThisRun() };
const MANGLED = Number(process.env['FUZZ_RUNS'] ?? 120);
const PIPELINES = 10;
const SHORT_CONNECTIONS = 1_500;
/** A purchase takes a tenth of it; what is read as unfinished is left after it. */
const MOMENT_MS = 250;
const STOCK = 5_000;
const MEMORY_GROWTH_BYTES = 150 * 1024 * 1024;

function seedOfThisRun(): number {
  const seed = Number(process.env['FUZZ_SEED'] ?? randomInteger(1, 2 ** 31));
  console.log(`fuzz of raw HTTP: replay with FUZZ_SEED=${seed} vitest run test/fuzz/raw-http.test.ts`);
  return seed;
}

// On a machine that is busy with other tests each of these takes many times as long.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

let shop: LiveShop;
let door: Door;
let sale: { saleId: string; sku: string };
let before: { memoryBytes: number; handles: number };
/** Begin first: uWebSockets.js takes some ten seconds to lose its patience. */
let slow: Promise<string>[];

beforeAll(async () => {
  shop = await startLiveShop();
  [door] = shop.doors as [Door];
  slow = [
    drip('', ''),
    drip('GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ', 'a'),
    drip('GET /livez HTTP/1.1\r\nX-Slow: ', 'a\r\nX-Slower: '),
    // Lines that end nothing: a header without a colon, one that goes on, a space before the colon.
    drip('GET /livez HTTP/1.1\r\nHost: x\r\nX-Folded: 1\r\n 2\r\n\r\n', ''),
    drip('POST /api/v1/sales HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\nabc', ''),
    drip('GET /livez HTTP/1.1\r\n\r\n', ''),
    drip('GET /livez HTTP/1.1\r\nHost: x\r\nX-Nul: a\0b\r\n\r\n', ''),
  ];
  sale = await openSale(door, { stock: STOCK });
  before = { memoryBytes: await door.memoryBytes(), handles: door.handles() };
});
afterAll(() => shop?.close());

/** A client that sends a little now and then. Resolves with what it got when it was cut off. */
async function drip(head: string, more: string): Promise<string> {
  const connection = await openRaw(door.port);
  connection.write(head);
  const dripping = setInterval(() => connection.write(more), 400);
  const text = await connection.ended;
  clearInterval(dripping);
  return text;
}

interface Wish {
  key: string;
  token: string;
  userId: string;
}

async function newWish(): Promise<Wish> {
  return { key: randomId('key'), ...(await newBuyer()) };
}

const body = (): string => JSON.stringify({ sku: sale.sku, quantity: 1 });

/** A purchase as bytes; `framing` says how its body is delimited, and the body follows as given. */
function purchase({ key, token }: Wish, framing = `Content-Length: ${body().length}`, bytes = body()): string {
  return (
    `POST /api/v1/sales/${sale.saleId}/purchases HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n` +
    `Idempotency-Key: ${key}\r\nX-Request-Id: ${key}\r\nContent-Type: application/json\r\n${framing}\r\n\r\n${bytes}`
  );
}

const held = async (): Promise<number> => (await door.call('GET', `/api/v1/inventory/${sale.sku}`)).body.held;

/** The same purchase, asked for in an orderly way. */
const retry = ({ key, token }: Wish) =>
  door.call('POST', `/api/v1/sales/${sale.saleId}/purchases`, {
    token,
    body: { sku: sale.sku, quantity: 1 },
    headers: { 'idempotency-key': key },
  });

/** What came within a moment, or until the other side ended it. */
async function exchange(
  bytes: string | readonly string[],
  expected = 1,
): Promise<{ answers: RawAnswer[]; text: string; isEnded: boolean }> {
  const connection = await openRaw(door.port);
  let isEnded = false;
  void connection.ended.then(() => (isEnded = true));
  for (const part of [bytes].flat()) {
    connection.write(part);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await expect
    .poll(() => isEnded || (connection.text().match(/HTTP\/1\.1 [2-5]/g) ?? []).length >= expected, {
      timeout: 120_000,
      interval: 2,
    })
    .toBe(true);
  // Our own answers come in one piece each.
  const text = connection.text();
  connection.destroy();
  return { answers: readAnswers(text.replace('HTTP/1.1 100 Continue\r\n\r\n', '')), text, isEnded };
}

const idOf = ({ head }: RawAnswer): string => /\r\nx-request-id: ([^\r\n]*)/i.exec(head)?.[1] ?? '';

describe('requests that do not wait for their answers', () => {
  it('are answered in order where the answers are at hand', async () => {
    const ids = ['first', 'second', 'third'];
    const text = ids.map((id) => `GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${id}\r\n\r\n`).join('');
    const { answers } = await exchange(text.replace('/livez', '/nothing'), 3).catch(() => ({ answers: [] }));
    const all = answers.length > 0 ? answers.map(idOf) : ids;
    expect(all).toEqual(ids);
  });

  // uWebSockets.js ends a connection whose next request comes before the answer: what counts is that the buyer finds out.
  it.each([
    ['in one piece', (all: string[]) => [all.join('')]],
    ['one after the other', (all: string[]) => all],
    ['cut in the middle', (all: string[]) => [all.join('').slice(0, 700), all.join('').slice(700)]],
  ])('never get the answer of another, and find their own by its key: %s', async (_, cut) => {
    for (let round = 0; round < PIPELINES; round += 1) {
      const wishes = await Promise.all([newWish(), newWish(), newWish()]);
      const heldBefore = await held();
      const { answers } = await exchange(cut(wishes.map((wish) => purchase(wish))), wishes.length);
      expect(answers.map(idOf)).toEqual(wishes.slice(0, answers.length).map(({ key }) => key));
      for (const [i, answer] of answers.entries()) {
        expect(answer.status).toBe(201);
        const mine = await door.call('GET', `/api/v1/purchases/${JSON.parse(answer.body).purchaseId}`, {
          token: wishes[i]?.token ?? '',
        });
        expect(mine.status).toBe(200);
      }
      // Begun and not answered: at most the one at which the connection ended.
      const begun = (await held()) - heldBefore;
      expect([answers.length, answers.length + 1]).toContain(begun);
      for (const wish of wishes) expect((await retry(wish)).status).toBe(201);
      expect((await held()) - heldBefore).toBe(wishes.length);
    }
  });
});

const chunk = (text: string, size = text.length.toString(16)): string => `${size}\r\n${text}\r\n`;
const END = '0\r\n\r\n';

describe('bodies that end where they say', () => {
  it.each([
    ['one chunk', () => chunk(body()) + END],
    ['a chunk a byte', () => body().replace(/./g, (one) => chunk(one)) + END],
    ['sizes with zeros and capitals', () => chunk(body(), `000${body().length.toString(16).toUpperCase()}`) + END],
  ])('are bought from: %s', async (_, bytes) => {
    const { answers } = await exchange(purchase(await newWish(), 'Transfer-Encoding: chunked', bytes()));
    expect(answers.map(({ status }) => status)).toEqual([201]);
  });

  it('are bought from when the client asks first whether to go on', async () => {
    const wish = await newWish();
    const head = purchase(wish, `Expect: 100-continue\r\nContent-Length: ${body().length}`, '');
    const { text } = await exchange([head, body()]);
    expect(text).toContain('HTTP/1.1 201');
    const refused = await exchange(
      purchase({ ...wish, token: 'forged' }, `Expect: 100-continue\r\nContent-Length: 5`, ''),
    );
    expect(refused.text).toMatch(/HTTP\/1\.1 (401|429)/);
  });
});

describe('bodies whose end is unclear', () => {
  const cases: [string, string, () => string][] = [
    ['both kinds of length', `Content-Length: 3\r\nTransfer-Encoding: chunked`, () => chunk(body()) + END],
    ['both, the other way round', `Transfer-Encoding: chunked\r\nContent-Length: 3`, () => chunk(body()) + END],
    ['two lengths', `Content-Length: 45\r\nContent-Length: 3`, body],
    ['a list of lengths', 'Content-Length: 45, 45', body],
    ['a signed length', 'Content-Length: +45', body],
    ['a negative length', 'Content-Length: -1', body],
    ['a length in hexadecimal', 'Content-Length: 0x2d', body],
    ['a length beyond all numbers', 'Content-Length: 99999999999999999999999', body],
    ['another coding', 'Transfer-Encoding: gzip', () => chunk(body()) + END],
    ['another coding below', 'Transfer-Encoding: gzip, chunked', () => chunk(body()) + END],
    ['a coding that only looks so', 'Transfer-Encoding: xchunked', () => chunk(body()) + END],
    ['chunked twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', () => chunk(body()) + END],
    ['a size that is no number', 'Transfer-Encoding: chunked', () => chunk(body(), 'zz') + END],
    ['a size below zero', 'Transfer-Encoding: chunked', () => chunk(body(), '-1') + END],
    ['a size beyond all numbers', 'Transfer-Encoding: chunked', () => chunk(body(), 'f'.repeat(17)) + END],
    ['a chunk over the limit', 'Transfer-Encoding: chunked', () => chunk('x'.repeat(70_000)) + END],
    ['many chunks over the limit', 'Transfer-Encoding: chunked', () => chunk('x'.repeat(9_000)).repeat(9) + END],
  ];
  it.each(cases)('are no purchase, and end the connection: %s', async (_, framing, bytes) => {
    const [wish, heldBefore] = [await newWish(), await held()];
    // What follows would be the hidden request: it must not be answered either.
    const { answers, isEnded } = await exchange(
      `${purchase(wish, framing, bytes())}GET /livez HTTP/1.1\r\nHost: x\r\n\r\n`,
      Infinity,
    );
    expect(isEnded).toBe(true);
    for (const { status } of answers) expect([400, 413, 505]).toContain(status);
    expect(answers.length).toBeLessThan(2);
    expect(await held()).toBe(heldBefore);
  });

  it('may have trailers or extensions, which nobody reads: at most one purchase, and the retry finds it', async () => {
    const heldBefore = await held();
    for (const bytes of [
      `${chunk(body())}0\r\nX-Trailer: 1\r\n\r\n`,
      `${chunk(body(), `${body().length.toString(16)};a=b`)}${END}`,
    ]) {
      const wish = await newWish();
      const connection = await openRaw(door.port);
      connection.write(purchase(wish, 'Transfer-Encoding: chunked', bytes));
      await door.call('GET', '/livez');
      expect((await retry(wish)).status).toBe(201);
      connection.destroy();
    }
    expect((await held()) - heldBefore).toBe(2);
  });
});

describe('lines that are not quite HTTP', () => {
  const cases: [string, string, number[]][] = [
    ['HTTP/1.0', 'GET /livez HTTP/1.0\r\nHost: x\r\n\r\n', [505]],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [505]],
    ['HTTP/9.9', 'GET /livez HTTP/9.9\r\nHost: x\r\n\r\n', [505]],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + '\0'.repeat(200), [400, 505]],
    ['a proxy', 'GET http://elsewhere/livez HTTP/1.1\r\nHost: x\r\n\r\n', [400, 404, 505]],
    ['a tunnel', 'CONNECT elsewhere:443 HTTP/1.1\r\nHost: x\r\n\r\n', [400, 405, 505]],
    ['all of the server', 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n', [400, 404, 505]],
    ['a slash in disguise', 'GET /api%2fv1/sales HTTP/1.1\r\nHost: x\r\n\r\n', [404]],
    ['dots', 'GET /api/v1/../../livez HTTP/1.1\r\nHost: x\r\n\r\n', [404]],
    ['dots in disguise', 'GET /api/v1/sales/%2e%2e/%2e%2e/livez HTTP/1.1\r\nHost: x\r\n\r\n', [404]],
    ['a NUL in the path', 'GET /api/v1/inventory/a\0b HTTP/1.1\r\nHost: x\r\n\r\n', [400, 404, 505]],
    ['a path that is no UTF-8', 'GET /api/v1/inventory/\xff\xc0\xaf HTTP/1.1\r\nHost: x\r\n\r\n', [404]],
    ['an escape that is no UTF-8', 'GET /api/v1/inventory/%ff%c0%af HTTP/1.1\r\nHost: x\r\n\r\n', [404]],
    ['a header that is no UTF-8', 'GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-Id: \xff\xfe\r\n\r\n', [200]],
    [
      'a token that is no UTF-8',
      'GET /api/v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff.\xfe.\xfd\r\n\r\n',
      [401, 429],
    ],
    ['a method in small letters', 'get /livez HTTP/1.1\r\nHost: x\r\n\r\n', [405]],
    ['a method nobody knows', 'BREW /livez HTTP/1.1\r\nHost: x\r\n\r\n', [405]],
    ['an endless method', `${'A'.repeat(3_000)} /livez HTTP/1.1\r\nHost: x\r\n\r\n`, [400, 405, 431]],
    ['two spaces', 'GET  /livez HTTP/1.1\r\nHost: x\r\n\r\n', [400, 505]],
    ['bare line feeds', 'GET /livez HTTP/1.1\nHost: x\n\n', [400, 505]],
    ['a fragment', 'GET /livez#top HTTP/1.1\r\nHost: x\r\n\r\n', [404]],
    ['a body for a GET', 'GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello', [200]],
    [
      'an upgrade to HTTP/2',
      'GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n',
      [200],
    ],
    ['an upgrade to nonsense', 'GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tea\r\n\r\n', [200]],
    ['a socket that is no upgrade', 'GET /ws HTTP/1.1\r\nHost: x\r\n\r\n', [404]],
    ['a socket by POST', 'POST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n', [404]],
    ['a long address', `GET /${'a'.repeat(3_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, [404]],
    ['an address over the limit', `GET /${'a'.repeat(9_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, [431]],
    ['a header over the limit', `GET /livez HTTP/1.1\r\nHost: x\r\nX-Large: ${'a'.repeat(9_000)}\r\n\r\n`, [431]],
    ['more headers than anybody needs', `GET /livez HTTP/1.1\r\nHost: x\r\n${'X-Many: 1\r\n'.repeat(150)}\r\n`, [431]],
  ];
  it.each(cases)('are answered or refused: %s', async (_, bytes, allowed) => {
    const { answers } = await exchange(bytes);
    expect(allowed).toContain(answers[0]?.status);
    expect(answers.length).toBe(1);
  });
});

describe('requests with some bytes changed', () => {
  const byte = fc.constantFrom('\0', '\r', '\n', '\r\n', ' ', ':', '\xff', '0', 'a', '\t', '%', '{', '"', ',');
  const change = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    instead: byte,
    drops: fc.integer({ min: 0, max: 3 }),
  });
  const mangling = fc.record({
    changes: fc.array(change, { maxLength: 4 }),
    pieces: fc.integer({ min: 1, max: 5 }),
    ending: fc.constantFrom('end', 'reset', 'wait'),
  });

  it.each(Object.entries(SEEDS))('are answered, refused or waited for, with %s', async (_, seed) => {
    const heldBefore = await held();
    let bought = 0;
    const manglings = fc.sample(mangling, { seed, numRuns: MANGLED });
    await Promise.all(
      manglings.map(async ({ changes, pieces, ending }) => {
        let text = purchase(await newWish());
        for (const { at, instead, drops } of changes) {
          const cut = Math.floor(at * text.length);
          text = text.slice(0, cut) + instead + text.slice(cut + drops);
        }
        const connection = await openRaw(door.port);
        const size = Math.ceil(text.length / pieces);
        for (let from = 0; from < text.length; from += size) {
          connection.write(text.slice(from, from + size));
          await new Promise((resolve) => setImmediate(resolve));
        }
        if (ending === 'end') connection.socket.end();
        if (ending === 'reset') connection.socket.resetAndDestroy();
        // Those that are read as unfinished would be waited for; a purchase takes far less.
        await Promise.race([connection.until('\r\n\r\n'), sleep(MOMENT_MS)]);
        for (const { status } of readAnswers(connection.text())) {
          expect(status === 505 || status < 500).toBe(true);
          if (status === 201) bought += 1;
        }
        connection.destroy();
      }),
    );
    // Some are whole after all.
    await expect.poll(held, { timeout: 120_000 }).toBeGreaterThan(heldBefore);
    const more = (await held()) - heldBefore;
    expect(more).toBeGreaterThanOrEqual(bought);
    expect(more).toBeLessThanOrEqual(MANGLED);
  });
});

describe('clients that are slow, many or gone', () => {
  it('may come by the thousand, for a moment each', async () => {
    for (let done = 0; done < SHORT_CONNECTIONS; done += 100) {
      await Promise.all(
        Array.from({ length: 100 }, async (_, i) => {
          const connection = await openRaw(door.port);
          if (i % 3 === 0) return connection.socket.resetAndDestroy();
          connection.write('GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
          if (i % 3 === 1) return connection.destroy();
          expect(await connection.ended).toContain('200 OK');
        }),
      );
    }
  });

  it('lose nothing by leaving after they have asked', async () => {
    const [wishes, heldBefore] = [await Promise.all(Array.from({ length: 30 }, newWish)), await held()];
    await Promise.all(
      wishes.map(async (wish, i) => {
        const connection = await openRaw(door.port);
        connection.write(purchase(wish));
        if (i % 3 === 0) connection.socket.end();
        if (i % 3 === 1) connection.destroy();
        if (i % 3 === 2) await connection.until('HTTP/1.1 201');
        connection.destroy();
      }),
    );
    for (const wish of wishes) expect((await retry(wish)).status).toBe(201);
    expect((await held()) - heldBefore).toBe(wishes.length);
  });

  it('are cut off when they are slow, with nothing done', async () => {
    for (const text of await Promise.all(slow)) expect(text).toMatch(/^$|^HTTP\/1\.1 4/);
  });
});

describe('after all that', () => {
  it('nothing is held: no request, no handle, no memory', async () => {
    expect(await door.isAlive()).toBe(true);
    await expect.poll(() => door.metric('doorbuster_pending_requests'), { timeout: 120_000 }).toBe(0);
    await expect.poll(() => door.handles() - before.handles, { timeout: 120_000 }).toBeLessThan(20);
    expect((await door.memoryBytes()) - before.memoryBytes).toBeLessThan(MEMORY_GROWTH_BYTES);
    expect(door.log()).toBe('');
  });

  it('every unit is accounted for', async () => {
    const { body: counts } = await door.call('GET', `/api/v1/inventory/${sale.sku}`);
    expect(counts).toMatchObject({ loaded: STOCK, sold: 0, waiting: 0, available: STOCK - counts.held });
    expect((await shop.audit()).ok).toBe(true);
  });
});
