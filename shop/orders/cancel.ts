// Taking an order back: an unpaid one gives up its hold, a paid and unshipped one its units, and its money follows by the
// outbox. Stock decides first, Postgres follows; so a repetition after any crash finds where it was and goes on.
import type { StockStore } from '../../actors/stock-store.ts';
import { type CodedError, fault, hasCode } from '../../core/errors.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import type { JobQueue } from '../../core/queue/queue.ts';
import type { JobMap } from '../job-map.ts';
import { canMoveOrder } from './order-states.ts';
import { findOrder, moveOrder, type Order } from './store.ts';
import { takeBack } from './taken-back-store.ts';

export interface CancelDependencies {
  readonly postgres: Postgres;
  readonly stock: Pick<StockStore, 'look' | 'release' | 'releaseOrder'>;
  /** Absent where nobody minds that the money follows some seconds later. */
  readonly queue?: Pick<JobQueue<JobMap>, 'add'>;
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

/** A paid one only. What is shipped or delivered, or sold so long ago that Redis has forgotten it, is refunded without its units. */
export async function refundOrder(deps: CancelDependencies, order: Order): Promise<Order> {
  if (order.status === 'SHIPPED' || order.status === 'DELIVERED') return refundAlone(deps, order);
  // Postgres may be behind: whether these two are paid, or refunded by now, only Redis knows.
  const isDoubtful = order.status === 'CREATED' || order.status === 'CANCELLED';
  const status = isDoubtful ? await purchaseStatus(deps, order) : undefined;
  if (status === 'REFUNDED') return { ...order, status };
  if (!isDoubtful || status === 'CONFIRMED') return refundUnshipped(deps, order);
  throw fault('ILLEGAL_TRANSITION', 'An order that is not paid has nothing to refund');
}

/** With its units; without them where it was shipped in this very moment. */
async function refundUnshipped(deps: CancelDependencies, order: Order): Promise<Order> {
  try {
    return await cancelOrder(deps, order);
  } catch (error) {
    const now = hasCode(error, 'ILLEGAL_TRANSITION') ? await findOrder(deps.postgres, order.orderId) : undefined;
    if (now?.status !== 'SHIPPED' && now?.status !== 'DELIVERED') throw error;
    return refundAlone(deps, now);
  }
}

/** Money back and no unit moved: Postgres alone decides, and notes in the same step that the money is due. */
async function refundAlone(deps: CancelDependencies, order: Order): Promise<Order> {
  const { orderId, purchaseId, status } = order;
  const hasMoved = await deps.postgres.transaction(async (tx) => {
    if (canMoveOrder(status, 'REFUNDED')) return moveOrder(tx, orderId, status, 'REFUNDED');
    if (!(await moveOrder(tx, orderId, status, 'CANCELLED'))) return false;
    return moveOrder(tx, orderId, 'CANCELLED', 'REFUNDED');
  });
  if (!hasMoved) {
    const now = await findOrder(deps.postgres, orderId);
    if (now?.status === 'REFUNDED') return now;
    // Delivered, or taken back, a moment ago: the caller asks again of what it is by now.
    throw fault('CONFLICT', `This order is ${now?.status ?? 'gone'} by now`);
  }
  // For speed alone: what the statement above has noted is found without this job too.
  const key = purchaseId ?? orderId;
  await deps.queue?.add('payment.refund', { keys: [key] }, { jobId: `refund-${key}` }).catch(() => undefined);
  return { ...order, status: 'REFUNDED' };
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
  if (order.purchaseId === null) throw tooLate(order);
  const status = await purchaseStatus(deps, order);
  // Redis forgets a sale a day after it closed: nothing is sold from there any more, so there is nowhere to put units back.
  if (status === undefined) return refundAlone(deps, order);
  if (status !== 'CONFIRMED') {
    const now = await findOrder(deps.postgres, order.orderId);
    if (now !== undefined && now.status !== order.status) return cancelOrder(deps, now);
    throw tooLate(order);
  }
  // Whoever packs and ships looks at Postgres: claimed there first, it cannot be shipped while its units are sold again.
  if (!(await takeBack(deps.postgres, order.purchaseId, order.status))) {
    const now = await findOrder(deps.postgres, order.orderId);
    if (now === undefined) throw tooLate(order);
    return cancelOrder(deps, now);
  }
  return giveBack(deps, order);
}

/**
 * The rest of a take-back whose process died between Postgres and Redis, for an order of which Postgres knows that it was paid
 * and taken back. Repeating it changes nothing.
 */
export async function finishTakeBack(deps: CancelDependencies, order: Order): Promise<void> {
  const status = await purchaseStatus(deps, order);
  if (status === 'CONFIRMED') await giveBack(deps, order);
  if (status === undefined) await refundAlone(deps, order);
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
