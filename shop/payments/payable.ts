// What there is to pay: a purchase that holds stock, or an order of a cart with all its holds. Reads Redis for what lives
// and Postgres for what is committed, since a payment starts only after its order is written.
import type { PurchaseView, StockStore } from '../../actors/stock-store.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';
import { isHolding, orderIdOf } from '../sales/sales.ts';
import { findHeldLines, findOrders } from './store.ts';

export interface Payable {
  /** The purchase, or the order when it has several holds. */
  key: string;
  orderId: string;
  saleId: string;
  buyer: string;
  amount: number;
  currency: string;
  lines: readonly { purchaseId: string; amount: number }[];
  /** Every hold is alive. */
  isLive: boolean;
  /** Every hold has become a sale. */
  isSold: boolean;
  /** Some hold has not been marked PAYMENT_PENDING or later: the payment was not announced yet. */
  isFresh: boolean;
}

/** `unwritten`: ids whose order Postgres does not have yet; they are to be asked for again. */
export async function findPayables(
  deps: { postgres: Queryable; stock: Pick<StockStore, 'look'> },
  purchaseIds: readonly string[],
): Promise<{ payables: Payable[]; unwritten: string[] }> {
  const asked = await lookAll(deps.stock, [...new Set(purchaseIds)]);
  const single = asked.filter((purchase) => purchase.orderRef === '');
  const orderRefs = [...new Set(asked.map((purchase) => purchase.orderRef))].filter((ref) => ref !== '');
  const orderIds = [...single.map((purchase) => orderIdOf(purchase.purchaseId)), ...orderRefs];
  const orders = orderIds.length === 0 ? new Map() : await findOrders(deps.postgres, orderIds);
  const payables: Payable[] = [];
  const unwritten: string[] = [];
  for (const purchase of single) {
    if (orders.has(orderIdOf(purchase.purchaseId))) payables.push(ofPurchase(purchase));
    else if (isHolding(purchase.status)) unwritten.push(purchase.purchaseId);
  }
  // A hold that another system made by /inventory/reserve names an order that is not ours: nothing to pay here.
  const carts = orderRefs.filter((ref) => orders.has(ref));
  if (carts.length > 0) payables.push(...(await ofCarts(deps, carts, orders)));
  return { payables, unwritten };
}

function ofPurchase(purchase: PurchaseView): Payable {
  const amount = purchase.unitPrice * purchase.quantity;
  return {
    key: purchase.purchaseId,
    orderId: orderIdOf(purchase.purchaseId),
    saleId: purchase.saleId,
    buyer: purchase.buyer,
    amount,
    currency: purchase.currency,
    lines: [{ purchaseId: purchase.purchaseId, amount }],
    isLive: isHolding(purchase.status),
    isSold: purchase.status === 'CONFIRMED',
    isFresh: purchase.status === 'RESERVED',
  };
}

type Orders = Awaited<ReturnType<typeof findOrders>>;

async function ofCarts(
  deps: { postgres: Queryable; stock: Pick<StockStore, 'look'> },
  orderRefs: readonly string[],
  orders: Orders,
): Promise<Payable[]> {
  const lines = await findHeldLines(deps.postgres, orderRefs);
  const views = new Map(
    (
      await lookAll(
        deps.stock,
        lines.map((line) => line.purchaseId),
      )
    ).map((v) => [v.purchaseId, v]),
  );
  return orderRefs.flatMap((orderId) => {
    const order = orders.get(orderId);
    const own = lines.filter((line) => line.orderRef === orderId);
    const statuses = own.map((line) => views.get(line.purchaseId)?.status);
    if (order === undefined || own.length === 0) return [];
    return {
      key: orderId,
      orderId,
      saleId: views.get(own[0]?.purchaseId ?? '')?.saleId ?? '',
      buyer: order.userId,
      amount: order.totalAmount,
      currency: order.currency,
      lines: own.map(({ purchaseId, amount }) => ({ purchaseId, amount })),
      isLive: statuses.every((status) => status !== undefined && isHolding(status)),
      isSold: statuses.every((status) => status === 'CONFIRMED'),
      isFresh: statuses.includes('RESERVED'),
    };
  });
}

async function lookAll(stock: Pick<StockStore, 'look'>, ids: readonly string[]): Promise<PurchaseView[]> {
  if (ids.length === 0) return [];
  return (await stock.look(ids)).filter((view) => view !== undefined);
}
