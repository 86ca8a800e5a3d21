// The life of a purchase, as data: which moves are legal and what a status means. It moves nothing: that is done by the
// scripts alone (scripts/lua), which this table describes to those who read and check what the scripts did.
import type { PurchaseStatus } from '../../actors/records.ts';

export const PURCHASE_MOVES: Readonly<Record<PurchaseStatus, readonly PurchaseStatus[]>> = {
  WAITING: ['RESERVED', 'SOLD_OUT', 'CANCELLED'],
  // RESERVED → CONFIRMED | PAYMENT_FAILED: a webhook may be ahead of payment.start.
  RESERVED: ['PAYMENT_PENDING', 'PAYMENT_FAILED', 'CONFIRMED', 'EXPIRED', 'CANCELLED'],
  PAYMENT_PENDING: ['CONFIRMED', 'PAYMENT_FAILED', 'EXPIRED', 'CANCELLED'],
  PAYMENT_FAILED: ['PAYMENT_PENDING', 'CONFIRMED', 'EXPIRED', 'CANCELLED'],
  CONFIRMED: ['REFUNDED'],
  // A late payment takes stock again if it can, else it is refunded.
  EXPIRED: ['CONFIRMED', 'REFUNDED'],
  CANCELLED: ['CONFIRMED', 'REFUNDED'],
  SOLD_OUT: [],
  REFUNDED: [],
};

/** The hold lives: stock is set aside and may be paid for. */
const HOLDING: ReadonlySet<PurchaseStatus> = new Set(['RESERVED', 'PAYMENT_PENDING', 'PAYMENT_FAILED']);

export function canMovePurchase(from: PurchaseStatus, to: PurchaseStatus): boolean {
  return PURCHASE_MOVES[from].includes(to);
}

export function isHolding(status: PurchaseStatus): boolean {
  return HOLDING.has(status);
}

/** The purchase waits, holds stock or has bought it: it counts for its buyer's limit. */
export function isLiving(status: PurchaseStatus): boolean {
  return status === 'WAITING' || status === 'CONFIRMED' || HOLDING.has(status);
}
