// Takes one step after the other, on the real stock and on the model, and compares what both answer and count.
import { expect } from 'vitest';
import { newPurchaseId } from '../../../actors/purchase-ids.ts';
import { sweepPartition } from '../../../actors/hold-sweeper.ts';
import { PARTITION, saleOf, START_MS, type TestStock, told } from '../../support/stock.ts';
import * as verbs from './purchase-verbs.ts';
import {
  countsOf,
  type ModelPurchase,
  type ModelSale,
  type ModelSku,
  reserve,
  type Status,
  type World,
} from './stock-model.ts';

export interface SaleTerms {
  readonly stocks: readonly number[];
  readonly limit: number;
  readonly lineLimit: number | null;
  readonly holdMs: number;
  readonly pace: 'free' | 'slow' | 'fast' | 'backlog';
  readonly opensInMs: number | null;
  readonly closesInMs: number | null;
}

export type Step =
  | { verb: 'buy'; sale: number; sku: number; wishes: readonly { buyer: number; quantity: number }[] }
  | { verb: 'retry'; pick: number; more: number }
  | { verb: 'confirm'; picks: readonly number[] }
  | { verb: 'release'; picks: readonly number[]; buyer: string; reason: 'BUYER' | 'OPERATOR' | 'REFUND' }
  | { verb: 'mark'; picks: readonly number[]; status: 'PAYMENT_PENDING' | 'PAYMENT_FAILED' | 'REFUNDED' }
  | { verb: 'advance'; ms: number }
  | { verb: 'sweep' }
  | { verb: 'state'; sale: number; to: 'open' | 'pause' | 'close' }
  | { verb: 'restock'; sale: number; sku: number; by: number; operation: number }
  | { verb: 'reserveOrder'; order: number; lines: readonly { sale: number; sku: number; quantity: number }[] }
  | { verb: 'releaseOrder'; order: number };

export interface History {
  readonly world: World;
  take(step: Step): Promise<void>;
}

const RATES = { free: 0, slow: 0.5, fast: 8, backlog: 0 } as const;

/** SKUs share throttle and backlog in an order that the design leaves open, so such a sale has one. */
async function createSale(t: TestStock, terms: SaleTerms): Promise<ModelSale> {
  const stocks = terms.pace === 'free' ? terms.stocks : terms.stocks.slice(0, 1);
  const items = stocks.map((stock, i) => ({ sku: `SKU${i}`, stock, unitPrice: 100, currency: 'EUR' }));
  const opensAt = terms.opensInMs === null ? null : START_MS + terms.opensInMs;
  const closesAt = terms.closesInMs === null ? null : START_MS + terms.closesInMs;
  const rate = RATES[terms.pace];
  const backlogLimit = terms.pace === 'backlog' ? 2 : 0;
  const sale = saleOf({
    ...{ items, opensAt, closesAt, holdMs: terms.holdMs, perBuyerLimit: terms.limit, lineLimit: terms.lineLimit },
    ...{ admissionPerSecond: rate === 0 ? null : rate, startBacklogLimit: backlogLimit },
    ...{ paymentStart: 'eager', startNow: opensAt === null },
  });
  expect(await t.stock.createSale(sale)).toEqual({ created: true });
  return {
    ...{
      id: sale.saleId,
      status: opensAt === null ? 'OPEN' : 'SCHEDULED',
      opensAt: opensAt ?? 0,
      closesAt: closesAt ?? 0,
    },
    ...{ holdMs: terms.holdMs, limit: terms.limit, lineLimit: terms.lineLimit, rate, backlogLimit },
    ...{ tokens: 0, tokensAt: START_MS },
    skus: items.map(({ sku, stock }) => ({ name: sku, loaded: stock, lastTicket: 0, line: [] })),
  };
}

export async function createHistory(t: TestStock, terms: readonly SaleTerms[]): Promise<History> {
  const world: World = { now: START_MS, sales: [], purchases: new Map() };
  for (const one of terms) world.sales.push(await createSale(t, one));
  const orders = new Map<string, verbs.ModelOrder>();
  /** What each operation id was used for. */
  const operations = new Map<string, string>();

  const at = <T>(list: readonly T[], index: number): T => list[index % list.length] as T; // never empty here
  const skuOf = (sale: number, sku: number): [ModelSale, ModelSku] => {
    const of = at(world.sales, sale);
    return [of, at(of.skus, sku)];
  };
  const pick = (index: number): ModelPurchase | undefined =>
    [...world.purchases.values()].at(index % (world.purchases.size || 1));
  const idOfPick = (index: number): string => pick(index)?.id ?? `pur_0${PARTITION}unknownunknown`;

  async function buy(
    sale: ModelSale,
    sku: ModelSku,
    wishes: readonly { id: string; buyer: string; quantity: number }[],
  ) {
    const expected = reserve(world, sale, sku, wishes);
    const real = await t.buy(
      sale.id,
      wishes.map(({ id, ...rest }) => ({ purchaseId: id, ...rest })),
      sku.name,
    );
    expect(told(real)).toEqual(expected);
    for (const outcome of real) {
      if (outcome.kind !== 'refused' || !outcome.purchaseId) continue;
      // Who is over the limit is shown something of their own that lives.
      expect(world.purchases.get(outcome.purchaseId)?.sale).toBe(sale);
    }
  }

  async function reserveOrder(order: number, lines: Extract<Step, { verb: 'reserveOrder' }>['lines']) {
    const merged = new Map<string, verbs.ModelLine>();
    for (const line of lines) {
      const [sale, sku] = skuOf(line.sale, line.sku);
      const key = `${sale.id} ${sku.name}`;
      merged.set(key, { sale, sku, quantity: line.quantity + (merged.get(key)?.quantity ?? 0) });
    }
    const sorted = [...merged].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, line]) => line);
    const orderId = `ord_${order}`;
    const items = sorted.map((l) => ({ saleId: l.sale.id, sku: l.sku.name, quantity: l.quantity }));
    const real = await t.stock.reserveOrder({ orderId, items });
    const idFor = (line: verbs.ModelLine) =>
      real.purchases.find((p) => p.saleId === line.sale.id && p.sku === line.sku.name)?.purchaseId ?? 'not reserved';
    expect(real.outcome).toBe(verbs.reserveOrder(world, orders, orderId, sorted, idFor));
    for (const p of orders.get(orderId)?.purchases ?? []) world.purchases.set(p.id, p);
  }

  async function act(step: Step): Promise<void> {
    const { stock } = t;
    if (step.verb === 'buy') {
      const saleId = at(world.sales, step.sale).id;
      const wishes = step.wishes.map((w) => ({
        id: newPurchaseId(saleId, `u_${w.buyer}`),
        buyer: `u_${w.buyer}`,
        quantity: w.quantity,
      }));
      return buy(...skuOf(step.sale, step.sku), wishes);
    }
    if (step.verb === 'retry') {
      const p = pick(step.pick);
      if (!p || p.orderRef !== '') return;
      return buy(p.sale, p.sku, [{ id: p.id, buyer: p.buyer, quantity: p.quantity + step.more }]);
    }
    if (step.verb === 'confirm') {
      const ids = step.picks.map(idOfPick);
      const real = await stock.confirm(ids.map((purchaseId) => ({ purchaseId, paymentRef: 'pi' })));
      return expect(real.map((r) => r.decision)).toEqual(verbs.confirm(world, ids));
    }
    if (step.verb === 'release') {
      const items = step.picks.map((index) => {
        const buyer = step.buyer === 'owner' ? (pick(index)?.buyer ?? '') : step.buyer;
        return { id: idOfPick(index), buyer, reason: step.reason };
      });
      const real = await stock.release(items.map(({ id, ...rest }) => ({ purchaseId: id, ...rest })));
      return expect(real.map((r) => r.outcome)).toEqual(verbs.release(world, items));
    }
    if (step.verb === 'mark') {
      const items = step.picks.map((index) => ({ id: idOfPick(index), status: step.status as Status }));
      const real = await stock.mark(items.map(({ id }) => ({ purchaseId: id, status: step.status })));
      return expect(real.map((r) => r.outcome)).toEqual(verbs.mark(world, items));
    }
    if (step.verb === 'advance') {
      t.clock.advance(step.ms);
      world.now += step.ms;
      return;
    }
    if (step.verb === 'sweep') {
      await sweepPartition(stock, PARTITION);
      verbs.sweep(world);
      return;
    }
    if (step.verb === 'state') {
      const sale = at(world.sales, step.sale);
      const { outcome, status } = await stock.setSaleState(sale.id, step.to);
      const expected = verbs.setState(world, sale, step.to);
      return expect([outcome, status]).toEqual([expected, sale.status]);
    }
    if (step.verb === 'restock') {
      const [sale, sku] = skuOf(step.sale, step.sku);
      const operationId = `op_${step.operation}`;
      const change = { saleId: sale.id, sku: sku.name, by: step.by, operationId, reason: 'test' };
      const { outcome } = await stock.restock(change);
      const asked = `${sale.id} ${sku.name} ${step.by}`;
      const earlier = operations.get(operationId);
      const repeated = earlier === asked ? 'REPLAY' : 'KEY_REUSED';
      const expected = earlier === undefined ? verbs.restock(world, sale, sku, step.by) : repeated;
      if (expected === 'OK') operations.set(operationId, asked);
      return expect(outcome).toBe(expected);
    }
    if (step.verb === 'reserveOrder') return reserveOrder(step.order, step.lines);
    const { outcome } = await stock.releaseOrder(`ord_${step.order}`);
    expect(outcome).toBe(verbs.releaseOrder(world, orders, `ord_${step.order}`));
  }

  async function compareCounts(): Promise<void> {
    const snapshots = await t.stock.snapshot(world.sales.map((sale) => sale.id));
    const real = snapshots.map((s) => [
      s?.status,
      ...(s?.items ?? []).map(({ version: _v, saleId: _s, saleStatus: _st, ...counts }) => counts),
    ]);
    expect(real).toEqual(
      world.sales.map((sale) => [sale.status, ...sale.skus.map((sku) => ({ sku: sku.name, ...countsOf(world, sku) }))]),
    );
  }

  return {
    world,
    async take(step) {
      await act(step);
      await compareCounts();
    },
  };
}
