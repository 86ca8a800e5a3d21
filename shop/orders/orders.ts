// The orders slice, as the slices above it and the composition see it. An order is made by the outbox, never by a request.
import type { StockStore } from '../../actors/stock-store.ts';
import { fault } from '../../core/errors.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import { createDeadRecords, type DeadRecords } from './dead-records.ts';
import { canMoveOrder, type OrderStatus } from './order-states.ts';
import { findOrder, listOrders, moveOrder, type Order } from './store.ts';

export type { DeadRecords, ReplayOutcome } from './dead-records.ts';
export type { DeadRecord } from './dead-store.ts';
export { createEpochFollower } from './follow-epoch.ts';
export { createOrderJobs, type OrderJobDependencies } from './jobs.ts';
export { canMoveOrder, type OrderStatus } from './order-states.ts';
export { createEpochRecord } from './partition-store.ts';
export { createSaleTerms, type SaleTerms } from './sale-terms.ts';
export type { Order, OrderItem } from './store.ts';

export interface Orders {
  find(orderId: string): Promise<Order | undefined>;
  list(page: { userId: string; after?: string | undefined; limit: number }): Promise<Order[]>;
  /** An illegal move throws ILLEGAL_TRANSITION; one that somebody else made first is looked at again. */
  move(orderId: string, to: OrderStatus): Promise<Order>;
  readonly dead: DeadRecords;
}

export function createOrders(deps: { postgres: Postgres; stock: Pick<StockStore, 'look'> }): Orders {
  const { postgres } = deps;
  return {
    find: (orderId) => findOrder(postgres, orderId),
    list: (page) => listOrders(postgres, page),
    async move(orderId, to) {
      for (;;) {
        const order = await findOrder(postgres, orderId);
        if (order === undefined) throw fault('NOT_FOUND', 'There is no such order');
        if (order.status === to) return order;
        if (!canMoveOrder(order.status, to))
          throw fault('ILLEGAL_TRANSITION', `An order that is ${order.status} cannot become ${to}`);
        if (await moveOrder(postgres, orderId, order.status, to)) return { ...order, status: to };
      }
    },
    dead: createDeadRecords(deps),
  };
}
