// What a process may answer by itself once a SKU is sold out for certain, and when it must ask again.
import { describe, expect, it } from 'vitest';
import type { SkuCounters } from '../../actors/records.ts';
import { createSoldOutMemory } from '../../actors/sold-out-memory.ts';
import { ACTORS_MAX, SOLD_OUT_MEMORY_MS } from '../../core/constants.ts';

function createMemory() {
  let nowMs = 1_000;
  const memory = createSoldOutMemory({ now: () => nowMs });
  const advance = (ms: number) => {
    nowMs += ms;
  };
  return { memory, advance, isSoldOut: (quantity = 1) => memory.isSoldOut('sale_1', 'SHIRT', quantity) };
}

const counters = (
  version: number,
  loaded: number,
  sold: number,
  overrides: Partial<SkuCounters> = {},
): SkuCounters => ({
  ...{ saleId: 'sale_1', sku: 'SHIRT', saleStatus: 'OPEN', version, loaded, sold },
  ...{ available: 0, held: loaded - sold, waiting: 0, head: 1, lastTicket: 0 },
  ...overrides,
});

describe('the sold-out memory', () => {
  it('says nothing of what it was not told', () => {
    expect(createMemory().isSoldOut()).toBe(false);
  });

  it('counts what is sold, not what is held', () => {
    const { memory, isSoldOut } = createMemory();
    memory.update(counters(1, 5, 3));
    expect([isSoldOut(1), isSoldOut(2), isSoldOut(3)]).toEqual([false, false, true]);
    memory.update(counters(2, 5, 5));
    expect(isSoldOut(1)).toBe(true);
  });

  it('lives a quarter of a second, and every news makes it young again', () => {
    const { memory, advance, isSoldOut } = createMemory();
    memory.update(counters(1, 5, 5));
    advance(SOLD_OUT_MEMORY_MS - 1);
    expect(isSoldOut()).toBe(true);
    memory.update(counters(1, 5, 5));
    advance(SOLD_OUT_MEMORY_MS - 1);
    expect(isSoldOut()).toBe(true);
    advance(1);
    expect(isSoldOut()).toBe(false);
  });

  it('is never set by an older version, however late that comes', () => {
    const { memory, isSoldOut } = createMemory();
    memory.update(counters(7, 6, 5)); // one was refunded or restocked
    memory.update(counters(6, 5, 5));
    expect(isSoldOut()).toBe(false);
    memory.update(counters(8, 6, 6));
    memory.update(counters(7, 6, 5));
    expect(isSoldOut()).toBe(true);
  });

  it('sees a restock at once', () => {
    const { memory, isSoldOut } = createMemory();
    memory.update(counters(1, 5, 5));
    memory.update(counters(2, 6, 5));
    expect([isSoldOut(1), isSoldOut(2)]).toEqual([false, true]);
  });

  it('leaves paused and closed sales their own answer', () => {
    const { memory, isSoldOut } = createMemory();
    memory.update(counters(1, 5, 5, { saleStatus: 'PAUSED' }));
    expect(isSoldOut()).toBe(false);
    memory.update(counters(2, 5, 5, { saleStatus: 'CLOSED' }));
    expect(isSoldOut()).toBe(false);
  });

  it('keeps SKUs and sales apart, and forgets all when told to', () => {
    const { memory, isSoldOut } = createMemory();
    memory.update(counters(1, 5, 5, { sku: 'CAP' }));
    memory.update(counters(1, 5, 5, { saleId: 'sale_2' }));
    expect(isSoldOut()).toBe(false);
    expect(memory.isSoldOut('sale_1', 'CAP', 1)).toBe(true);
    memory.clear();
    expect(memory.isSoldOut('sale_1', 'CAP', 1)).toBe(false);
  });

  it('is bounded', () => {
    const { memory, isSoldOut } = createMemory();
    memory.update(counters(1, 5, 5));
    for (let i = 0; i < ACTORS_MAX; i++) memory.update(counters(1, 5, 5, { sku: `S${i}` }));
    expect(isSoldOut()).toBe(false);
    expect(memory.isSoldOut('sale_1', `S${ACTORS_MAX - 1}`, 1)).toBe(true);
  });
});
