// The audit and the blocks of SKUs over the public API and the operators' command line, with a real API process beside the
// auditor of a worker.
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keys } from '../../actors/keys.ts';
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import { systemClock } from '../../core/clock.ts';
import { partitionOf } from '../../core/ids.ts';
import { renderMetrics } from '../../core/metrics.ts';
import { createOnlineAudit, type OnlineAudit } from '../../shop/admin/admin.ts';
import { createEpochRecord } from '../../shop/orders/orders.ts';
import { JWT_SECRET, newBuyer, openSale, quietLog, startTestApi, type TestApi, tokenOf } from '../support/api.ts';
import { runOps } from '../support/ops.ts';
import { drainOutbox } from '../support/outbox.ts';
import { openTestDatabase, openTestRedis } from '../support/stack.ts';

/** The way to Postgres, which can be closed and opened: what a failed network looks like to a process. */
class Road {
  readonly #sockets = new Set<Socket>();
  #server: Server;
  #isOpen = true;
  constructor(target: URL) {
    this.#server = createServer((near) => {
      if (!this.#isOpen) return void near.destroy();
      const far = connect(Number(target.port), target.hostname);
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => {
          near.destroy();
          far.destroy();
          this.#sockets.delete(socket);
        });
      }
      near.pipe(far).pipe(near);
    });
  }
  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    // A TCP server that listens has an address with a port.
    return (this.#server.address() as AddressInfo).port;
  }
  set isOpen(value: boolean) {
    this.#isOpen = value;
    if (!value) for (const socket of this.#sockets) socket.destroy();
  }
  close(): void {
    this.isOpen = false;
    this.#server.close();
  }
}

let api: TestApi;
let road: Road;
let stock: StockStore;
let audit: OnlineAudit;
let admin: string;
let sale: { saleId: string; sku: string };

beforeAll(async () => {
  const [database, testRedis] = await Promise.all([openTestDatabase(), openTestRedis()]);
  const url = new URL(database.url);
  road = new Road(new URL(database.url));
  url.hostname = '127.0.0.1';
  url.port = String(await road.listen());
  api = await startTestApi({ database, testRedis }, { databaseUrl: url.href });
  await api.api.attached;
  stock = createStockStore({ redis: testRedis.redis });
  await stock.attach(createEpochRecord(database.postgres));
  audit = createOnlineAudit({
    postgres: database.postgres,
    redis: testRedis.redis,
    redisUrl: testRedis.url,
    stock,
    clock: systemClock,
    log: quietLog,
    pace: { slicesPerSecond: 10_000, timeShare: 0.9, confirmPauseMs: 10 },
  });
  admin = await tokenOf('u_admin', 'ADMIN');
});
afterAll(async () => {
  await audit?.stop();
  await api?.close();
  road?.close();
  await api?.testRedis.close();
  await api?.database.drop();
});
beforeEach(async () => {
  sale = await openSale(api, { stock: 3 });
  await drain();
});

/** There are no workers here; what concerns the audit is that the outbox is empty. */
const drain = () => drainOutbox({ postgres: api.database.postgres, redis: api.testRedis.redis, stock });
const get = (path: string, token = admin) => api.call('GET', path, { token });
const buy = async () =>
  api.call('POST', `/api/v1/sales/${sale.saleId}/purchases`, {
    token: (await newBuyer()).token,
    body: { sku: sale.sku, quantity: 1 },
  });
const stockKey = () =>
  `${keys.fence(partitionOf(sale.saleId) ?? 0).replace(/fence$/, 'stock')}:${sale.saleId}:${sale.sku}`;
const auditOf = async () => (await get(`/api/v1/admin/audit/${sale.saleId}`)).body;

describe('the audit of the API', () => {
  it('says for each SKU when it was checked, where, and what each record adds up to', async () => {
    expect((await auditOf()).sales[0].skus[0]).toMatchObject({
      state: 'UNKNOWN',
      reason: 'not checked yet',
      sums: null,
    });
    await buy();
    await drain();
    await audit.round();
    const { sales, ok, isCurrent } = (await get('/api/v1/admin/audit')).body;
    expect({ ok, isCurrent }).toEqual({ ok: true, isCurrent: true });
    const mine = sales.find(({ saleId }: { saleId: string }) => saleId === sale.saleId);
    expect(mine.skus).toEqual([
      {
        sku: sale.sku,
        state: 'AGREES',
        checkedAt: expect.stringMatching(/^\d{4}-/),
        position: expect.any(Number),
        unknownSince: null,
        reason: null,
        blocked: null,
        sums: {
          redis: { loaded: 3, available: 2, held: 1, sold: 0, waiting: 0, lastTicket: 1 },
          purchases: { held: 1, sold: 0, waiting: 0, tickets: 1 },
          sets: { holds: 1, holders: 1, line: 0, waiters: 0 },
          ledger: { loaded: 3, available: 2, held: 1, sold: 0 },
          orders: { sold: 0 },
        },
      },
    ]);
  });

  it('tells of a violation, of what it stopped, and of its end', async () => {
    await api.testRedis.redis.hincrby(stockKey(), 'available', -4);
    await audit.round();
    expect((await buy()).body).toMatchObject({ status: 409, code: 'SALE_PAUSED' });
    const all = (await get('/api/v1/admin/audit')).body;
    expect(all.ok).toBe(false);
    const [found] = (await auditOf()).sales;
    expect(found.skus[0]).toMatchObject({ state: 'DIFFERS', blocked: { reason: 'AUDIT' } });
    expect(found.findings.map(({ code }: { code: string }) => code).sort()).toEqual([
      'CONSERVATION',
      'LEDGER_MISMATCH',
      'NEGATIVE_COUNT',
    ]);
    expect(found.findings[0]).toMatchObject({ sku: sale.sku, purchaseId: null, resolvedAt: null, count: 1 });
    const shown = (await get(`/api/v1/sales/${sale.saleId}`)).body.items[0];
    expect(shown).toMatchObject({ available: -1, blocked: { reason: 'AUDIT', since: expect.any(String) } });
    const metrics = await renderMetrics();
    const labels = `sale="${sale.saleId}",sku="${sale.sku}"`;
    expect(metrics).toMatch(new RegExp(`^doorbuster_conservation_violations_count\\{${labels}[^}]*\\} 3$`, 'm'));
    expect(metrics).toMatch(/^doorbuster_audit_age_seconds(\{[^}]*\})? \d/m);
    expect(metrics).toMatch(/^doorbuster_audit_rounds_total(\{[^}]*\})? [1-9]/m);

    await api.testRedis.redis.hincrby(stockKey(), 'available', 4);
    const path = `/api/v1/admin/sales/${sale.saleId}/skus/${sale.sku}/unblock`;
    expect((await api.call('POST', path, { token: admin })).body).toEqual({ ...sale, blocked: null });
    await audit.round();
    const [mended] = (await auditOf()).sales;
    expect(mended.skus[0]).toMatchObject({ state: 'AGREES', blocked: null });
    for (const { resolution, resolvedAt } of mended.findings) {
      expect(resolution).toBe('unblocked by u_admin');
      expect(resolvedAt).toEqual(expect.any(String));
    }
    expect((await buy()).status).toBe(201);
    expect(await renderMetrics()).not.toContain(`doorbuster_conservation_violations_count{${labels}`);
    expect((await get(`/api/v1/sales/${sale.saleId}`)).body.items[0].blocked).toBeUndefined();
  });

  it('is unknown since the last check while Postgres cannot be asked, and stops nothing', async () => {
    await audit.round();
    const before = (await auditOf()).sales[0].skus[0];
    road.isOpen = false;
    const { isCurrent, sales } = await auditOf();
    expect(isCurrent).toBe(false);
    expect(sales[0].skus[0]).toEqual({
      ...before,
      state: 'UNKNOWN',
      unknownSince: before.checkedAt,
      reason: 'Postgres cannot be asked',
    });
    // Of what it was never asked before, it cannot even say that.
    expect((await get(`/api/v1/admin/audit/${sale.saleId.slice(0, -1)}0`)).status).toBe(503);
    road.isOpen = true;
    await expect.poll(async () => (await auditOf()).isCurrent).toBe(true);
    expect((await buy()).status).toBe(201);
  });

  it('is for administrators, and of sales that there are', async () => {
    const { token } = await newBuyer();
    expect((await get('/api/v1/admin/audit', token)).status).toBe(403);
    expect((await get('/api/v1/admin/audit/sale_00nosuchsale00000000')).body).toMatchObject({ code: 'SALE_NOT_FOUND' });
    expect((await get('/api/v1/admin/audit/nonsense')).body).toMatchObject({ code: 'SALE_NOT_FOUND' });
  });
});

describe('an operator', () => {
  const path = (verb: 'block' | 'unblock', { saleId, sku } = sale) =>
    `/api/v1/admin/sales/${saleId}/skus/${sku}/${verb}`;

  it('stops a SKU, says why, and lets it sell again', async () => {
    const body = { reason: 'the pallet is wet' };
    const blocked = { reason: 'OPERATOR', note: 'the pallet is wet', since: expect.any(String) };
    expect((await api.call('POST', path('block'), { token: admin, body })).body).toEqual({ ...sale, blocked });
    const again = await api.call('POST', `/api/v1/admin/sales/${sale.saleId}/skus/${sale.sku}/block`, { token: admin });
    expect(again.body).toEqual({ ...sale, blocked });
    expect((await buy()).body.code).toBe('SALE_PAUSED');
    const shown = (await get(`/api/v1/sales/${sale.saleId}`)).body;
    expect(shown).toMatchObject({ status: 'OPEN', items: [{ blocked: { reason: 'OPERATOR' } }] });
    // The public is told that, not the words of the house.
    expect(JSON.stringify(shown)).not.toContain('pallet');
    expect((await api.call('POST', path('unblock'), { token: admin })).body).toEqual({ ...sale, blocked: null });
    expect((await buy()).status).toBe(201);
  });

  it('is shown a blocked SKU of a sale that is paused as well', async () => {
    await api.call('POST', path('block'), { token: admin });
    await api.call('POST', `/api/v1/sales/${sale.saleId}/pause`, { token: admin });
    const { status, items } = (await get(`/api/v1/sales/${sale.saleId}`)).body;
    expect({ status, reason: items[0].blocked?.reason }).toEqual({ status: 'PAUSED', reason: 'OPERATOR' });
  });

  it.each(['block', 'unblock'] as const)('cannot %s what is not there, nor without the right to', async (verb) => {
    const { token } = await newBuyer();
    expect((await api.call('POST', path(verb), { token })).status).toBe(403);
    const unknown = await api.call('POST', path(verb, { ...sale, sku: 'NOTHING' }), { token: admin });
    expect(unknown.body).toMatchObject({ status: 404, code: 'SKU_NOT_FOUND' });
    const other = { ...sale, saleId: 'sale_00nosuchsale00000000' };
    expect((await api.call('POST', path(verb, other), { token: admin })).body.code).toBe('SALE_NOT_FOUND');
    expect((await api.call('POST', path(verb, { ...sale, saleId: 'x' }), { token: admin })).status).toBe(404);
    expect((await api.call('POST', path(verb, { ...sale, sku: 'a b' }), { token: admin })).status).toBe(404);
  });

  it('does the same on the command line', async () => {
    const ops = (...args: string[]) => runOps([...args, '--url', api.url], { JWT_SECRET });
    const blocked = await ops('stock', 'block', sale.sku, '--reason', 'the pallet is wet');
    expect(blocked.stdout).toContain(`${sale.sku} is blocked (OPERATOR): the pallet is wet`);
    expect((await buy()).body.code).toBe('SALE_PAUSED');
    expect((await ops('sale', 'show', sale.saleId)).stdout).toContain(`${sale.sku} is not sold since`);
    const free = await ops('stock', 'unblock', sale.sku, '--json');
    expect(free.json()).toEqual({ ...sale, blocked: null });
    expect((await buy()).status).toBe(201);
  });
});
