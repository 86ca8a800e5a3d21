// The WebSocket protocol from below: messages made from the schema and spoiled, frames that no client may send, floods,
// clients that vanish. Each is answered or closed; nothing stays open, and the counts are what buyers were told.
import fc, { type Arbitrary } from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { socketMessageSchema } from '../../api/wire.ts';
import { ERRORS } from '../../core/errors.ts';
import { randomInteger } from '../../core/ids.ts';
import { pack, unpack } from '../../core/redis/msgpack.ts';
import { type Json, newBuyer, openSale, tokenOf } from '../support/api.ts';
import { type Door, type LiveShop, startLiveShop } from '../support/live-shop.ts';
import { fitting, nasty, type Schema, spoiled } from './from-schema.ts';
import { frame, OPCODES, openRaw, type RawConnection, readFrames, upgradeRequest } from './raw-connection.ts';

const SEEDS = { 'the fixed seed': 77, 'a new seed': seedOfThisRun() };
const SOCKETS = Number(process.env['FUZZ_RUNS'] ?? 8);
/** Within what a socket may send at once, with its last question. */
const MESSAGES_EACH = 30;
const STOCK = 5_000;
/** Far above what the process needs for it, far below what a leak of it all would be. */
const MEMORY_GROWTH_BYTES = 150 * 1024 * 1024;

function seedOfThisRun(): number {
  const seed = Number(process.env['FUZZ_SEED'] ?? randomInteger(1, 2 ** 31));
  console.log(`fuzz of sockets: replay with FUZZ_SEED=${seed} vitest run test/fuzz/sockets.test.ts`);
  return seed;
}

// On a machine that is busy with other tests each of these takes many times as long.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

let shop: LiveShop;
let door: Door;
let canary: { saleId: string; sku: string };
let before: { memoryBytes: number; handles: number };
const told = new Set<string>();

beforeAll(async () => {
  shop = await startLiveShop();
  [door] = shop.doors as [Door];
  canary = await openSale(door, { stock: STOCK, perBuyerLimit: 100 });
  await door.call('GET', '/livez');
  before = { memoryBytes: await door.memoryBytes(), handles: door.handles() };
});
afterAll(() => shop?.close());

async function openSocket(token?: string): Promise<RawConnection> {
  const connection = await openRaw(door.port);
  connection.write(upgradeRequest(token === undefined ? '' : `?access_token=${token}`));
  expect(await connection.until('\r\n\r\n')).toContain('101 Switching Protocols');
  return connection;
}

const newSocket = async (): Promise<RawConnection> => openSocket((await newBuyer()).token);

const isEnd = (text: string): boolean => readFrames(text).some(({ opcode }) => opcode === OPCODES.close);

/** What the server has said, each message read as its frame's kind demands. */
function messagesOf(connection: RawConnection): Json[] {
  return readFrames(connection.text())
    .filter(({ opcode }) => opcode === OPCODES.text || opcode === OPCODES.binary)
    .map(({ opcode, payload }) => (opcode === OPCODES.text ? JSON.parse(payload.toString()) : unpack(payload)));
}

const KINDS = new Set(['purchase', 'error', 'line', 'pong', 'auth', 'payment']);

function faultsOf(message: Json): string[] {
  if (!KINDS.has(message.type)) return [`a message of type ${message.type}`];
  if (message.type !== 'error') return [];
  const status = ERRORS[message.code as keyof typeof ERRORS]?.status;
  if (status === undefined) return [`the code ${message.code}`];
  return status >= 500 ? [`${message.code}: ${message.message}`] : [];
}

interface Sent {
  data: Buffer;
  opcode: number;
}

/** Text or binary, whole or in pieces: the same message. */
function asFrames({ data, opcode }: Sent, pieces: number): Buffer {
  const size = Math.ceil(data.length / pieces) || 1;
  const parts = Array.from({ length: pieces }, (_, i) => data.subarray(i * size, (i + 1) * size));
  return Buffer.concat(
    parts.map((payload, i) => frame({ opcode: i === 0 ? opcode : OPCODES.more, payload, isFinal: i === pieces - 1 })),
  );
}

/** What is nested deeper than the packer itself can follow becomes lists in lists. */
function packed(value: unknown): Buffer {
  try {
    return Buffer.from(pack(value));
  } catch {
    return Buffer.alloc(14_000, 0x91);
  }
}

const schema = z.toJSONSchema(socketMessageSchema, { io: 'input' }) as Schema;

function messages(): Arbitrary<Buffer> {
  // A wrong token ends the socket, which is tested below.
  const branches = (schema.oneOf ?? schema.anyOf ?? []).filter(
    ({ properties }) => properties?.['type']?.const !== 'auth',
  );
  const real = (value: unknown): unknown =>
    typeof value === 'object' && value !== null && 'saleId' in value ? { ...value, ...canary } : value;
  const any = fc.oneof(
    { weight: 4, arbitrary: fc.oneof(...branches.map(fitting)).map(real) },
    { weight: 4, arbitrary: fc.oneof(...branches.map(spoiled)).map(({ value }) => value) },
    { weight: 1, arbitrary: nasty },
  );
  const kinds = fc.oneof(
    {
      weight: 5,
      arbitrary: any.map((value): Sent => ({ data: Buffer.from(JSON.stringify(value) ?? ''), opcode: OPCODES.text })),
    },
    { weight: 5, arbitrary: any.map((value): Sent => ({ data: packed(value), opcode: OPCODES.binary })) },
    {
      weight: 1,
      arbitrary: fc
        .uint8Array({ maxLength: 400 })
        .map((data): Sent => ({ data: Buffer.from(data), opcode: OPCODES.binary })),
    },
    {
      weight: 1,
      arbitrary: fc
        .string({ unit: 'grapheme' })
        .map((text): Sent => ({ data: Buffer.from(text), opcode: OPCODES.text })),
    },
  );
  // Larger than a socket takes is a case of its own.
  return fc
    .tuple(kinds, fc.integer({ min: 1, max: 4 }))
    .filter(([{ data }]) => data.length < 15_000)
    .map(([sent, pieces]) => asFrames(sent, pieces));
}

async function converse(connection: RawConnection, frames: readonly Buffer[]): Promise<void> {
  connection.write(Buffer.concat(frames));
  connection.write(asFrames({ data: Buffer.from('{"type":"ping","id":"the-last"}'), opcode: OPCODES.text }, 1));
  const all = await connection.until('"the-last"');
  expect(isEnd(all)).toBe(false);
  expect(messagesOf(connection).flatMap(faultsOf)).toEqual([]);
}

describe('messages of every kind', () => {
  it.each(Object.entries(SEEDS))('are answered, each on its own, with %s', async (_, seed) => {
    const rounds = fc.sample(fc.array(messages(), { minLength: MESSAGES_EACH, maxLength: MESSAGES_EACH }), {
      seed,
      numRuns: SOCKETS,
    });
    for (const frames of rounds) {
      const connection = await newSocket();
      await converse(connection, frames);
      // Whoever bought is told, if a moment later than the answer to the last message.
      await expect
        .poll(
          async () => {
            for (const { type, purchaseId } of messagesOf(connection)) if (type === 'purchase') told.add(purchaseId);
            return (await heldUnits()) - (await toldUnits());
          },
          { timeout: 120_000 },
        )
        .toBe(0);
      connection.destroy();
    }
    expect(told.size).toBeGreaterThan(SOCKETS);
  });
});

async function heldUnits(): Promise<number> {
  return (await door.call('GET', `/api/v1/inventory/${canary.sku}`)).body.held;
}

async function toldUnits(): Promise<number> {
  const purchases = await shop.stock.look([...told]);
  return purchases.reduce((units, purchase) => units + (purchase?.quantity ?? 0), 0);
}

const text = (payload: string | Uint8Array, more = {}): Buffer => frame({ opcode: OPCODES.text, payload, ...more });
const PING = '{"type":"ping","id":"a"}';

describe('frames that no client may send end the socket', () => {
  const cases: [string, Buffer | Buffer[]][] = [
    ['reserved bits', text(PING, { reserved: 2 })],
    ['a compressed frame, which was never agreed on', text(PING, { reserved: 4 })],
    ['a text that is no UTF-8', text(Uint8Array.of(0x22, 0xff, 0xfe, 0x22))],
    ['a text that ends within a letter', text(Uint8Array.of(0x22, 0xe2, 0x82))],
    ['an encoded surrogate', text(Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22))],
    ['a continuation of nothing', frame({ opcode: OPCODES.more, payload: PING })],
    ['a message within a message', [text('{"type"', { isFinal: false }), text(PING)]],
    ['a ping in pieces', frame({ opcode: OPCODES.ping, payload: 'x', isFinal: false })],
    ['a ping that is too long', frame({ opcode: OPCODES.ping, payload: 'x'.repeat(126) })],
    ['a close that is too long', frame({ opcode: OPCODES.close, payload: 'x'.repeat(126) })],
    ['more than a socket takes', text('x'.repeat(20_000))],
    [
      'more than a socket takes, in pieces',
      [
        text('x'.repeat(9_000), { isFinal: false }),
        ...Array.from({ length: 3 }, () => frame({ opcode: OPCODES.more, payload: 'x'.repeat(9_000), isFinal: false })),
      ],
    ],
    ['a length of four gigabytes', text('x', { toldLength: 2 ** 32, lengthBits: 64 })],
    [
      'a length beyond all numbers',
      Buffer.from([0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]),
    ],
    ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode): [string, Buffer] => [
      `opcode ${opcode}`,
      frame({ opcode, payload: 'x' }),
    ]),
    ['a close', frame({ opcode: OPCODES.close, payload: Uint8Array.of(0x03, 0xe8) })],
    ['a close without a reason', frame({ opcode: OPCODES.close })],
    ['half a code to close with', frame({ opcode: OPCODES.close, payload: Uint8Array.of(3) })],
    ['a code that nobody may send', frame({ opcode: OPCODES.close, payload: Uint8Array.of(0x03, 0xed) })],
    ['a reason that is no UTF-8', frame({ opcode: OPCODES.close, payload: Uint8Array.of(0x03, 0xe8, 0xff) })],
    ['HTTP', Buffer.from('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n')],
  ];
  it.each(cases)('%s', async (_, frames) => {
    const connection = await newSocket();
    connection.write(Buffer.concat([frames].flat()));
    await connection.ended;
    expect(messagesOf(connection).flatMap(faultsOf)).toEqual([]);
  });
});

describe('clients without patience', () => {
  it('may put a ping between the pieces of a message', async () => {
    const connection = await newSocket();
    connection.write(text('{"type":"ping",', { isFinal: false }));
    connection.write(frame({ opcode: OPCODES.ping, payload: 'between' }));
    connection.write(frame({ opcode: OPCODES.more, isFinal: false }));
    connection.write(frame({ opcode: OPCODES.more, payload: '"id":"pieces"}' }));
    await connection.until('"pieces"');
    expect(connection.text()).toContain('between');
    connection.destroy();
  });

  it('may send before they are answered: that is not read, and what follows is', async () => {
    const { token } = await newBuyer();
    const early = await openRaw(door.port);
    const buy = text(JSON.stringify({ type: 'buy', id: 'early', ...canary }));
    early.write(Buffer.concat([Buffer.from(upgradeRequest(`?access_token=${token}`)), buy]));
    await early.until('\r\n\r\n');
    for (const byte of text('{"type":"ping","id":"drops"}')) early.write(Uint8Array.of(byte));
    expect(await early.until('"drops"')).not.toContain('"early"');
    early.destroy();
  });

  it('are not understood without a mask', async () => {
    // uWebSockets.js does not end these, as RFC 6455 asks; it takes their first four bytes for the mask.
    const connection = await newSocket();
    const buy = JSON.stringify({ type: 'buy', id: 1, ...canary });
    connection.write(Buffer.concat(Array.from({ length: 3 }, () => text(buy, { isMasked: false }))));
    expect(await door.isAlive()).toBe(true);
    expect(messagesOf(connection).filter(({ type }) => type === 'purchase')).toEqual([]);
    connection.destroy();
  });

  it.each([
    ['an unknown version', upgradeRequest().replace('Version: 13', 'Version: 7')],
    ['no version', upgradeRequest().replace(/Sec-WebSocket-Version[^\n]*\n/, '')],
    ['a forged token', upgradeRequest('?access_token=forged')],
    ['a token that is over', ''],
    ['no key', upgradeRequest().replace(/Sec-WebSocket-Key[^\n]*\n/, '')],
    ['a NUL in its query', upgradeRequest('?access_token=%00')],
    ['another address', upgradeRequest().replace('/ws', '/wss')],
  ])('are not upgraded with %s', async (name, bytes) => {
    const connection = await openRaw(door.port);
    const late = `?access_token=${await tokenOf('u_late', 'USER', -5)}`;
    connection.write(bytes === '' ? upgradeRequest(late) : bytes);
    const status = Number((await connection.until('\r\n\r\n')).slice(9, 12));
    expect([name, status >= 400 && status < 500]).toEqual([name, true]);
    connection.destroy();
  });

  it('may flood: what is too much is refused, and in the end nobody listens', async () => {
    const connection = await newSocket();
    const buy = JSON.stringify({ type: 'buy', id: 1, ...canary, quantity: 0 });
    connection.write(Buffer.concat(Array.from({ length: 500 }, () => text(buy))));
    await connection.ended;
    expect(messagesOf(connection).some(({ code }) => code === 'RATE_LIMITED')).toBe(true);
  });

  it('may ping without end and read nothing of it', async () => {
    const connection = await newSocket();
    connection.socket.pause();
    const pings = Buffer.concat(
      Array.from({ length: 1_000 }, () => frame({ opcode: OPCODES.ping, payload: 'x'.repeat(125) })),
    );
    for (let i = 0; i < 50; i += 1) connection.write(pings);
    expect(await door.isAlive()).toBe(true);
    connection.destroy();
  });

  it('may send empty pieces for ever', async () => {
    const connection = await newSocket();
    const piece = frame({ opcode: OPCODES.more, isFinal: false });
    connection.write(Buffer.concat([text('', { isFinal: false }), ...Array.from({ length: 20_000 }, () => piece)]));
    connection.write(frame({ opcode: OPCODES.more, payload: '{"type":"ping","id":"whole"}' }));
    await connection.until('"whole"');
    connection.destroy();
  });

  it('may vanish at any moment', async () => {
    await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const { token } = await newBuyer();
        const connection = await openRaw(door.port);
        const head = upgradeRequest(`?access_token=${token}`);
        const subscribe = text(JSON.stringify({ type: 'subscribe', ...canary }));
        if (i % 4 === 0) connection.write(head.slice(0, 20 + i));
        else connection.write(Buffer.concat([Buffer.from(head), subscribe, subscribe.subarray(0, i % 20)]));
        if (i % 3 === 0) connection.socket.end();
        else if (i % 3 === 1) connection.socket.resetAndDestroy();
        else connection.destroy();
      }),
    );
    expect(await door.isAlive()).toBe(true);
  });
});

describe('afterwards', () => {
  it('no socket is open, and no memory or handle is held', async () => {
    await expect.poll(() => door.metric('doorbuster_sockets_count'), { timeout: 120_000 }).toBe(0);
    await expect.poll(() => door.metric('doorbuster_pending_requests'), { timeout: 120_000 }).toBe(0);
    // Its own connections to the databases come and go.
    await expect.poll(() => door.handles() - before.handles, { timeout: 120_000 }).toBeLessThan(20);
    expect((await door.memoryBytes()) - before.memoryBytes).toBeLessThan(MEMORY_GROWTH_BYTES);
    expect(door.log()).toBe('');
  });

  it('the counts are what buyers were told', async () => {
    expect(await heldUnits()).toBe(await toldUnits());
    expect((await shop.audit()).ok).toBe(true);
  });
});
