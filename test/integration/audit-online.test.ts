// The continuous audit: each kind of violation is planted in a shop whose books are in order, found, confirmed, reported, and
// stops the sale of its SKU and of no other. What is only late, or cannot be asked, stops nothing.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keys } from '../../actors/keys.ts';
import { systemClock } from '../../core/clock.ts';
import { pack, unpack } from '../../core/redis/msgpack.ts';
import { createOnlineAudit, createRebuild, type OnlineAudit } from '../../shop/admin/admin.ts';
import { type CheckEntry, listChecks, readAuditState, takeLease } from '../../shop/admin/audit-store.ts';
import { listFindings } from '../../shop/admin/finding-store.ts';
import { createEpochRecord } from '../../shop/orders/orders.ts';
import { openAuditedShop, type AuditedShop } from '../support/audited-shop.ts';
import { quietLog } from '../support/outbox.ts';

const FAST = { slicesPerSecond: 10_000, timeShare: 0.9, confirmPauseMs: 10 };

let shop: AuditedShop;
let audit: OnlineAudit;
let saleId: string;
let paid: string[];
let held: string[];
let waiting: string[];
let sales = 0;

const shirt = () => `SHIRT-${sales}`;
const cap = () => `CAP-${sales}`;
const sql = (text: string, values: unknown[] = []) => shop.outbox.postgres.query(text, values);
const redisKey = (what: string, ...rest: string[]) =>
  [keys.fence(shop.partition).replace(/fence$/, what), ...rest].join(':');
const stockKey = () => redisKey('stock', saleId, shirt());
const first = (ids: readonly string[]) => ids[0] ?? '';

async function changeRecord(purchaseId: string, position: number, value: unknown): Promise<void> {
  const key = redisKey('purchase', purchaseId);
  const record = unpack((await shop.outbox.redis.getBuffer(key)) ?? Buffer.alloc(0)) as unknown[];
  record[position] = value;
  await shop.outbox.redis.set(key, pack(record));
}

/** Codes of the open findings, and the SKUs that are blocked. */
async function told(): Promise<{ codes: string[]; blocked: string[] }> {
  const open = (await listFindings(shop.outbox.postgres, saleId)).filter((finding) => finding.resolvedAt === null);
  const blocked = (await shop.outbox.stock.blocksOf(saleId)).map(({ sku, reason }) => `${sku} ${reason}`);
  return { codes: [...new Set(open.map((finding) => finding.code))].sort(), blocked };
}

async function checkOf(sku = shirt()): Promise<CheckEntry | undefined> {
  return (await listChecks(shop.outbox.postgres, saleId)).find((entry) => entry.sku === sku);
}

const newAudit = () =>
  createOnlineAudit({
    ...shop.outbox,
    redisUrl: shop.outbox.testRedis.url,
    clock: systemClock,
    log: quietLog,
    pace: FAST,
  });

beforeAll(async () => {
  shop = await openAuditedShop();
});
afterAll(async () => {
  await audit.stop();
  await shop.outbox.close();
});

// SHIRT: 4 paid, 3 held, 2 released, 2 waiting; CAP: everything sold out.
beforeEach(async () => {
  await audit?.stop();
  audit = newAudit();
  await sql("UPDATE sales SET status = 'CLOSED', updated_at = now() - interval '2 days'");
  await sql('UPDATE sale_items SET is_live = false');
  await sql('DELETE FROM audit_findings');
  sales += 1;
  saleId = await shop.openSale({ [shirt()]: 7, [cap()]: 2 });
  const bought = await shop.buy(saleId, shirt(), 11);
  const caps = await shop.buy(saleId, cap(), 3);
  await shop.outbox.stock.release(bought.slice(5, 7).map((purchaseId) => ({ purchaseId, reason: 'BUYER' as const })));
  paid = bought.slice(0, 4);
  held = [...bought.slice(4, 5), ...bought.slice(7, 9)];
  waiting = bought.slice(9);
  await shop.pay([...paid, ...caps.slice(0, 2)]);
  await shop.relay();
});

describe('a shop in order', () => {
  it('agrees, and says by which sums at which position', async () => {
    expect(await audit.round()).toBe(1);
    expect(await told()).toEqual({ codes: [], blocked: [] });
    const seq = Number(await shop.outbox.redis.hget(keys.fence(shop.partition), 'seq'));
    expect(await checkOf()).toMatchObject({
      state: 'AGREES',
      position: seq,
      sums: {
        redis: { loaded: 7, available: 0, held: 3, sold: 4, waiting: 2, lastTicket: 11 },
        purchases: { held: 3, sold: 4, waiting: 2, tickets: 11 },
        sets: { holds: 3, holders: 3, line: 2, waiters: 2 },
        ledger: { loaded: 7, available: 0, held: 3, sold: 4 },
        orders: { sold: 4 },
      },
    });
    expect((await checkOf(cap()))?.sums).toMatchObject({ redis: { sold: 2 }, orders: { sold: 2 } });
    expect(await readAuditState(shop.outbox.postgres)).toMatchObject({ open: [] });
  });

  it('agrees through refunds, restocks, holds of orders and a cancellation that is half done', async () => {
    const { stock } = shop.outbox;
    await stock.release([{ purchaseId: first(paid), reason: 'REFUND' }]);
    await stock.restock({ saleId, sku: shirt(), by: 4, operationId: `op-${saleId}`, reason: 'found more' });
    await stock.reserveOrder({ orderId: `cart-${sales}`, items: [{ saleId, sku: shirt(), quantity: 1 }] });
    await shop.relay();
    await sql("UPDATE orders SET status = 'CANCELLED' WHERE purchase_id = $1", [paid[1]]);
    await audit.round();
    expect(await told()).toEqual({ codes: [], blocked: [] });
    expect((await checkOf())?.sums).toMatchObject({ redis: { loaded: 11, sold: 3 }, orders: { sold: 3 } });
  });

  it('is not stopped for a record that Postgres refused and the operator knows of', async () => {
    const sku = `POISON-${sales}`;
    const id = await shop.openSale({ [sku]: 2 });
    await shop.relay();
    const [bought] = await shop.buy(id, sku, 1);
    const [entry] = (await shop.outbox.redis.xrangeBuffer(keys.outbox(shop.partition), '-', '+')).slice(-1);
    await sql(
      "INSERT INTO dead_records (dead_id, partition, entry_id, purchase_id, kind, bytes, error) VALUES ($1, $2, 'x', $1, 'purchase', $3, 'no')",
      [bought, shop.partition, entry?.[1][1]],
    );
    await shop.outbox.redis.xdel(keys.outbox(shop.partition), entry?.[0].toString() ?? '');
    const codes = async () => (await listFindings(shop.outbox.postgres, id)).map(({ code }) => code).sort();
    await audit.round();
    expect(await codes()).toEqual([]);
    await sql("UPDATE dead_records SET replayed_at = now(), outcome = 'RELEASED DROPPED'");
    await audit.round();
    expect(await codes()).toEqual([]);
    await sql("UPDATE dead_records SET outcome = 'RELEASED'");
    await audit.round();
    expect(await codes()).toEqual(['LEDGER_MISMATCH', 'ROW_MISSING']);
    expect(await shop.outbox.stock.blocksOf(id)).toMatchObject([{ sku, reason: 'AUDIT' }]);
    await shop.outbox.stock.setSaleState(id, 'close');
    await shop.relay();
  });
});

describe('a violation', () => {
  const redis = () => shop.outbox.redis;
  const planted: [string, () => Promise<unknown>, string[]][] = [
    [
      'counts that are off by one',
      () => redis().hincrby(stockKey(), 'available', 1),
      ['CONSERVATION', 'LEDGER_MISMATCH'],
    ],
    [
      'counts that conserve and are wrong',
      async () => {
        await redis().hincrby(stockKey(), 'held', -1);
        await redis().hincrby(stockKey(), 'sold', 1);
      },
      ['HELD_MISMATCH', 'LEDGER_MISMATCH', 'ORDERS_MISMATCH', 'SOLD_MISMATCH'],
    ],
    [
      'a count below zero',
      () => redis().hset(stockKey(), { available: -1, held: 4 }),
      ['HELD_MISMATCH', 'LEDGER_MISMATCH', 'NEGATIVE_COUNT'],
    ],
    [
      'the bytes of a hold that are lost',
      () => redis().del(redisKey('purchase', first(held))),
      ['HELD_MISMATCH', 'HOLD_UNTRACKED', 'RECORD_UNREADABLE'],
    ],
    [
      'a hold that is not in its set',
      () => redis().zrem(redisKey('holds', saleId, shirt()), first(held)),
      ['HOLD_UNTRACKED'],
    ],
    [
      'a member of the set without a hold',
      () => redis().zadd(redisKey('holds', saleId, shirt()), Date.now() + 600_000, first(paid)),
      ['HOLD_UNTRACKED'],
    ],
    [
      'a stranger in the place of a hold',
      async () => {
        await redis().zrem(redisKey('holds', saleId, shirt()), first(held));
        await redis().zadd(redisKey('holds', saleId, shirt()), Date.now() + 600_000, first(paid));
      },
      ['HOLD_UNTRACKED'],
    ],
    [
      'somebody who waits and is not in the line',
      () => redis().zrem(redisKey('line', saleId, shirt()), first(waiting)),
      ['HEAD_MISMATCH', 'LINE_UNTRACKED'],
    ],
    [
      'two who have changed places in the line',
      () => redis().zadd(redisKey('line', saleId, shirt()), 11, waiting[0] ?? '', 10, waiting[1] ?? ''),
      ['LINE_UNTRACKED'],
    ],
    [
      'a ticket that nobody has',
      () => redis().lrem(redisKey('tickets', saleId, shirt()), 1, first(waiting)),
      ['HEAD_MISMATCH', 'LINE_UNTRACKED', 'TICKET_MISSING', 'UNKNOWN_TO_REDIS', 'WAITING_MISMATCH'],
    ],
    [
      'a second ticket of one number',
      async () => {
        await changeRecord(waiting[1] ?? '', 6, 10);
        await redis().zadd(redisKey('line', saleId, shirt()), 10, waiting[1] ?? '');
      },
      ['LINE_UNTRACKED', 'ROW_DIFFERS', 'TICKET_MISSING', 'TICKET_TWICE', 'WAITING_MISMATCH'],
    ],
    [
      'a movement that is in the ledger twice',
      () =>
        sql(
          `INSERT INTO ledger SELECT 'pur_other', version, partition, seq, sale_id, sku, d_available, d_held, d_sold, d_loaded, reason, at
             FROM ledger WHERE purchase_id = $1 AND d_sold > 0`,
          [first(paid)],
        ),
      ['LEDGER_MISMATCH'],
    ],
    [
      'a movement that is missing in the ledger',
      async () => {
        await sql('ALTER TABLE ledger DISABLE TRIGGER ledger_append_only');
        await sql('DELETE FROM ledger WHERE purchase_id = $1 AND d_sold > 0', [first(paid)]);
        await sql('ALTER TABLE ledger ENABLE TRIGGER ledger_append_only');
      },
      ['LEDGER_MISMATCH', 'LEDGER_OF_PURCHASE'],
    ],
    [
      'an order that is missing',
      () => sql('DELETE FROM orders WHERE purchase_id = $1', [first(paid)]),
      ['ORDERS_MISMATCH', 'ORDER_MISSING'],
    ],
    [
      'a paid order whose units are not sold',
      () => sql("UPDATE orders SET status = 'CONFIRMED' WHERE purchase_id = $1", [first(held)]),
      ['ORDERS_MISMATCH', 'ORDER_STATUS'],
    ],
    [
      'a purchase that Postgres has lost',
      () => sql('DELETE FROM purchases WHERE purchase_id = $1', [first(held)]),
      ['ROW_MISSING'],
    ],
    [
      'a purchase that Redis has lost',
      async () => {
        await redis().lrem(redisKey('tickets', saleId, shirt()), 1, first(held));
        await redis().del(redisKey('purchase', first(held)));
      },
      ['HELD_MISMATCH', 'HOLD_UNTRACKED', 'TICKET_MISSING', 'UNKNOWN_TO_REDIS'],
    ],
  ];

  it.each(planted)('is found: %s', async (_, plant, codes) => {
    await plant();
    await audit.round();
    expect(await told()).toEqual({ codes, blocked: [`${shirt()} AUDIT`] });
    expect(await checkOf()).toMatchObject({ state: 'DIFFERS' });
    expect(await checkOf(cap())).toMatchObject({ state: 'AGREES' });
    const [outcome] = (
      await shop.outbox.stock.reserve(saleId, shirt(), [
        { purchaseId: `pur_05new${'0'.repeat(20)}`, buyer: 'u_new', quantity: 1, fingerprint: 'f' },
      ])
    ).outcomes;
    expect(outcome).toMatchObject({ kind: 'refused', code: 'SALE_PAUSED' });
  });
});

describe('what follows a violation', () => {
  const plant = () => shop.outbox.redis.hincrby(stockKey(), 'available', 1);
  const mend = () => shop.outbox.redis.hincrby(stockKey(), 'available', -1);

  it('is that the counts alone stop the sale, before any round', async () => {
    await plant();
    await audit.look();
    expect(await told()).toEqual({ codes: ['CONSERVATION'], blocked: [`${shirt()} AUDIT`] });
    expect(await shop.outbox.stock.blocksOf(saleId)).toMatchObject([
      { note: expect.stringContaining('1 available + 3 held + 4 sold make 8') },
    ]);
  });

  it('is a row that is kept when it is mended, while the SKU waits for a person', async () => {
    await plant();
    await audit.round();
    await audit.round();
    expect(await readAuditState(shop.outbox.postgres)).toMatchObject({ open: [{ saleId, sku: shirt(), count: 2 }] });
    await mend();
    await audit.round();
    expect(await told()).toEqual({ codes: [], blocked: [`${shirt()} AUDIT`] });
    const history = await listFindings(shop.outbox.postgres, saleId);
    expect(history.map(({ code, resolution }) => [code, resolution])).toEqual([
      ['LEDGER_MISMATCH', 'a later check agrees'],
      ['CONSERVATION', 'a later check agrees'],
    ]);
    for (const { firstSeenAt, lastSeenAt } of history) expect(lastSeenAt > firstSeenAt).toBe(true);
    expect(await checkOf()).toMatchObject({ state: 'AGREES' });
    expect((await readAuditState(shop.outbox.postgres)).open).toEqual([]);
  });

  it('stops the SKU at once when an operator lets it sell before it is mended', async () => {
    await plant();
    await audit.round();
    await shop.outbox.stock.unblockSku(saleId, shirt());
    expect((await told()).blocked).toEqual([`${shirt()} FAULT`]); // by the script itself
    await audit.look();
    expect((await told()).codes).toContain('CONSERVATION');
  });

  it('is over after a rebuild, and the SKU sells', async () => {
    const { postgres, redis, stock } = shop.outbox;
    await plant();
    await redis.del(redisKey('purchase', first(held)));
    await audit.round();
    expect((await told()).blocked).toEqual([`${shirt()} AUDIT`]);
    const queue = { addBulk: async () => undefined };
    await createRebuild({ postgres, redis, queue, clock: systemClock, log: quietLog, settleMs: 0 }).run({ saleId });
    await stock.attach(createEpochRecord(postgres));
    await audit.round();
    expect(await told()).toEqual({ codes: [], blocked: [] });
    expect(await checkOf()).toMatchObject({ state: 'AGREES', sums: { purchases: { held: 3, tickets: 11 } } });
    expect(await listFindings(postgres, saleId)).toHaveLength(5);
  });

  it('is nothing, when it is there for one look only', async () => {
    const { stock } = shop.outbox;
    await plant();
    let looks = 0;
    // Between the two looks of a round somebody else writes, as a relay does.
    const slow = {
      ...stock,
      snapshot: async (ids: readonly string[]) => {
        looks += 1;
        if (looks === 2) await mend();
        return stock.snapshot(ids);
      },
    };
    await audit.stop();
    audit = createOnlineAudit({
      ...shop.outbox,
      stock: Object.setPrototypeOf(slow, stock),
      redisUrl: shop.outbox.testRedis.url,
      clock: systemClock,
      log: quietLog,
      pace: FAST,
    });
    await audit.round();
    expect(looks).toBe(2);
    expect(await told()).toEqual({ codes: [], blocked: [] });
    expect(await checkOf()).toMatchObject({ state: 'AGREES' });
  });

  it('is told of a sale that Redis has lost, though there is nothing to stop', async () => {
    const names = await shop.outbox.redis.keys(`*${saleId}*`);
    const kept = await Promise.all(names.map((name) => shop.outbox.redis.dumpBuffer(name)));
    await shop.outbox.redis.del(...names);
    await audit.round();
    expect((await told()).codes).toEqual(['SALE_UNKNOWN_TO_REDIS']);
    expect(await checkOf()).toMatchObject({ state: 'UNKNOWN', reason: 'Redis does not know the sale' });
    for (const [i, name] of names.entries()) await shop.outbox.redis.restore(name, 0, kept[i] ?? Buffer.alloc(0));
    await audit.round();
    expect((await told()).codes).toEqual([]);
  });
});

describe('what cannot be judged', () => {
  it('is unknown and stops nothing while the outbox is behind', async () => {
    await audit.round();
    const before = await checkOf();
    await shop.buy(saleId, shirt(), 1);
    await shop.outbox.redis.hincrby(stockKey(), 'available', 0);
    await audit.stop();
    audit = createOnlineAudit({
      ...shop.outbox,
      redisUrl: shop.outbox.testRedis.url,
      // Its patience ends at once: each look at the clock is a minute later.
      clock: {
        now: (
          (ms = Date.now()) =>
          () =>
            (ms += 60_000)
        )(),
      },
      log: quietLog,
      pace: { slicesPerSecond: 1e9, timeShare: 1 },
    });
    expect(await audit.round()).toBe(0);
    const after = await checkOf();
    expect(after).toMatchObject({ state: 'UNKNOWN', reason: expect.stringContaining('not written to Postgres yet') });
    expect([after?.checkedAt, after?.position]).toEqual([before?.checkedAt, before?.position]);
    expect(after?.unknownSince).toBeInstanceOf(Date);
    expect(await told()).toEqual({ codes: [], blocked: [] });
    await shop.relay();
    await audit.stop();
    audit = newAudit();
    await audit.round();
    expect(await checkOf()).toMatchObject({ state: 'AGREES', unknownSince: null, reason: '' });
  });

  it('is left to the process that is at it, until that one is not heard of any more', async () => {
    expect(await takeLease(shop.outbox.postgres, 'another', 60_000)).toBe(true);
    expect(await audit.round()).toBe(0);
    await sql("UPDATE audit_leases SET until = now() - interval '1 second'");
    expect(await audit.round()).toBe(1);
    expect(await takeLease(shop.outbox.postgres, 'another', 60_000)).toBe(false);
    await audit.stop();
    expect(await takeLease(shop.outbox.postgres, 'another', 60_000)).toBe(true);
    await sql('DELETE FROM audit_leases');
  });
});

describe('a sale in motion', () => {
  it('is brought to one position, whatever happens between the pages', async () => {
    const { stock } = shop.outbox;
    const sku = `CROWD-${sales}`;
    const id = await shop.openSale({ [sku]: 1_000 });
    const bought = await shop.buy(id, sku, 1_500);
    await shop.pay(bought.slice(0, 400));
    await shop.relay();
    await sql('UPDATE sale_items SET is_live = true WHERE sale_id = $1', [id]);
    let slices = 0;
    // After each page some of the purchases on it, and on pages to come, are paid, given back, admitted; new ones come.
    const busy = {
      auditSlice: async (...args: Parameters<typeof stock.auditSlice>) => {
        const slice = await stock.auditSlice(...args);
        if (args[1] !== sku || slice === undefined) return slice;
        slices += 1;
        const at = slices * 20;
        await shop.pay(bought.slice(400 + at, 410 + at));
        const back = [...bought.slice(700 + at, 705 + at), ...bought.slice(1_200 + at, 1_210 + at)];
        await stock.release(back.map((purchaseId) => ({ purchaseId, reason: 'BUYER' as const })));
        await stock.release([{ purchaseId: bought[slices] ?? '', reason: 'REFUND' }]);
        await shop.buy(id, sku, 15);
        await shop.relay();
        return slice;
      },
    };
    await audit.stop();
    audit = createOnlineAudit({
      ...shop.outbox,
      stock: Object.setPrototypeOf(busy, stock),
      redisUrl: shop.outbox.testRedis.url,
      clock: systemClock,
      log: quietLog,
      pace: FAST,
    });
    expect(await audit.round()).toBe(2);
    expect(slices).toBeGreaterThan(6);
    const open = await listFindings(shop.outbox.postgres, id);
    expect(open.map(({ code, message }) => `${code} ${message}`)).toEqual([]);
    const check = (await listChecks(shop.outbox.postgres, id))[0];
    expect(check).toMatchObject({ state: 'AGREES' });
    const { redis, purchases, orders } = check?.sums ?? {};
    expect(redis).toMatchObject({ held: purchases?.['held'], sold: orders?.['sold'], waiting: purchases?.['waiting'] });
    expect(redis?.['lastTicket']).toBeGreaterThan(1_570);
  });

  it('knows the holds of orders, however many there are and whenever they come', async () => {
    const { stock } = shop.outbox;
    const sku = `CARTS-${sales}`;
    const id = await shop.openSale({ [sku]: 2_000 });
    const reserve = (orderId: string) => stock.reserveOrder({ orderId, items: [{ saleId: id, sku, quantity: 1 }] });
    for (let nth = 0; nth < 300; nth++) await reserve(`${id}-${nth}`);
    await shop.buy(id, sku, 300);
    await shop.relay();
    let slices = 0;
    const busy = {
      auditSlice: async (...args: Parameters<typeof stock.auditSlice>) => {
        const slice = await stock.auditSlice(...args);
        if (args[1] !== sku) return slice;
        slices += 1;
        await reserve(`${id}-late-${slices}`);
        await stock.releaseOrder(`${id}-${slices * 30}`);
        await shop.buy(id, sku, 2);
        await shop.relay();
        return slice;
      },
    };
    await audit.stop();
    audit = createOnlineAudit({
      ...shop.outbox,
      stock: Object.setPrototypeOf(busy, stock),
      redisUrl: shop.outbox.testRedis.url,
      clock: systemClock,
      log: quietLog,
      // Not a pause longer than a difference lasts: what comes after the last page must be no difference at all.
      pace: { ...FAST, confirmPauseMs: 0 },
    });
    await audit.round();
    expect(slices).toBe(4);
    expect((await listFindings(shop.outbox.postgres, id)).map(({ message }) => message)).toEqual([]);
    const [check] = await listChecks(shop.outbox.postgres, id);
    expect(check).toMatchObject({ state: 'AGREES', sums: { purchases: { held: 606, tickets: 306 } } });
  });
});
