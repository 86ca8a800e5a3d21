// The purchases of a SKU held against Postgres while they are read: several pages in one statement, by their keys, as soon as
// the relay has written that much. Knows which tickets it has covered, so that rows which Redis does not know are found too.
import type { AuditSlice, SlicePurchase } from '../../actors/block-verbs.ts';
import { AUDIT_COMPARE_ROWS } from '../../core/constants.ts';
import type { Difference } from './differences.ts';
import { judgeForeign, toRowDifferences } from './judge-online.ts';
import type { OnlineDependencies, SkuPlace } from './online-dependencies.ts';
import { untilApplied } from './relay-position.ts';
import { findForeignRows, findUnequalSlice } from './slice-store.ts';

export interface SliceComparison {
  add(slice: AuditSlice): Promise<void>;
  /** Compares what is left, and looks for rows of purchases that were there at the first page and are on none. */
  finish(first: AuditSlice, last: AuditSlice): Promise<readonly Difference[]>;
}

export function createSliceComparison(deps: OnlineDependencies, place: SkuPlace): SliceComparison {
  const { partition, saleId, sku, excused } = place;
  const found: Difference[] = [];
  const orderIds: string[] = [];
  let purchases: SlicePurchase[] = [];
  let known: string[] = [];
  let nextTicket = 1;
  let seq = 0;

  async function findForeign(from: number, to: number, ids: readonly string[], at = 0): Promise<void> {
    if (to < from) return;
    const where = { saleId, sku, from, to, seq: at };
    const rows = await deps.pace.rest(() => findForeignRows(deps.postgres, where, ids));
    found.push(
      ...judgeForeign(
        saleId,
        sku,
        rows.filter((row) => !excused.has(row.purchaseId)),
      ),
    );
  }

  async function flush(lastTicket: number): Promise<void> {
    const batch = purchases.filter((p) => !excused.has(p.purchaseId));
    const ids = known;
    [purchases, known] = [[], []];
    await deps.renew();
    await untilApplied(deps, partition, seq);
    if (batch.length > 0) {
      const rows = await deps.pace.rest(() => findUnequalSlice(deps.postgres, sku, batch));
      found.push(...toRowDifferences(saleId, sku, rows));
    }
    await findForeign(nextTicket, lastTicket, ids);
    nextTicket = Math.max(nextTicket, lastTicket + 1);
  }

  return {
    async add(slice) {
      seq = slice.seq;
      purchases.push(...slice.purchases);
      for (const { ticket, purchaseId } of slice.purchases) (ticket === 0 ? orderIds : known).push(purchaseId);
      // Whose ticket cannot be read may be either.
      known.push(...slice.missing);
      orderIds.push(...slice.missing);
      if (purchases.length < AUDIT_COMPARE_ROWS) return;
      await flush(purchases.reduce((highest, { ticket }) => Math.max(highest, ticket), 0));
    },
    async finish(first, last) {
      seq = last.seq;
      await flush(first.counters.lastTicket);
      await findForeign(0, 0, orderIds, first.seq);
      return found;
    },
  };
}
