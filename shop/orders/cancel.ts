// Taking an order back: an unpaid one gives up its hold, a paid and unshipped one its units, and its money follows by the
// outbox. Stock decides first, Postgres follows; so a repetition after any crash finds where it was and goes on.
import type { StockStore } from '../../actors/stock-store.ts';
import { type CodedError, fault } from '../../core/errors.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import { findOrder, moveOrder, type Order } from './store.ts';

export interface CancelDependencies {
  readonly postgres: Postgres;
  readonly stock: Pick<StockStore, 'look' | 'release' | 'releaseOrder'>;
}

/** Answers the order as it will be once the outbox is applied. Throws ILLEGAL_TRANSITION where it is too late. */
export async function cancelOrder(deps: CancelDependencies, order: Order): Promise<Order> {
  if (order.status === 'REFUNDED') return order;
  if (order.status === 'CREATED') return cancelUnpaid(deps, order);
  if (order.status === 'CONFIRMED' || order.status === 'PACKED') return cancelPaid(deps, order);
  if (order.status !== 'CANCELLED') throw tooLate(order);
  // A former attempt may have died between the order and its units, or be a moment ahead of Postgres.
  const status = await purchaseStatus(deps, order);
  if (status === 'CONFIRMED') return giveBack(deps, order);
  return status === 'REFUNDED' ? { ...order, status } : order;
}

/** A paid one only. */
export async function refundOrder(deps: CancelDependencies, order: Order): Promise<Order> {
  // Postgres may be behind: whether these two are paid, or refunded by now, only Redis knows.
  const isDoubtful = order.status === 'CREATED' || order.status === 'CANCELLED';
  const status = isDoubtful ? await purchaseStatus(deps, order) : undefined;
  if (status === 'REFUNDED') return { ...order, status };
  if (!isDoubtful || status === 'CONFIRMED') return cancelOrder(deps, order);
  throw fault('ILLEGAL_TRANSITION', 'An order that is not paid has nothing to refund');
}

async function cancelUnpaid(deps: CancelDependencies, order: Order): Promise<Order> {
  if (order.purchaseId === null) {
    const { outcome } = await deps.stock.releaseOrder(order.orderId);
    if (outcome === 'NOT_FOUND') throw tooLate(order);
    return { ...order, status: 'CANCELLED' };
  }
  const [released] = await deps.stock.release([{ purchaseId: order.purchaseId, reason: 'ORDER_CANCELLED' }]);
  if (released?.outcome === 'RELEASED') return { ...order, status: 'CANCELLED' };
  // Paid a moment ago; Postgres has not heard of it, so nobody has packed it either.
  if (released?.outcome === 'CONFIRMED') return giveBack(deps, order);
  const status = released?.purchase?.status;
  if (status === 'CANCELLED' || status === 'REFUNDED') return { ...order, status };
  throw tooLate(order);
}

async function cancelPaid(deps: CancelDependencies, order: Order): Promise<Order> {
  // Redis forgets a sale a day after it closed; without its units the order stays as it is.
  if ((await purchaseStatus(deps, order)) !== 'CONFIRMED') {
    const now = await findOrder(deps.postgres, order.orderId);
    if (now !== undefined && now.status !== order.status) return cancelOrder(deps, now);
    throw tooLate(order);
  }
  // Whoever packs and ships looks at Postgres: claimed there first, it cannot be shipped while its units are sold again.
  if (!(await moveOrder(deps.postgres, order.orderId, order.status, 'CANCELLED'))) {
    const now = await findOrder(deps.postgres, order.orderId);
    if (now === undefined) throw tooLate(order);
    return cancelOrder(deps, now);
  }
  return giveBack(deps, order);
}

async function giveBack({ stock }: CancelDependencies, order: Order): Promise<Order> {
  if (order.purchaseId === null) throw tooLate(order);
  const [released] = await stock.release([{ purchaseId: order.purchaseId, reason: 'REFUND' }]);
  if (released?.outcome === 'RELEASED' || released?.purchase?.status === 'REFUNDED')
    return { ...order, status: 'REFUNDED' };
  throw tooLate(order);
}

/** As Redis has it; undefined for a cart's order, and for what Redis has forgotten. */
async function purchaseStatus({ stock }: CancelDependencies, { purchaseId }: Order) {
  if (purchaseId === null) return undefined;
  const [purchase] = await stock.look([purchaseId]);
  return purchase?.status;
}

function tooLate({ status }: Order): CodedError {
  return fault('ILLEGAL_TRANSITION', `This order is ${status} and can no longer be taken back`);
}
