// What follows a violation that the continuous audit found, and what it makes of a shop that moves or cannot be asked: what is
// only late stops nothing.
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { createRebuild } from '../../shop/admin/admin.ts';
import { listChecks, readAuditState, takeLease } from '../../shop/admin/audit-store.ts';
import { listFindings } from '../../shop/admin/finding-store.ts';
import { createEpochRecord } from '../../shop/orders/orders.ts';
import { FAST, useOnlineAudit } from '../support/online-audit.ts';
import { quietLog } from '../support/outbox.ts';

const online = useOnlineAudit();
const { stand, told, checkOf } = online;
const stockKey = () => stand.redisKey('stock', stand.sale.saleId, stand.sale.shirt);
const first = (ids: readonly string[]) => ids[0] ?? '';

describe('what follows a violation', () => {
  const plant = () => stand.shop.outbox.redis.hincrby(stockKey(), 'available', 1);
  const mend = () => stand.shop.outbox.redis.hincrby(stockKey(), 'available', -1);

  it('is that the counts alone stop the sale, before any round', async () => {
    await plant();
    await online.audit.look();
    expect(await told()).toEqual({ codes: ['CONSERVATION'], blocked: [`${stand.sale.shirt} AUDIT`] });
    expect(await stand.shop.outbox.stock.blocksOf(stand.sale.saleId)).toMatchObject([
      { note: expect.stringContaining('1 available + 3 held + 4 sold make 8') },
    ]);
  });

  it('is a row that is kept when it is mended, while the SKU waits for a person', async () => {
    await plant();
    await online.audit.round();
    await online.audit.round();
    expect(await readAuditState(stand.shop.outbox.postgres)).toMatchObject({
      open: [{ saleId: stand.sale.saleId, sku: stand.sale.shirt, count: 2 }],
    });
    await mend();
    await online.audit.round();
    expect(await told()).toEqual({ codes: [], blocked: [`${stand.sale.shirt} AUDIT`] });
    const history = await listFindings(stand.shop.outbox.postgres, stand.sale.saleId);
    expect(history.map(({ code, resolution }) => [code, resolution])).toEqual([
      ['LEDGER_MISMATCH', 'a later check agrees'],
      ['CONSERVATION', 'a later check agrees'],
    ]);
    for (const { firstSeenAt, lastSeenAt } of history) expect(lastSeenAt > firstSeenAt).toBe(true);
    expect(await checkOf()).toMatchObject({ state: 'AGREES' });
    expect((await readAuditState(stand.shop.outbox.postgres)).open).toEqual([]);
  });

  it('stops the SKU at once when an operator lets it sell before it is mended', async () => {
    await plant();
    await online.audit.round();
    await stand.shop.outbox.stock.unblockSku(stand.sale.saleId, stand.sale.shirt);
    expect((await told()).blocked).toEqual([`${stand.sale.shirt} FAULT`]); // by the script itself
    await online.audit.look();
    expect((await told()).codes).toContain('CONSERVATION');
  });

  it('is over after a rebuild, and the SKU sells', async () => {
    const { postgres, redis, stock } = stand.shop.outbox;
    await plant();
    await stand.loseRecord(first(stand.sale.held));
    await online.audit.round();
    expect((await told()).blocked).toEqual([`${stand.sale.shirt} AUDIT`]);
    const queue = { addBulk: async () => undefined };
    await createRebuild({ postgres, redis, queue, clock: systemClock, log: quietLog, settleMs: 0 }).run({
      saleId: stand.sale.saleId,
    });
    await stock.attach(createEpochRecord(postgres));
    await online.audit.round();
    expect(await told()).toEqual({ codes: [], blocked: [] });
    expect(await checkOf()).toMatchObject({ state: 'AGREES', sums: { purchases: { held: 3, tickets: 11 } } });
    expect(await listFindings(postgres, stand.sale.saleId)).toHaveLength(5);
  });

  it('is nothing, when it is there for one look only', async () => {
    const { stock } = stand.shop.outbox;
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
    await online.replace({
      stock: Object.setPrototypeOf(slow, stock),
    });
    await online.audit.round();
    expect(looks).toBe(2);
    expect(await told()).toEqual({ codes: [], blocked: [] });
    expect(await checkOf()).toMatchObject({ state: 'AGREES' });
  });

  it('is told of a sale that Redis has lost, though there is nothing to stop', async () => {
    const names = await stand.shop.outbox.redis.keys(`*${stand.sale.saleId}*`);
    const kept = await Promise.all(names.map((name) => stand.shop.outbox.redis.dumpBuffer(name)));
    await stand.shop.outbox.redis.del(...names);
    await online.audit.round();
    expect((await told()).codes).toEqual(['SALE_UNKNOWN_TO_REDIS']);
    expect(await checkOf()).toMatchObject({ state: 'UNKNOWN', reason: 'Redis does not know the sale' });
    for (const [i, name] of names.entries()) await stand.shop.outbox.redis.restore(name, 0, kept[i] ?? Buffer.alloc(0));
    await online.audit.round();
    expect((await told()).codes).toEqual([]);
  });
});

describe('what cannot be judged', () => {
  it('is unknown and stops nothing while the outbox is behind', async () => {
    await online.audit.round();
    const before = await checkOf();
    await stand.shop.buy(stand.sale.saleId, stand.sale.shirt, 1);
    await stand.shop.outbox.redis.hincrby(stockKey(), 'available', 0);
    await online.replace({
      // Its patience ends at once: each look at the clock is a minute later.
      clock: {
        now: (
          (ms = Date.now()) =>
          () =>
            (ms += 60_000)
        )(),
      },
      pace: { slicesPerSecond: 1e9, timeShare: 1 },
    });
    expect(await online.audit.round()).toBe(0);
    const after = await checkOf();
    expect(after).toMatchObject({ state: 'UNKNOWN', reason: expect.stringContaining('not written to Postgres yet') });
    expect([after?.checkedAt, after?.position]).toEqual([before?.checkedAt, before?.position]);
    expect(after?.unknownSince).toBeInstanceOf(Date);
    expect(await told()).toEqual({ codes: [], blocked: [] });
    await stand.shop.relay();
    await online.replace();
    await online.audit.round();
    expect(await checkOf()).toMatchObject({ state: 'AGREES', unknownSince: null, reason: '' });
  });

  it('is left to the process that is at it, until that one is not heard of any more', async () => {
    expect(await takeLease(stand.shop.outbox.postgres, 'another', 60_000)).toBe(true);
    expect(await online.audit.round()).toBe(0);
    await stand.sql("UPDATE audit_leases SET until = now() - interval '1 second'");
    expect(await online.audit.round()).toBe(1);
    expect(await takeLease(stand.shop.outbox.postgres, 'another', 60_000)).toBe(false);
    await online.audit.stop();
    expect(await takeLease(stand.shop.outbox.postgres, 'another', 60_000)).toBe(true);
    await stand.sql('DELETE FROM audit_leases');
  });
});

describe('a sale in motion', () => {
  it('is brought to one position, whatever happens between the pages', async () => {
    const { stock } = stand.shop.outbox;
    const sku = `CROWD-${stand.count}`;
    const id = await stand.shop.openSale({ [sku]: 1_000 });
    const bought = await stand.shop.buy(id, sku, 1_500);
    await stand.shop.pay(bought.slice(0, 400));
    await stand.shop.relay();
    await stand.sql('UPDATE sale_items SET is_live = true WHERE sale_id = $1', [id]);
    let slices = 0;
    // After each page some of the purchases on it, and on pages to come, are paid, given back, admitted; new ones come.
    const busy = {
      auditSlice: async (...args: Parameters<typeof stock.auditSlice>) => {
        const slice = await stock.auditSlice(...args);
        if (args[1] !== sku || slice === undefined) return slice;
        slices += 1;
        const at = slices * 20;
        await stand.shop.pay(bought.slice(400 + at, 410 + at));
        const back = [...bought.slice(700 + at, 705 + at), ...bought.slice(1_200 + at, 1_210 + at)];
        await stock.release(back.map((purchaseId) => ({ purchaseId, reason: 'BUYER' as const })));
        await stock.release([{ purchaseId: bought[slices] ?? '', reason: 'REFUND' }]);
        await stand.shop.buy(id, sku, 15);
        await stand.shop.relay();
        return slice;
      },
    };
    await online.replace({
      stock: Object.setPrototypeOf(busy, stock),
    });
    expect(await online.audit.round()).toBe(2);
    expect(slices).toBeGreaterThan(6);
    const open = await listFindings(stand.shop.outbox.postgres, id);
    expect(open.map(({ code, message }) => `${code} ${message}`)).toEqual([]);
    const check = (await listChecks(stand.shop.outbox.postgres, id))[0];
    expect(check).toMatchObject({ state: 'AGREES' });
    const { redis, purchases, orders } = check?.sums ?? {};
    expect(redis).toMatchObject({ held: purchases?.['held'], sold: orders?.['sold'], waiting: purchases?.['waiting'] });
    expect(redis?.['lastTicket']).toBeGreaterThan(1_570);
  });

  it('knows the holds of orders, however many there are and whenever they come', async () => {
    const { stock } = stand.shop.outbox;
    const sku = `CARTS-${stand.count}`;
    const id = await stand.shop.openSale({ [sku]: 2_000 });
    const reserve = (orderId: string) => stock.reserveOrder({ orderId, items: [{ saleId: id, sku, quantity: 1 }] });
    for (let nth = 0; nth < 300; nth++) await reserve(`${id}-${nth}`);
    await stand.shop.buy(id, sku, 300);
    await stand.shop.relay();
    let slices = 0;
    const busy = {
      auditSlice: async (...args: Parameters<typeof stock.auditSlice>) => {
        const slice = await stock.auditSlice(...args);
        if (args[1] !== sku) return slice;
        slices += 1;
        await reserve(`${id}-late-${slices}`);
        await stock.releaseOrder(`${id}-${slices * 30}`);
        await stand.shop.buy(id, sku, 2);
        await stand.shop.relay();
        return slice;
      },
    };
    await online.replace({
      stock: Object.setPrototypeOf(busy, stock),
      // Not a pause longer than a difference lasts: what comes after the last page must be no difference at all.
      pace: { ...FAST, confirmPauseMs: 0 },
    });
    await online.audit.round();
    expect(slices).toBe(4);
    expect((await listFindings(stand.shop.outbox.postgres, id)).map(({ message }) => message)).toEqual([]);
    const [check] = await listChecks(stand.shop.outbox.postgres, id);
    expect(check).toMatchObject({ state: 'AGREES', sums: { purchases: { held: 606, tickets: 306 } } });
  });
});
