// The SQL of sales: a SKU is in one live sale, whoever races for it, and pages neither skip nor repeat.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { insertSale } from '../../shop/sales/insert-store.ts';
import {
  findSale,
  listSales,
  markInstalled,
  type NewSale,
  notInstalled,
  saleOfSku,
  salesOfSkus,
} from '../../shop/sales/store.ts';
import { openTestDatabase, type TestDatabase } from '../support/stack.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.drop());

const saleWith = (saleId: string, skus: readonly string[], overrides: Partial<NewSale> = {}): NewSale => ({
  saleId,
  name: 'Noon drop',
  opensAt: 1_800_000_000_123,
  closesAt: null,
  holdSeconds: 600,
  perBuyerLimit: 1,
  lineLimit: null,
  admissionPerSecond: 2.5,
  paymentStart: 'eager',
  createdBy: 'u_admin',
  items: skus.map((sku, i) => ({ sku, stock: 10 + i, unitPrice: 49_900, currency: 'INR' })),
  ...overrides,
});

describe('sales in Postgres', () => {
  it('come back as they were written, items in their order', async () => {
    const sale = saleWith('sale_00full', ['Z-SKU', 'A-SKU']);
    expect(await insertSale(database.postgres, sale)).toEqual({ kind: 'inserted' });
    expect(await insertSale(database.postgres, sale)).toEqual({ kind: 'exists' });
    expect(await findSale(database.postgres, sale.saleId)).toMatchObject({
      ...sale,
      items: sale.items.map((item) => ({ ...item, loaded: 0, isLive: true })),
      status: 'SCHEDULED',
      version: 0,
      isInstalled: false,
    });
    expect(await findSale(database.postgres, 'sale_00none')).toBeUndefined();
  });

  it('let one of many that race for a SKU win, and leave nothing of the others', async () => {
    const sales = Array.from({ length: 8 }, (_, i) => {
      const skus = [`ONLY-${i}`, 'HOT-1', 'HOT-2'];
      return saleWith(`sale_01race${i}`, i % 2 ? skus : skus.toReversed());
    });
    const outcomes = await Promise.all(sales.map((sale) => insertSale(database.postgres, sale)));
    const winners = outcomes.filter((outcome) => outcome.kind === 'inserted');
    const winner = await saleOfSku(database.postgres, 'HOT-1');
    expect(winners).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.kind !== 'inserted')
        expect(outcome).toEqual({ kind: 'sku_taken', sku: 'HOT-1', saleId: winner?.saleId });
    }
    const { rows } = await database.postgres.query("SELECT sale_id FROM sales WHERE sale_id LIKE 'sale_01race%'");
    expect(rows).toEqual([{ sale_id: winner?.saleId }]);
    const owned = await salesOfSkus(database.postgres, [...sales.map((_, i) => `ONLY-${i}`), 'HOT-2']);
    expect([...owned.values()].map((sale) => sale.saleId)).toEqual([winner?.saleId, winner?.saleId]);
  });

  it('are paged newest first without a gap, also when many were made in the same instant', async () => {
    for (let i = 0; i < 7; i++) await insertSale(database.postgres, saleWith(`sale_02page${i}`, [`PAGE-${i}`]));
    await database.postgres.query(
      "UPDATE sales SET created_at = '2030-01-01', status = 'OPEN' WHERE sale_id LIKE 'sale_02page%'",
    );
    const seen: string[] = [];
    for (let after: string | undefined; ; ) {
      const page = await listSales(database.postgres, { limit: 3, status: 'OPEN', after });
      seen.push(...page.map((sale) => sale.saleId));
      after = page.at(-1)?.saleId;
      if (page.length < 3) break;
    }
    expect(seen).toEqual([6, 5, 4, 3, 2, 1, 0].map((i) => `sale_02page${i}`));
    expect(await listSales(database.postgres, { limit: 3, after: 'sale_02none' })).toEqual([]);
  });

  it('that Redis has not heard of are found until they are installed', async () => {
    const sale = saleWith('sale_03new', ['NEW-1']);
    await insertSale(database.postgres, sale);
    const waiting = async () => (await notInstalled(database.postgres, 100)).map((row) => row.saleId);
    expect(await waiting()).toContain(sale.saleId);
    await markInstalled(database.postgres, sale.saleId);
    expect(await waiting()).not.toContain(sale.saleId);
  });
});
