// Blocks and unblocks by an operator. To unblock is to say that the SKU's findings are dealt with: they are resolved, and
// should one of them still be true, the next round of the audit finds it again and stops the sale again.
import type { BlockOutcome } from '../../actors/block-verbs.ts';
import { bucketIds, bucketOf } from '../../actors/buckets.ts';
import type { StockStore } from '../../actors/stock-store.ts';
import { fault } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';
import { isSaleId } from '../sales/sales.ts';
import { keepStopped } from './block-store.ts';
import { resolveFindings } from './finding-store.ts';
import { type BlockView, toBlockView } from './wire.ts';

export interface SkuBlocks {
  /** Both answer how the SKU is blocked afterwards, null when it sells. Throw SALE_NOT_FOUND, SKU_NOT_FOUND. */
  block(saleId: string, sku: string, by: { userId: string; note: string }): Promise<BlockView | null>;
  unblock(saleId: string, sku: string, by: { userId: string }): Promise<BlockView | null>;
}

/** All buckets of a sale that is split; one of them alone by its own id, as the audit names it. */
const partsOf = (saleId: string): string[] => (bucketOf(saleId) === 0 ? bucketIds(saleId) : [saleId]);

/** The first outcome that says more than that it was so already. */
async function inEach(saleId: string, act: (id: string) => Promise<BlockOutcome>): Promise<BlockOutcome> {
  const outcomes: BlockOutcome[] = [];
  for (const id of partsOf(saleId)) outcomes.push(await act(id));
  return outcomes.find(({ outcome }) => outcome !== 'REPLAY') ?? outcomes[0] ?? { outcome: 'SALE_NOT_FOUND' };
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

  async function resolve(saleId: string, skus: readonly string[], words: string): Promise<number> {
    let resolved = 0;
    for (const id of partsOf(saleId)) resolved += await resolveFindings(postgres, { saleId: id, skus }, [], words);
    return resolved;
  }

  return {
    async block(saleId, sku, { userId, note }) {
      checkSale(saleId);
      // Kept before it is done: a Redis that is lost in between is built again without it for sale.
      await keepStopped(postgres, partsOf(saleId), sku, note);
      const done = await inEach(saleId, (id) => stock.blockSku(id, sku, 'OPERATOR', note));
      if (done.outcome === 'OK') log.warn({ saleId, sku, userId, note }, 'an operator stopped the sale of a SKU');
      return blockOf(saleId, sku, done);
    },
    async unblock(saleId, sku, { userId }) {
      checkSale(saleId);
      const done = await inEach(saleId, (id) => stock.unblockSku(id, sku));
      await keepStopped(postgres, partsOf(saleId), sku, null);
      // Redis has forgotten the sale, or lost it; what was found in it can still be said to be dealt with.
      const isGone = done.outcome === 'SALE_NOT_FOUND';
      if (isGone && (await resolve(saleId, [sku, ''], `closed by ${userId}`)) > 0) return null;
      const blocked = await blockOf(saleId, sku, done);
      // After the unblock: a finding that is written in between is of before it, and comes again if it is true.
      if (blocked === null) await resolve(saleId, [sku], `unblocked by ${userId}`);
      if (done.outcome === 'OK') log.warn({ saleId, sku, userId }, 'an operator lets a SKU sell again');
      return blocked;
    },
  };
}
