// Stock stores that do something wrong, or that make likely what chance brings about in one history of hundreds: parts for the
// planted bugs of mutations.ts.
import type { StockStore } from '../../actors/stock-store.ts';
import { fault } from '../../core/errors.ts';

/** The store's states are getters, which a copy would freeze. */
export function withFault(stock: StockStore, faulty: Partial<StockStore>): StockStore {
  return new Proxy(stock, { get: (target, name) => Reflect.get(name in faulty ? faulty : target, name) as unknown });
}

/** The first return of each order's units does not come through: without the bug they come back all the same. */
export function failAtFirstReturn(stock: StockStore): StockStore {
  const tried = new Set<string>();
  return withFault(stock, {
    async release(items) {
      const isFirst = items.some(({ purchaseId, reason }) => reason === 'REFUND' && !tried.has(purchaseId));
      for (const { purchaseId } of items) tried.add(purchaseId);
      if (isFirst) throw fault('UNAVAILABLE', 'The connection broke before it was sent');
      return stock.release(items);
    },
  });
}

/** Each payment that was refused is told again with every other that comes later: without the bug nothing comes of it. */
export function tellRefusedAgain(stock: StockStore): StockStore {
  const refused = new Map<string, { purchaseId: string; paymentRef: string }>();
  return withFault(stock, {
    async confirm(items) {
      const rows = await stock.confirm(items);
      await stock.confirm([...refused.values()]).catch(() => undefined);
      for (const [i, { decision }] of rows.entries()) {
        const item = items[i];
        if (decision === 'REFUND' && item !== undefined) refused.set(item.purchaseId, item);
      }
      return rows;
    },
  });
}
