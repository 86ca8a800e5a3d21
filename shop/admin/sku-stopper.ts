// What follows from a violation: the SKU sells no more, one line says so, and a row tells it to whoever asks later. The sale
// is stopped first, since that needs Redis alone. It never lets a SKU sell again: a person does that, or a rebuild.
import type { StockStore } from '../../actors/stock-store.ts';
import type { Log } from '../../core/log.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';
import type { Difference } from './differences.ts';
import { saveFindings } from './finding-store.ts';

export interface SkuStopper {
  /** Confirmed differences; the same again are harmless. */
  report(differences: readonly Difference[]): Promise<void>;
}

const NOTE_LENGTH_MAX = 500;
const keyOfSku = ({ saleId, sku = '' }: Difference): string => `${saleId} ${sku}`;

export function createSkuStopper(deps: {
  postgres: Queryable;
  stock: Pick<StockStore, 'blockSku'>;
  log: Log;
}): SkuStopper {
  const { postgres, stock, log } = deps;

  /** Whether it sold until now. */
  async function stopSale({ saleId, sku, code, message }: Difference): Promise<boolean> {
    if (sku === undefined) return false;
    const note = `${code}: ${message}`.slice(0, NOTE_LENGTH_MAX);
    const { outcome } = await stock.blockSku(saleId, sku, 'AUDIT', note);
    if (outcome === 'OK') log.error({ saleId, sku, code, message }, 'the audit stopped the sale of a SKU');
    return outcome === 'OK';
  }

  return {
    async report(differences) {
      if (differences.length === 0) return;
      const told = new Set<string>();
      for (const [key, [first]] of Map.groupBy(differences, keyOfSku)) {
        if (first !== undefined && (await stopSale(first))) told.add(key);
      }
      for (const one of await saveFindings(postgres, differences)) {
        if (told.has(keyOfSku(one))) continue;
        // It was stopped before, for this or for something else; or there is nothing to stop.
        told.add(keyOfSku(one));
        const { saleId, sku, code, message } = one;
        log.error({ saleId, sku, code, message }, 'the audit found a violation');
      }
    },
  };
}
