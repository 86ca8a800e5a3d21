// Blocks and unblocks by an operator. To unblock is to say that the SKU's findings are dealt with: they are resolved, and
// should one of them still be true, the next round of the audit finds it again and stops the sale again.
import type { BlockOutcome } from '../../actors/block-verbs.ts';
import type { StockStore } from '../../actors/stock-store.ts';
import { fault } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';
import { isSaleId } from '../sales/sales.ts';
import { resolveFindings } from './finding-store.ts';
import { type BlockView, toBlockView } from './wire.ts';

export interface SkuBlocks {
  /** Both answer how the SKU is blocked afterwards, null when it sells. Throw SALE_NOT_FOUND, SKU_NOT_FOUND. */
  block(saleId: string, sku: string, by: { userId: string; note: string }): Promise<BlockView | null>;
  unblock(saleId: string, sku: string, by: { userId: string }): Promise<BlockView | null>;
}

export function createSkuBlocks(deps: {
  postgres: Queryable;
  stock: Pick<StockStore, 'blockSku' | 'unblockSku' | 'blocksOf'>;
  log: Log;
}): SkuBlocks {
  const { postgres, stock, log } = deps;

  async function blockOf(saleId: string, sku: string, { outcome }: BlockOutcome): Promise<BlockView | null> {
    if (outcome === 'SALE_NOT_FOUND' || outcome === 'SKU_NOT_FOUND')
      throw fault(outcome, undefined, { members: { saleId, sku } });
    const block = (await stock.blocksOf(saleId)).find((one) => one.sku === sku);
    return block === undefined ? null : toBlockView(block);
  }

  function checkSale(saleId: string): void {
    if (!isSaleId(saleId)) throw fault('SALE_NOT_FOUND', 'there is no such sale');
  }

  return {
    async block(saleId, sku, { userId, note }) {
      checkSale(saleId);
      const done = await stock.blockSku(saleId, sku, 'OPERATOR', note);
      if (done.outcome === 'OK') log.warn({ saleId, sku, userId, note }, 'an operator stopped the sale of a SKU');
      return blockOf(saleId, sku, done);
    },
    async unblock(saleId, sku, { userId }) {
      checkSale(saleId);
      const done = await stock.unblockSku(saleId, sku);
      // Redis has forgotten the sale, or lost it; what was found in it can still be said to be dealt with.
      const isGone = done.outcome === 'SALE_NOT_FOUND';
      if (isGone && (await resolveFindings(postgres, { saleId, skus: [sku, ''] }, [], `closed by ${userId}`)) > 0)
        return null;
      const blocked = await blockOf(saleId, sku, done);
      // After the unblock: a finding that is written in between is of before it, and comes again if it is true.
      if (blocked === null) await resolveFindings(postgres, { saleId, skus: [sku] }, [], `unblocked by ${userId}`);
      if (done.outcome === 'OK') log.warn({ saleId, sku, userId }, 'an operator lets a SKU sell again');
      return blocked;
    },
  };
}
