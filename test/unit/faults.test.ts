// The judgement of the fault matrix on answers that nobody should get, and the network between two sockets that breaks.
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createDiary } from '../../scripts/faults/diary.ts';
import { openProxy, type Proxy } from '../../scripts/faults/proxy.ts';
import type { Heard } from '../../scripts/rush/traffic.ts';

const STRICT = { mayLoseConnections: false, mayForget: false };
const answer = (told: Partial<Heard>): Heard => ({
  question: 'buy',
  door: 'http',
  status: 201,
  code: 'RESERVED',
  hasRetryAfter: false,
  sentAtMs: 10,
  heardAtMs: 20,
  ...told,
});
const later = { status: 503, code: 'UNAVAILABLE', hasRetryAfter: true };

describe('the diary of a fault', () => {
  it.each<[string, Partial<Heard>]>([
    ['a hold', {}],
    ['a place in the line', { status: 202, code: 'WAITING' }],
    ['what a repeated purchase has become', { status: 200, code: 'EXPIRED' }],
    ['sold out', { status: 409, code: 'SOLD_OUT' }],
    ['later', later],
    ['later, on a socket', { door: 'socket', status: 0, code: 'FENCED', hasRetryAfter: true }],
    ['a purchase that was looked at', { question: 'look', status: 200, code: 'CONFIRMED' }],
  ])('takes %s for an answer', (_, told) => {
    const diary = createDiary();
    diary.write(answer(told));
    expect(diary.wrong(STRICT)).toEqual({});
  });

  it.each<[string, Partial<Heard>, string]>([
    ['an internal error', { status: 500, code: 'INTERNAL' }, '500 INTERNAL'],
    ['an internal error on a socket', { door: 'socket', status: 0, code: 'INTERNAL' }, 'socket INTERNAL'],
    ['later without a time', { ...later, hasRetryAfter: false }, '503 UNAVAILABLE'],
    ['a gateway that gave up', { status: 504, code: '' }, '504 '],
    ['a refusal that no buyer of ours earns', { status: 409, code: 'SALE_PAUSED' }, '409 SALE_PAUSED'],
    ['a lost connection', { status: 0, code: '' }, 'lost'],
    ['no such purchase', { question: 'look', status: 404, code: 'PURCHASE_NOT_FOUND' }, '404 PURCHASE_NOT_FOUND'],
  ])('takes %s for a wrong answer', (_, told, word) => {
    const diary = createDiary();
    diary.write(answer(told));
    expect(diary.wrong(STRICT)).toEqual({ [word]: 1 });
  });

  it('allows what is said beforehand, and nothing else', () => {
    const diary = createDiary();
    diary.write(answer({ status: 0, code: '' }));
    diary.write(answer({ question: 'look', status: 404, code: 'PURCHASE_NOT_FOUND' }));
    diary.write(answer({ status: 404, code: 'SALE_NOT_FOUND' }));
    expect(diary.wrong({ mayLoseConnections: true, mayForget: true })).toEqual({ '404 SALE_NOT_FOUND': 1 });
  });

  it('counts recovery from purchases that were asked for afterwards', () => {
    const diary = createDiary();
    diary.write(answer({ sentAtMs: 90, heardAtMs: 130 }));
    diary.write(answer({ ...later, sentAtMs: 110, heardAtMs: 140 }));
    expect(diary.firstAcceptedAfter(100)).toBeUndefined();
    diary.write(answer({ sentAtMs: 180, heardAtMs: 200 }));
    expect(diary.firstAcceptedAfter(100)).toBe(200);
    expect(diary.longestSilence(100, 200)).toBe(70);
    expect(diary.acceptedBetween(100, 300)).toBe(1);
    expect(diary.counts(135, 300)).toEqual({ '503 UNAVAILABLE': 1, 201: 1 });
  });
});

describe('a broken network', () => {
  const closing: (() => void)[] = [];
  afterEach(() => {
    for (const close of closing.splice(0)) close();
  });

  /** A server that answers each piece with itself, behind a proxy, and one client. */
  async function openLine(): Promise<{ proxy: Proxy; dial(): Promise<Talk>; arrived: string[] }> {
    const arrived: string[] = [];
    const server = await listen((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (bytes) => {
        arrived.push(bytes.toString());
        socket.write(bytes);
      });
    });
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const proxy = await openProxy(() => ({ host: '127.0.0.1', port }));
    closing.push(
      () => server.close(),
      () => void proxy.close(),
    );
    return { proxy, arrived, dial: () => dial(proxy.port) };
  }

  it('passes everything on in order', async () => {
    const { dial } = await openLine();
    const talk = await dial();
    for (const word of ['a', 'b', 'c']) talk.socket.write(word);
    await talk.heard('abc');
  });

  it('holds bytes back in a hole, and delivers them when it ends', async () => {
    const { proxy, dial, arrived } = await openLine();
    const talk = await dial();
    talk.socket.write('before');
    await talk.heard('before');
    proxy.set('hole');
    talk.socket.write('within');
    const other = await dial();
    other.socket.write('other');
    expect(arrived).toEqual(['before']);
    proxy.set('pass');
    await talk.heard('beforewithin');
    await other.heard('other');
  });

  it('swallows answers in one direction, and breaks the connection that lost them', async () => {
    const { proxy, dial, arrived } = await openLine();
    const talk = await dial();
    talk.socket.write('a');
    await talk.heard('a');
    proxy.set('deaf');
    talk.socket.write('b');
    const other = await dial();
    other.socket.write('c');
    await until(() => arrived.join('') === 'abc');
    proxy.set('pass');
    await talk.closed;
    expect(talk.text()).toBe('a');
    const fresh = await dial();
    fresh.socket.write('d');
    await fresh.heard('d');
  });

  it('resets and refuses when it is cut, and takes new connections afterwards', async () => {
    const { proxy, dial } = await openLine();
    const talk = await dial();
    talk.socket.write('a');
    await talk.heard('a');
    proxy.set('cut');
    await talk.closed;
    await expect(dial()).rejects.toThrow('ECONNREFUSED');
    proxy.set('pass');
    const fresh = await dial();
    fresh.socket.write('b');
    await fresh.heard('b');
  });

  function listen(onSocket: (socket: Socket) => void): Promise<Server> {
    return new Promise((resolve) => {
      const server = createServer(onSocket);
      server.listen(0, '127.0.0.1', () => resolve(server));
    });
  }

  interface Talk {
    socket: Socket;
    text(): string;
    heard(all: string): Promise<void>;
    closed: Promise<void>;
  }

  function dial(port: number): Promise<Talk> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1');
      let text = '';
      socket.on('data', (bytes) => (text += bytes.toString()));
      socket.once('error', reject);
      const closed = new Promise<void>((done) => socket.once('close', () => done()));
      closing.push(() => socket.destroy());
      socket.once('connect', () => {
        resolve({ socket, closed, text: () => text, heard: (all) => until(() => text === all) });
      });
    });
  }

  async function until(isSo: () => boolean): Promise<void> {
    await expect.poll(isSo, { timeout: 10_000, interval: 5 }).toBe(true);
  }
});
