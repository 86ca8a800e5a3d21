// What Postgres' records of a sale must satisfy among themselves: purchases, orders and ledger agree, holds went out in the
// order of the tickets, no buyer has more than the sale allows. Runs the checks and writes the sentences.
import type { StockStore } from '../../actors/stock-store.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';
import { isLiving } from '../sales/sales.ts';
import { type Difference, toDifferences } from './differences.ts';
import { findContradictingOrders, findOrphanOrders, findUnbalancedLedger, findWithoutOrder } from './order-store.ts';
import { type AuditedSale, findOverLimit, findOvertaken } from './store.ts';

/** What there may be even where no purchase is: an order or a movement whose purchase was deleted. */
export async function judgeOrphans(db: Queryable, saleId: string): Promise<Difference[]> {
  const orphans = await findOrphanOrders(db, saleId);
  const unbalanced = await findUnbalancedLedger(db, saleId);
  return [
    ...toDifferences(
      'ORDER_WITHOUT_PURCHASE',
      saleId,
      orphans,
      (row) =>
        `${row.orderId}: is ${row.orderStatus}, but its purchase ${row.purchaseId} does not exist. Do not ship it before its payment is found at the provider.`,
    ),
    ...toDifferences('LEDGER_OF_PURCHASE', saleId, unbalanced, (row) =>
      row.status === null
        ? `${row.purchaseId}: the ledger moves ${row.held} held and ${row.sold} sold units of ${row.sku} for it, but there is no such purchase. Its row was deleted; a rebuild would lose its units.`
        : `${row.purchaseId}: is ${row.status} with ${row.quantity} of ${row.sku}, the ledger's movements leave it ${row.held} held and ${row.sold} sold. A movement is missing or counted twice; do not rebuild from the ledger before it is found.`,
    ),
  ];
}

export async function judgeOrders(db: Queryable, saleId: string): Promise<Difference[]> {
  const without = await findWithoutOrder(db, saleId);
  const contradicting = await findContradictingOrders(db, saleId);
  const overtaken = await findOvertaken(db, saleId);
  return [
    ...toDifferences(
      'ORDER_MISSING',
      saleId,
      without,
      (row) =>
        `${row.purchaseId}: got its hold of ${row.sku} and is ${row.status}, but there is no order for it. Look for its record under "ops dead list", else for whoever deleted the order.`,
    ),
    ...toDifferences(
      'ORDER_STATUS',
      saleId,
      contradicting,
      (row) =>
        `${row.purchaseId}: the purchase is ${row.status}, its order ${row.orderId} is ${row.orderStatus}. Nothing but the outbox may write both; ask who changed the order.`,
    ),
    ...toDifferences(
      'OUT_OF_ORDER',
      saleId,
      overtaken,
      (row) =>
        `${row.purchaseId}: ticket ${row.ticket} of ${row.sku} got its hold after ticket ${row.overtakenBy}. Somebody behind was served first; tell the engineers.`,
    ),
  ];
}

/** Rows are of different moments, so who seems to have too much is looked up in Redis, in one moment, where it still knows them. */
export async function judgeLimit(
  db: Queryable,
  stock: Pick<StockStore, 'look'>,
  sale: AuditedSale,
): Promise<Difference[]> {
  const found: Difference[] = [];
  for (const { buyer, purchaseIds, units } of await findOverLimit(db, sale.saleId, sale.perBuyerLimit)) {
    const views = await stock.look(purchaseIds);
    const isKnown = views.every((view) => view !== undefined);
    const living = views.reduce((sum, view) => sum + (view && isLiving(view.status) ? view.quantity : 0), 0);
    const has = isKnown ? living : units;
    if (has <= sale.perBuyerLimit) continue;
    const message = `${buyer}: has ${has} units waiting, held or bought, the sale allows ${sale.perBuyerLimit} (${purchaseIds.slice(0, 5).join(', ')}). Refund what is too much.`;
    const [purchaseId] = purchaseIds;
    found.push({
      code: 'LIMIT_EXCEEDED',
      saleId: sale.saleId,
      ...(purchaseId === undefined ? {} : { purchaseId }),
      message,
    });
  }
  return found;
}
