// The orders slice, as the slices above it and the composition see it. An order is made by the outbox, never by a request.
import type { Purchase } from '../../actors/records.ts';
import { LOST_WORK_AGE_MS, LOST_WORK_MAX } from '../../core/constants.ts';
import { fault } from '../../core/errors.ts';
import { type CancelDependencies, cancelOrder, finishTakeBack, refundOrder } from './cancel.ts';
import { createDeadRecords, type DeadRecords } from './dead-records.ts';
import { canMoveOrder, type Fulfilment, orderStatusOf } from './order-states.ts';
import { findOrder, listOrders, moveOrder, type Order } from './store.ts';
import { findUnitsDue } from './taken-back-store.ts';

export type { DeadRecords } from './dead-records.ts';
export type { DeadRecord } from './dead-store.ts';
export { createDrain } from './drain.ts';
export { createEpochFollower } from './follow-epoch.ts';
export { createOrderJobs } from './jobs.ts';
export { createEpochRecord } from './partition-store.ts';
export { createSaleTerms } from './sale-terms.ts';
export type { Order } from './store.ts';

export interface Orders {
  /** Also an order that the outbox has not written yet, as its purchase in Redis tells it. */
  find(orderId: string): Promise<Order | undefined>;
  list(page: { userId: string; after?: string | undefined; limit: number }): Promise<Order[]>;
  /** `owner` given: only that user's. Throws NOT_FOUND, ILLEGAL_TRANSITION. Repeating it changes nothing. */
  cancel(orderId: string, owner?: string): Promise<Order>;
  /** A paid order's money back to the buyer. Its units go to the head of the line, unless they are shipped, or the sale is over. */
  refund(orderId: string): Promise<Order>;
  /** On its way to the buyer; back it comes by `cancel` and `refund`. An illegal move throws ILLEGAL_TRANSITION; one that somebody else made first is looked at again. */
  move(orderId: string, to: Fulfilment): Promise<Order>;
  /** Gives back the units of paid orders whose take-back nobody lived to finish. Answers how many there were. */
  finishTakenBack(options?: { minAgeMs: number }): Promise<number>;
  readonly dead: DeadRecords;
}

export type OrdersDependencies = CancelDependencies;

export function createOrders(deps: OrdersDependencies): Orders {
  const { postgres, stock } = deps;

  async function find(orderId: string): Promise<Order | undefined> {
    const stored = await findOrder(postgres, orderId);
    if (stored !== undefined || !orderId.startsWith('ord_')) return stored;
    const [purchase] = await stock.look([`pur_${orderId.slice('ord_'.length)}`]);
    return purchase?.hadHold && purchase.orderRef === '' ? toUnwritten(orderId, purchase) : undefined;
  }

  async function get(orderId: string, owner?: string): Promise<Order> {
    const order = await find(orderId);
    const isTheirs = owner === undefined || order?.userId === owner;
    if (order === undefined || !isTheirs) throw fault('NOT_FOUND', 'There is no such order');
    return order;
  }

  return {
    find,
    list: (page) => listOrders(postgres, page),
    cancel: async (orderId, owner) => cancelOrder(deps, await get(orderId, owner)),
    refund: async (orderId) => refundOrder(deps, await get(orderId)),
    async move(orderId, to) {
      for (;;) {
        const order = await findOrder(postgres, orderId);
        if (order === undefined) throw fault('NOT_FOUND', 'There is no such order');
        if (order.status === to) return order;
        if (!canMoveOrder(order.status, to)) {
          throw fault('ILLEGAL_TRANSITION', `An order that is ${order.status} cannot become ${to}`);
        }
        if (await moveOrder(postgres, orderId, order.status, to)) return { ...order, status: to };
      }
    },
    async finishTakenBack({ minAgeMs } = { minAgeMs: LOST_WORK_AGE_MS }) {
      const due = await findUnitsDue(postgres, { minAgeMs, limit: LOST_WORK_MAX });
      const failures: unknown[] = [];
      for (const purchaseId of due) {
        const order = await findOrder(postgres, `ord_${purchaseId.slice('pur_'.length)}`);
        // One that cannot be finished stays noted, and keeps nobody else waiting.
        if (order !== undefined) await finishTakeBack(deps, order).catch((error: unknown) => failures.push(error));
      }
      if (failures.length > 0) throw failures[0];
      return due.length;
    },
    dead: createDeadRecords(deps),
  };
}

function toUnwritten(orderId: string, purchase: Purchase): Order {
  const { sku, quantity, unitPrice } = purchase;
  return {
    orderId,
    purchaseId: purchase.purchaseId,
    userId: purchase.buyer,
    saleId: purchase.saleId,
    status: orderStatusOf(purchase),
    version: purchase.version,
    totalAmount: unitPrice * quantity,
    currency: purchase.currency,
    createdAt: purchase.createdAt,
    updatedAt: purchase.updatedAt,
    items: [{ sku, quantity, unitPrice }],
  };
}
