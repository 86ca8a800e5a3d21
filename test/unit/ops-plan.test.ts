import { describe, expect, it } from 'vitest';
import type { LiveSku } from '../../shop/admin/admin.ts';
import { planSeed } from '../../scripts/ops/seed-plan.ts';
import type { SeedRow } from '../../scripts/ops/seed-rows.worker.ts';
import { drawBar, drawTable } from '../../scripts/ops/table.ts';

const row = (sku: string, stock = 5, sale = ''): SeedRow => ({ line: 2, sku, stock, price: 10, currency: 'INR', sale });
const live = (...skus: [sku: string, createdBy: string][]) =>
  new Map(skus.map(([sku, createdBy]): [string, LiveSku] => [sku, { sku, saleId: 'sale_01', createdBy }]));
const options = { saleName: 'Drop', itemsPerSale: 2, isAdding: false };
const skusOf = (rows: readonly SeedRow[]) => rows.map(({ sku }) => sku);

describe('the plan of a stock file', () => {
  const rows = ['A', 'B', 'C', 'D', 'E'].map((sku) => row(sku));

  it('cuts the file into sales of the allowed size', () => {
    const plan = planSeed(rows, { live: live(), loadedBefore: new Set(), seeder: 'u_me' }, options);
    expect(plan.sales.map(({ name, rows }) => [name, skusOf(rows)])).toEqual([
      ['Drop (1/3)', ['A', 'B']],
      ['Drop (2/3)', ['C', 'D']],
      ['Drop (3/3)', ['E']],
    ]);
  });

  it('keeps the names of what is left to do when a first run stopped in between', () => {
    const surroundings = {
      live: live(['A', 'u_me'], ['B', 'u_me'], ['C', 'u_other']),
      loadedBefore: new Set<string>(),
      seeder: 'u_me',
    };
    const plan = planSeed(rows, surroundings, options);
    expect(plan.sales.map(({ name, rows }) => [name, skusOf(rows)])).toEqual([
      ['Drop (2/3)', ['D']],
      ['Drop (3/3)', ['E']],
    ]);
    expect(skusOf(plan.seededBefore)).toEqual(['A', 'B']);
    expect(skusOf(plan.inAnotherSale)).toEqual(['C']);
    expect(plan.additions).toEqual([]);
  });

  it('adds to the sales of others only, once, and never to what this file made', () => {
    const surroundings = {
      live: live(['A', 'u_me'], ['B', 'u_x'], ['C', 'u_x']),
      loadedBefore: new Set(['B']),
      seeder: 'u_me',
    };
    const plan = planSeed(rows, surroundings, { ...options, isAdding: true });
    expect(skusOf(plan.additions)).toEqual(['C']);
    expect(skusOf(plan.addedBefore)).toEqual(['B']);
    expect(skusOf(plan.seededBefore)).toEqual(['A']);
  });

  it('puts a row into the sale that the file names', () => {
    const named = [row('A'), row('B', 1, 'Evening'), row('C', 0, 'Evening')];
    const plan = planSeed(named, { live: live(), loadedBefore: new Set(), seeder: 'u_me' }, options);
    expect(plan.sales.map(({ name, rows }) => [name, skusOf(rows)])).toEqual([
      ['Drop', ['A']],
      ['Evening', ['B', 'C']],
    ]);
  });
});

describe('pictures for a terminal', () => {
  it('draw counts as a bar of one length, with a cell for every part that is not empty', () => {
    const bars = [
      { loaded: 500, available: 499, held: 0, sold: 1 },
      { loaded: 3, available: 1, held: 1, sold: 1 },
      { loaded: 1_000_000, available: 1, held: 1, sold: 999_998 },
      { loaded: 0, available: 0, held: 0, sold: 0 },
    ].map(drawBar);
    for (const bar of bars) expect(bar).toHaveLength(24);
    expect(bars[0]).toMatch(/^█·{23}$/);
    expect(bars[1]).toBe('████████▒▒▒▒▒▒▒▒········');
    expect(bars[2]).toMatch(/^█{22}▒·$/);
  });

  it('draw tables with numbers to the right', () => {
    expect(
      drawTable(
        ['SKU', 'sold'],
        [
          ['A', 5],
          ['LONG', 12],
        ],
      ),
    ).toBe('SKU   sold\n────  ────\nA        5\nLONG    12');
  });
});
