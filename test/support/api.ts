// API processes for tests: each `startTestApi` is one, on a Redis and a database of its own or on those of another, so
// that two of them are two processes of one system. Requests go over real sockets.
import { WebSocket } from 'ws';
import { type Api, startApi } from '../../api/api.ts';
import { createTokenIssuer } from '../../api/tokens.ts';
import { systemClock } from '../../core/clock.ts';
import type { RuntimeConfig } from '../../core/config.ts';
import { randomId } from '../../core/ids.ts';
import { createLog } from '../../core/log.ts';
import { pack, unpack } from '../../core/redis/msgpack.ts';
import type { Role } from '../../shop/route.ts';
import { openTestDatabase, openTestRedis, type TestDatabase, type TestRedis } from './stack.ts';

export const JWT_SECRET = 'a-secret-for-tests-of-forty-characters!!';
export const quietLog = createLog({ logLevel: 'silent' }, 'test');

// Tests read members of many shapes out of what came over the wire; what is not there fails the expectation.
// oxlint-disable-next-line typescript/no-explicit-any
export type Json = any;

export interface TestAnswer {
  status: number;
  headers: Headers;
  body: Json;
}

export interface CallOptions {
  token?: string;
  body?: unknown;
  /** Sent as it is, instead of `body`. */
  raw?: string | Uint8Array;
  headers?: Record<string, string>;
}

export interface TestApi {
  readonly api: Api;
  readonly url: string;
  readonly config: RuntimeConfig;
  readonly database: TestDatabase;
  readonly testRedis: TestRedis;
  call(method: string, path: string, options?: CallOptions): Promise<TestAnswer>;
  socket(options?: { token?: string; query?: string; isBinary?: boolean }): Promise<TestSocket>;
  close(): Promise<void>;
}

const issueToken = createTokenIssuer(JWT_SECRET, systemClock);

export function tokenOf(userId: string, role: Role = 'USER', lifeSeconds = 3_600): Promise<string> {
  return issueToken({ userId, role }, lifeSeconds);
}

export async function newBuyer(): Promise<{ userId: string; token: string }> {
  const userId = randomId('u_test');
  return { userId, token: await tokenOf(userId) };
}

export async function startTestApi(
  shared?: { database: TestDatabase; testRedis: TestRedis },
  overrides: Partial<RuntimeConfig> = {},
): Promise<TestApi> {
  const database = shared?.database ?? (await openTestDatabase());
  const testRedis = shared?.testRedis ?? (await openTestRedis());
  const config: RuntimeConfig = {
    environment: 'test',
    port: 0,
    apiProcesses: 1,
    databaseUrl: database.url,
    redisUrl: testRedis.url,
    jwtSecret: JWT_SECRET,
    dataDir: '.test-data',
    sandboxPort: 0,
    sandboxHost: '127.0.0.1',
    logLevel: 'silent',
    // A port where nobody listens: no test of the API reaches a payment provider.
    stripe: { secretKey: 'sk_test_none', webhookSecret: 'whsec_none', apiBase: 'http://127.0.0.1:9' },
    ...overrides,
  };
  const api = await startApi(config, quietLog);
  const url = `http://127.0.0.1:${api.port}`;
  return {
    api,
    url,
    config,
    database,
    testRedis,
    call: (method, path, options) => send(`${url}${path}`, method, options),
    socket: (options) => openSocket(url, options),
    async close() {
      await api.close();
      if (shared !== undefined) return;
      await database.drop();
      await testRedis.close();
    },
  };
}

/** One request to any address. */
export async function send(url: string, method: string, options: CallOptions = {}): Promise<TestAnswer> {
  const headers: Record<string, string> = { ...options.headers };
  if (options.token !== undefined) headers['authorization'] = `Bearer ${options.token}`;
  if (options.body !== undefined) headers['content-type'] ??= 'application/json';
  const body = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  const response = await fetch(url, { method, headers, ...(body === undefined ? {} : { body }) });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') === true;
  return { status: response.status, headers: response.headers, body: isJson && text !== '' ? JSON.parse(text) : text };
}

export interface TestSocket {
  readonly messages: Json[];
  send(message: Record<string, unknown>): void;
  sendRaw(data: string | Uint8Array): void;
  /** The first message, past or future, that fits; each is handed out once. */
  next(fits: (message: Json) => boolean): Promise<Json>;
  readonly closed: Promise<{ code: number; reason: string }>;
  close(): void;
}

/** A socket to any address, with the path of ours. */
export async function openSocket(
  url: string,
  { token, query = '', isBinary = false }: { token?: string; query?: string; isBinary?: boolean } = {},
): Promise<TestSocket> {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws${query}`, { headers });
  const messages: Json[] = [];
  let waiting: { fits: (message: Json) => boolean; resolve: (message: Json) => void }[] = [];
  socket.on('message', (data: Buffer, isBinaryFrame: boolean) => {
    const message: Json = isBinaryFrame ? unpack(data) : JSON.parse(data.toString());
    const first = waiting.find(({ fits }) => fits(message));
    if (first === undefined) {
      messages.push(message);
      return;
    }
    waiting = waiting.filter((one) => one !== first);
    first.resolve(message);
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('open', () => resolve());
    socket.once('error', reject);
    socket.once('unexpected-response', (_request, response) =>
      reject(new Error(`refused with ${response.statusCode}`)),
    );
  });
  return {
    messages,
    closed,
    send: (message) => socket.send(isBinary ? pack(message) : JSON.stringify(message)),
    sendRaw: (data) => socket.send(data),
    next: (fits) =>
      new Promise((resolve) => {
        const at = messages.findIndex(fits);
        if (at >= 0) resolve(messages.splice(at, 1)[0]);
        else waiting.push({ fits, resolve });
      }),
    close: () => socket.close(),
  };
}

let saleCount = 0;

/** A sale with one SKU, open unless told otherwise. Answers its id and SKU. */
export async function openSale(
  { call: send }: Pick<TestApi, 'call'>,
  overrides: Record<string, unknown> & { stock?: number; isOpen?: boolean } = {},
): Promise<{ saleId: string; sku: string }> {
  const { stock = 10, isOpen = true, ...rest } = overrides;
  saleCount += 1;
  const sku = `SKU-${process.pid}-${saleCount}`;
  const token = await tokenOf('u_operator', 'ADMIN');
  const items = [{ sku, stock, price: 499.5, currency: 'INR' }];
  const created = await send('POST', '/api/v1/sales', {
    token,
    body: { name: 'Noon drop', paymentStart: 'on_demand', items, ...rest },
  });
  if (created.status !== 201) throw new Error(`the sale was refused: ${JSON.stringify(created.body)}`);
  const { saleId } = created.body;
  if (isOpen) {
    const opened = await send('POST', `/api/v1/sales/${saleId}/open`, { token });
    if (opened.status !== 200) throw new Error(`the sale did not open: ${JSON.stringify(opened.body)}`);
  }
  return { saleId, sku: created.body.items[0].sku };
}
