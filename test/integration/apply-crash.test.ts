// The points at which a worker may die while it applies a batch. Dying is an exception thrown right after the step, so
// that nothing after it runs; what is left is what kill -9 leaves, since every step before it was sent and answered.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { randomId } from '../../core/ids.ts';
import { isInfrastructureError, openPostgres } from '../../core/postgres/postgres.ts';
import type { ApplyStep } from '../../shop/orders/apply.ts';
import { findPurchase } from '../../shop/sales/purchase-store.ts';
import {
  HELD_TO_AVAILABLE,
  insertTestSale,
  openTestOutbox,
  purchaseRecord,
  type TestOutbox,
} from '../support/outbox.ts';

const P = 3;
let t: TestOutbox;
let seq = 0;
const next = () => ++seq;
beforeAll(async () => {
  t = await openTestOutbox();
  await insertTestSale(t.postgres, 'sale_03test');
  await insertTestSale(t.postgres, 'sale_03later', { paymentStart: 'on_demand', sku: 'HAT' });
});
afterAll(() => t.close());
beforeEach(() => {
  t.jobs.length = 0;
});

const countRows = async (purchaseId: string) => {
  const { rows } = await t.postgres.query(
    `SELECT (SELECT count(*)::int FROM purchases WHERE purchase_id = $1) AS purchases,
            (SELECT count(*)::int FROM orders WHERE purchase_id = $1) AS orders,
            (SELECT count(*)::int FROM order_items WHERE order_id = 'ord_' || substr($1, 5)) AS items,
            (SELECT count(*)::int FROM ledger WHERE purchase_id = $1) AS movements`,
    [purchaseId],
  );
  return rows[0];
};
const ONCE = { purchases: 1, orders: 1, items: 1, movements: 1 };
const NEVER = { purchases: 0, orders: 0, items: 0, movements: 0 };

describe('a worker that dies', () => {
  it.each<[ApplyStep, object, number, boolean]>([
    ['read', NEVER, 0, true],
    ['committed', ONCE, 0, true],
    ['enqueued', ONCE, 2, true],
    ['acknowledged', ONCE, 2, false],
  ])('after the step "%s" loses nothing and doubles nothing', async (deadly, rowsLeft, jobsLeft, isEntryLeft) => {
    const record = purchaseRecord({ purchaseId: randomId('pur', P), seq: next() });
    const id = await t.write(P, [record]);
    const job = { partition: P, entryIds: await t.read(P) };
    const dying = t.apply({
      stepHook: (step) => {
        if (step === deadly) throw new Error('killed');
      },
    });
    await expect(dying(job)).rejects.toThrow('killed');
    expect(await countRows(record.purchaseId)).toEqual(rowsLeft);
    expect(t.jobs).toHaveLength(jobsLeft);
    expect(await t.left(P)).toEqual(isEntryLeft ? [id] : []);

    await t.apply()(job);
    expect(await countRows(record.purchaseId)).toEqual(ONCE);
    expect(await t.left(P)).toEqual([]);
    // The same jobs under the same ids: the queue drops the second of each, and their handlers are idempotent besides.
    const asked = t.jobs.map((asked) => `${asked.name} ${asked.jobId}`);
    expect([...new Set(asked)].sort()).toEqual([
      `hold.expire expire-3-${Math.ceil(record.expiresAt / 1000)}`,
      `payment.start start-3-${id}-0`,
    ]);
    const starts = t.jobs.filter((asked) => asked.name === 'payment.start');
    expect(starts[0]?.payload).toEqual({ purchaseIds: [record.purchaseId] });
  });

  it('does no harm when two run the same job at the same time', async () => {
    const records = Array.from({ length: 200 }, () => purchaseRecord({ purchaseId: randomId('pur', P), seq: next() }));
    await t.write(P, records.slice(0, 100));
    await t.write(P, records.slice(100).reverse());
    const job = { partition: P, entryIds: await t.read(P) };
    await Promise.all(
      [1, 2, 3, 4].map((n) => t.apply()({ ...job, entryIds: n % 2 ? job.entryIds : job.entryIds.toReversed() })),
    );
    for (const { purchaseId } of records) expect(await countRows(purchaseId)).toEqual(ONCE);
    expect(await t.left(P)).toEqual([]);
  });

  it('follows up on what the entry says, not on how entries were put together', async () => {
    const held = purchaseRecord({ purchaseId: randomId('pur', P), seq: next() });
    const lazy = purchaseRecord({ purchaseId: randomId('pur', P), seq: next(), saleId: 'sale_03later', sku: 'HAT' });
    const ended = purchaseRecord({
      purchaseId: randomId('pur', P),
      seq: next(),
      version: 2,
      status: 'CANCELLED',
      movement: HELD_TO_AVAILABLE,
    });
    const left = purchaseRecord({
      purchaseId: randomId('pur', P),
      seq: next(),
      version: 2,
      status: 'CANCELLED',
      hadHold: false,
    });
    await t.write(P, [held, lazy, ended, left]);
    await t.apply()({ partition: P, entryIds: await t.read(P) });
    const asked = Object.groupBy(t.jobs, (job) => job.name);
    expect(asked['payment.start']?.map((job) => job.payload)).toEqual([{ purchaseIds: [held.purchaseId] }]);
    expect(asked['payment.cancel']?.map((job) => job.payload)).toEqual([{ purchaseIds: [ended.purchaseId] }]);
  });
});

describe('a Postgres that is away', () => {
  it('fails the job as infrastructure, at any point, and the entry is applied once it is back', async () => {
    const gate = await openGate(new URL(t.database.url));
    const behind = new URL(t.database.url);
    [behind.hostname, behind.port] = ['127.0.0.1', String(gate.port)];
    const postgres = openPostgres(behind.href, { max: 2, name: 'test-behind-gate' });
    const record = purchaseRecord({ purchaseId: randomId('pur', P), seq: next() });
    const id = await t.write(P, [record]);
    await t.read(P);
    const job = { partition: P, entryIds: [id] };
    await postgres.query('SELECT 1');
    const midway = await t
      .apply({ postgres, stepHook: (step) => (step === 'read' ? gate.shut() : undefined) })(job)
      .catch((e: unknown) => e);
    expect(isInfrastructureError(midway)).toBe(true);
    const before = await t
      .apply({ postgres })(job)
      .catch((e: unknown) => e);
    expect(isInfrastructureError(before)).toBe(true);
    expect(await countRows(record.purchaseId)).toEqual(NEVER);
    expect(await t.left(P)).toEqual([id]);
    gate.open();
    await t.apply({ postgres })(job);
    expect(await findPurchase(t.postgres, record.purchaseId)).toMatchObject({ status: 'RESERVED' });
    await postgres.close();
    gate.server.close();
  });
});

/** A door in front of the real Postgres: shut, it drops who is connected and whoever comes. */
async function openGate(target: URL): Promise<{ port: number; server: Server; shut(): void; open(): void }> {
  let isShut = false;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    if (isShut) return void socket.destroy();
    const upstream = connect(Number(target.port), target.hostname);
    for (const end of [socket, upstream]) {
      sockets.add(end);
      end.on('error', () => end.destroy());
      end.on('close', () => [socket, upstream].forEach((other) => other.destroy()));
    }
    socket.pipe(upstream).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    server,
    shut() {
      isShut = true;
      for (const socket of sockets) socket.destroy();
      sockets.clear();
    },
    open() {
      isShut = false;
    },
  };
}
