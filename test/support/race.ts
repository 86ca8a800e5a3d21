// Races over the public API: several requests in the same moment, each with a little delay of its own, to different
// processes. What becomes of the money in them is in race-money.ts.
import { afterAll, beforeAll, expect, vi } from 'vitest';
import { sleep } from '../../core/clock.ts';
import { createDice } from '../../scripts/rush/seeded.ts';
import type { TestAnswer } from './api.ts';
import { type Door, type LiveShop, startLiveShop } from './live-shop.ts';

export interface Sale {
  saleId: string;
  sku: string;
}

export interface Buyer {
  token: string;
  userId: string;
}

export interface Starters {
  /** There from the first test on. */
  readonly shop: LiveShop;
  /** Runs all of them, each started within the first `spreadMs`; answers in their order. */
  race<T>(runs: readonly (() => Promise<T>)[], spreadMs?: number): Promise<T[]>;
  /** One of the processes, another each time. */
  door(): Door;
  between(low: number, high: number): number;
}

/** A shop of two API processes for all tests of a file. On a machine that is busy with others each of them takes many times as long. */
export function useStarters(seed: number): Starters {
  vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });
  const dice = createDice(seed);
  let opened: LiveShop | undefined;
  let turn = 0;
  beforeAll(async () => {
    opened = await startLiveShop({ apiProcesses: 2 });
  });
  afterAll(() => opened?.close());
  const shop = (): LiveShop => {
    if (opened === undefined) throw new Error('the shop is not open yet');
    return opened;
  };
  return {
    get shop() {
      return shop();
    },
    race: (runs, spreadMs = 8) =>
      Promise.all(
        runs.map(async (run) => {
          await sleep(dice.between(0, spreadMs));
          return run();
        }),
      ),
    door() {
      turn += 1;
      const { doors } = shop();
      const door = doors[turn % doors.length];
      if (door === undefined) throw new Error('no API process');
      return door;
    },
    between: (low, high) => dice.between(low, high),
  };
}

/** No process has ended, and none has complained. */
export async function expectCalm({ doors }: LiveShop): Promise<void> {
  for (const door of doors) expect(await door.isAlive()).toBe(true);
  expect(doors.map((door) => door.log())).toEqual(doors.map(() => ''));
}

export interface BuyOptions {
  quantity?: number;
  key?: string;
}

export function buy(door: Door, sale: Sale, buyer: Buyer, { quantity = 1, key }: BuyOptions = {}): Promise<TestAnswer> {
  return door.call('POST', `/api/v1/sales/${sale.saleId}/purchases`, {
    token: buyer.token,
    body: { sku: sale.sku, quantity },
    headers: key === undefined ? {} : { 'idempotency-key': key },
  });
}

export async function countsOf(door: Door, { sku }: Pick<Sale, 'sku'>): Promise<Record<string, number>> {
  return (await door.call('GET', `/api/v1/inventory/${sku}`)).body;
}

/** How many answers of each kind: `{ '201': 1, '409 LIMIT_EXCEEDED': 3 }`. */
export function tally(answers: readonly TestAnswer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, body } of answers) {
    const name = status < 300 ? String(status) : `${status} ${body.code}`;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

export function times<T>(count: number, run: () => Promise<T>): (() => Promise<T>)[] {
  return Array.from({ length: count }, () => run);
}

export async function statusesOf({ stock }: LiveShop, answers: readonly TestAnswer[]): Promise<string[]> {
  const purchases = await stock.look(answers.map(({ body }) => body.purchaseId));
  return purchases.map((purchase) => purchase?.status ?? 'unknown');
}
