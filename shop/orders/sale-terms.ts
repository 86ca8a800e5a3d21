// The payment terms of sales, remembered: a sale's `paymentStart` never changes, and every batch of the outbox asks.
import { SALE_TERMS_CACHE_MAX } from '../../core/constants.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';
import { readPaymentStarts } from './store.ts';

export interface SaleTerms {
  /** The sales among `saleIds` whose payments the workers start. A sale that Postgres does not know is not one. */
  eagerAmong(saleIds: readonly string[]): Promise<ReadonlySet<string>>;
}

export function createSaleTerms(db: Queryable): SaleTerms {
  const known = new Map<string, boolean>();
  return {
    async eagerAmong(saleIds) {
      const asked = new Set(saleIds);
      const missing = [...asked].filter((saleId) => !known.has(saleId));
      const found = missing.length === 0 ? new Map<string, boolean>() : await readPaymentStarts(db, missing);
      if (known.size + found.size > SALE_TERMS_CACHE_MAX) known.clear();
      for (const [saleId, isEager] of found) known.set(saleId, isEager);
      return new Set([...asked].filter((saleId) => found.get(saleId) ?? known.get(saleId) ?? false));
    },
  };
}
