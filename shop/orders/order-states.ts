// The life of an order, as data: which moves are legal, and what a purchase's status means for its order.
// An illegal move asked for by a caller is a 409; the outbox never asks for one, it overtakes.
import type { Purchase, PurchaseStatus } from '../../actors/records.ts';

export type OrderStatus =
  | 'CREATED'
  | 'CONFIRMED'
  | 'PACKED'
  | 'SHIPPED'
  | 'DELIVERED'
  | 'CANCELLED'
  | 'EXPIRED'
  | 'FAILED'
  | 'REFUNDED';

export const ORDER_MOVES: Readonly<Record<OrderStatus, readonly OrderStatus[]>> = {
  CREATED: ['CONFIRMED', 'CANCELLED', 'EXPIRED', 'FAILED'],
  CONFIRMED: ['PACKED', 'CANCELLED'],
  PACKED: ['SHIPPED', 'CANCELLED'],
  // REFUNDED without its units: lost on the way.
  SHIPPED: ['DELIVERED', 'REFUNDED'],
  DELIVERED: ['REFUNDED'],
  // CONFIRMED from here: the late payment took stock again. REFUNDED: it could not, or a paid order was cancelled.
  CANCELLED: ['CONFIRMED', 'REFUNDED'],
  EXPIRED: ['CONFIRMED', 'REFUNDED'],
  FAILED: [],
  REFUNDED: [],
};

export function canMoveOrder(from: OrderStatus, to: OrderStatus): boolean {
  return ORDER_MOVES[from].includes(to);
}

/** Stages of an order that is paid and on its way: news that the purchase is CONFIRMED does not take it back from there. */
export type Fulfilment = 'PACKED' | 'SHIPPED' | 'DELIVERED';
export const FULFILMENT: readonly OrderStatus[] = ['PACKED', 'SHIPPED', 'DELIVERED'] satisfies Fulfilment[];

/** What a purchase's status means for its order. The two that never hold stock never have an order. */
const ORDER_OF: Readonly<Record<PurchaseStatus, OrderStatus>> = {
  WAITING: 'CREATED',
  RESERVED: 'CREATED',
  PAYMENT_PENDING: 'CREATED',
  PAYMENT_FAILED: 'CREATED',
  CONFIRMED: 'CONFIRMED',
  EXPIRED: 'EXPIRED',
  CANCELLED: 'CANCELLED',
  SOLD_OUT: 'CANCELLED',
  REFUNDED: 'REFUNDED',
};

/** The release reason of a purchase that Postgres could not take: its order failed, nobody cancelled it. */
export const DATA_ERROR = 'DATA_ERROR';

export function orderStatusOf(purchase: Pick<Purchase, 'status' | 'reason'>): OrderStatus {
  if (purchase.status === 'CANCELLED' && purchase.reason === DATA_ERROR) return 'FAILED';
  return ORDER_OF[purchase.status];
}
