// Every endpoint, from its own OpenAPI schema: whatever is sent, the answer is one that the document promises, nothing is
// a 5xx, and the counts are exactly what was accepted. How to replay a seed is in README.md.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { randomId, randomInteger } from '../../core/ids.ts';
import { type Json, openSale, type TestAnswer, tokenOf } from '../support/api.ts';
import { type LiveShop, startLiveShop } from '../support/live-shop.ts';
import { type Contract, createContract, type Operation } from './contract.ts';
import { type FuzzRequest, type FuzzRole, plainRequestsTo, requestsTo } from './requests.ts';

/** Two lives of the same test: what was seen to work stays seen, and each run looks somewhere else too. */
const SEEDS = { 'the fixed seed': 20_261_201, 'a new seed': seedOfThisRun() };
const REQUESTS = Number(process.env['FUZZ_RUNS'] ?? 250);
/** Enough that none of them meets its limit of requests. */
const BUYERS = 24;
const PLAIN_EACH = 3;
const STOCK = 5_000;
const FINDINGS_SHOWN = 10;

function seedOfThisRun(): number {
  const seed = Number(process.env['FUZZ_SEED'] ?? randomInteger(1, 2 ** 31));
  console.log(`fuzz of the endpoints: replay with FUZZ_SEED=${seed} vitest run test/fuzz/http.test.ts`);
  return seed;
}

// On a machine that is busy with other tests each of these takes many times as long.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

let shop: LiveShop;
let contract: Contract;
let canary: { saleId: string; sku: string };
/** Opened and paused by whoever happens to, and one that is closed; nothing is counted there. */
let restless: { saleId: string; sku: string };
let doomed: { saleId: string; sku: string };
let tokens: Record<Exclude<FuzzRole, 'none' | 'USER'>, string>;
let buyers: { token: string; purchaseId: string }[];
const acknowledged = new Set<string>();
let adjusted = 0;

beforeAll(async () => {
  shop = await startLiveShop();
  const [door] = shop.doors;
  if (door === undefined) throw new Error('no API process');
  contract = createContract((await door.call('GET', '/openapi.json')).body);
  canary = await openSale(door, { stock: STOCK, perBuyerLimit: 100 });
  restless = await openSale(door, { stock: 50 });
  doomed = await openSale(door, { stock: 50 });
  tokens = {
    ADMIN: await tokenOf('u_operator', 'ADMIN'),
    INTERNAL: await tokenOf('u_checkout', 'INTERNAL'),
    expired: await tokenOf('u_late', 'ADMIN', -10),
    garbled: `${await tokenOf('u_operator', 'ADMIN')}x`,
  };
  buyers = await Promise.all(
    Array.from({ length: BUYERS }, async () => {
      const token = await tokenOf(randomId('u_fuzz'));
      const bought = await door.call('POST', `/api/v1/sales/${canary.saleId}/purchases`, {
        token,
        body: { sku: canary.sku },
      });
      acknowledged.add(bought.body.purchaseId);
      return { token, purchaseId: bought.body.purchaseId };
    }),
  );
  await shop.audit();
});
afterAll(() => shop?.close());

function knownIds(name: string, operation: Operation): readonly string[] {
  const purchases = buyers.map(({ purchaseId }) => purchaseId);
  const isMove = /\/(open|pause|close)$/.test(operation.path);
  switch (name) {
    case 'saleId':
      if (operation.path.endsWith('/close')) return [doomed.saleId];
      return isMove ? [restless.saleId] : [canary.saleId, canary.saleId, restless.saleId];
    case 'sku':
    case 'variantId':
      return [canary.sku];
    case 'purchaseId':
      return purchases;
    case 'orderId':
      return operation.path.includes('inventory')
        ? ['ord-1', 'ord-2', 'ord-3']
        : purchases.map((id) => `ord_${id.slice(4)}`);
    case 'paymentId':
      return purchases.map((id) => `pay_${id.slice(4)}`);
    default:
      return [];
  }
}

let sent = 0;

async function perform(request: FuzzRequest): Promise<TestAnswer> {
  const { operation, role, path, headers, body } = request;
  sent += 1;
  const buyer = buyers.find(({ purchaseId }) => path.includes(purchaseId.slice(4))) ?? buyers[sent % BUYERS];
  const token = role === 'none' ? undefined : role === 'USER' ? buyer?.token : tokens[role];
  const door = shop.doors[0];
  if (door === undefined) throw new Error('no API process');
  // One key each: what is asked twice under one key is counted once, and that has tests of its own.
  const own =
    'Idempotency-Key' in headers ? { ...headers, 'Idempotency-Key': `${headers['Idempotency-Key']}${sent}` } : headers;
  return door.call(operation.method, path, { ...(token && { token }), headers: own, ...(body && { raw: body }) });
}

/** Remembers what an accepted request says that it did to the canary. */
function remember({ operation, value }: FuzzRequest, { status, body }: TestAnswer): void {
  if (status >= 300) return;
  if (operation.path.endsWith('/purchases')) acknowledged.add(body.purchaseId);
  if (operation.path.endsWith('/inventory/reserve')) for (const item of body.items) acknowledged.add(item.purchaseId);
  if (operation.path.endsWith('/inventory/adjust') && body.sku === canary.sku)
    adjusted += (value as { quantity: number }).quantity;
}

/** What is wrong with an answer beyond what the document can say. */
function disagreements(request: FuzzRequest, answer: TestAnswer): string[] {
  const { operation, value, body, spoiledMember: member } = request;
  if (operation.body === undefined || body === undefined) return [];
  const isAllowed = value !== undefined && contract.allows(operation, value);
  if (answer.status < 300 && !isAllowed) return ['a body that the document does not allow was accepted'];
  if (answer.body?.code !== 'VALIDATION_FAILED' || isAllowed || member === undefined) return [];
  const named: string[] = answer.body.fields.map(({ field }: { field: string }) => field);
  return named.some((field) => field.startsWith(member))
    ? []
    : [`${member} is wrong, and ${named.join(', ')} is named`];
}

const legible = ({ path, role, headers, body }: FuzzRequest) => ({
  path,
  role,
  headers,
  body: body && Buffer.from(body).toString('latin1').slice(0, 500),
});

const seen = new Map<string, Set<number>>();

async function attack(seed: number): Promise<void> {
  const requests = fc.oneof(...contract.operations.map((operation) => requestsTo(operation, knownIds)));
  const found: unknown[] = [];
  // Each operation is heard first; what comes then may make it impossible.
  const plain = contract.operations.flatMap((operation) =>
    fc.sample(plainRequestsTo(operation, knownIds), { seed, numRuns: PLAIN_EACH }),
  );
  for (const request of [...plain, ...fc.sample(requests, { seed, numRuns: REQUESTS })]) {
    const answer = await perform(request);
    const name = `${request.operation.method} ${request.operation.path}`;
    seen.set(name, (seen.get(name) ?? new Set()).add(answer.status));
    remember(request, answer);
    const faults = [...contract.faultsOf(request.operation, answer), ...disagreements(request, answer)];
    if (faults.length > 0) found.push({ name, faults, request: legible(request), answer: answer.body });
  }
  expect(found.slice(0, FINDINGS_SHOWN)).toEqual([]);
}

async function countsOf(sku: string): Promise<Json> {
  return (await shop.doors[0]?.call('GET', `/api/v1/inventory/${sku}`))?.body;
}

describe('every endpoint, whatever it is sent', () => {
  it.each(Object.entries(SEEDS))('answers as its document says, with %s', (_, seed) => attack(seed));

  it('was asked, and was heard', () => {
    const all = contract.operations.map(({ method, path }) => `${method} ${path}`);
    expect([...seen.keys()].sort()).toEqual(all.sort());
    const heard = (name: string): boolean => [...(seen.get(name) ?? [])].some((status) => status < 300);
    // Who has neither the provider's signature, nor a paid order, nor a guess at the price, is accepted nowhere there.
    const closed = /orders\/\{orderId\}\/refund|payments\/(webhook|initiate)|admin\/(dead-letters|payments)\//;
    expect(all.filter((name) => !heard(name) && !closed.test(name))).toEqual([]);
    expect(shop.doors[0]?.log()).toBe('');
  });

  it('has changed the counts by what was accepted, and by nothing else', async () => {
    const purchases = await shop.stock.look([...acknowledged]);
    const mine = purchases.filter((purchase) => purchase?.sku === canary.sku);
    const sum = (...statuses: string[]): number =>
      mine.reduce((units, one) => units + (one !== undefined && statuses.includes(one.status) ? one.quantity : 0), 0);
    const held = sum('RESERVED', 'PAYMENT_PENDING', 'PAYMENT_FAILED');
    const loaded = STOCK + adjusted;
    expect(await countsOf(canary.sku)).toMatchObject({
      loaded,
      held,
      sold: 0,
      waiting: sum('WAITING'),
      available: loaded - held,
    });
    expect((await shop.audit()).ok).toBe(true);
    expect(await shop.doors[0]?.isAlive()).toBe(true);
  });
});
