// The records that the scripts write and everybody else reads: a purchase, a SKU's counters, an outbox record.
// Owns their positions in replies (the Lua side of the same table is scripts/lua/include/purchase.lua); the outbox's: outbox.ts.
// Decides nothing: a status moves only in a script.

export type PurchaseStatus =
  | 'WAITING'
  | 'RESERVED'
  | 'PAYMENT_PENDING'
  | 'PAYMENT_FAILED'
  | 'CONFIRMED'
  | 'EXPIRED'
  | 'CANCELLED'
  | 'SOLD_OUT'
  | 'REFUNDED';

export type SaleStatus = 'SCHEDULED' | 'OPEN' | 'PAUSED' | 'CLOSED';

/** One buyer's wish for a quantity of a SKU, as Redis holds it. Prices are minor units, times are milliseconds of Redis' clock. */
export interface Purchase {
  readonly purchaseId: string;
  /** Grows by one with every change; a reader keeps the record with the highest. */
  readonly version: number;
  readonly status: PurchaseStatus;
  readonly buyer: string;
  readonly saleId: string;
  readonly sku: string;
  readonly quantity: number;
  /** Place in the SKU's line, 1..n without gaps; 0 for a hold of `/inventory/reserve`. */
  readonly ticket: number;
  /** When the hold ends; 0 when there is none. */
  readonly expiresAt: number;
  readonly unitPrice: number;
  readonly currency: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Why it ended, or the payment that confirmed it; '' when there is nothing to say. */
  readonly reason: string;
  /** The order that `/inventory/reserve` held stock for; '' for a buyer's purchase. */
  readonly orderRef: string;
  /** Hash of the request body: the same key with another body is refused. */
  readonly fingerprint: string;
  /** A late payment found no stock: it must be refunded, whatever comes later. */
  readonly isRefundDue: boolean;
  readonly hadHold: boolean;
}

/** A SKU's counts at one version. `available + held + sold = loaded`, always. */
export interface SkuCounters {
  readonly saleId: string;
  readonly sku: string;
  readonly saleStatus: SaleStatus;
  readonly version: number;
  readonly loaded: number;
  readonly available: number;
  readonly held: number;
  readonly sold: number;
  /** Waiting units, not purchases. */
  readonly waiting: number;
  /** Ticket at the head of the line, or, for a moment after hundreds left at once, an earlier one; `lastTicket + 1` when nobody waits. */
  readonly head: number;
  readonly lastTicket: number;
  /** Only of a bucket: 1 + the units that are unsold in all buckets of the sale, at most. */
  readonly everywhere?: number;
}

/** Signed changes of a SKU's counts. */
export interface Movement {
  readonly available: number;
  readonly held: number;
  readonly sold: number;
  readonly loaded: number;
}

export interface PurchaseRecord extends Purchase {
  readonly kind: 'purchase';
  readonly seq: number;
  readonly movement: Movement;
}

export interface StockRecord {
  readonly kind: 'stock';
  readonly seq: number;
  readonly movementId: string;
  readonly saleId: string;
  readonly sku: string;
  readonly movement: Movement;
  readonly reason: string;
  readonly at: number;
}

export interface SaleRecord {
  readonly kind: 'sale';
  readonly seq: number;
  readonly saleId: string;
  readonly status: SaleStatus;
  readonly version: number;
  readonly at: number;
}

export type OutboxRecord = PurchaseRecord | StockRecord | SaleRecord;

export type WirePurchase = readonly [
  version: number,
  status: PurchaseStatus,
  buyer: string,
  saleId: string,
  sku: string,
  quantity: number,
  ticket: number,
  expiresAt: number,
  unitPrice: number,
  currency: string,
  createdAt: number,
  updatedAt: number,
  reason: string,
  orderRef: string,
  fingerprint: string,
  isRefundDue: number,
  hadHold: number,
];
export function toPurchase(purchaseId: string, wire: WirePurchase): Purchase {
  return {
    purchaseId,
    version: wire[0],
    status: wire[1],
    buyer: wire[2],
    saleId: wire[3],
    sku: wire[4],
    quantity: wire[5],
    ticket: wire[6],
    expiresAt: wire[7],
    unitPrice: wire[8],
    currency: wire[9],
    createdAt: wire[10],
    updatedAt: wire[11],
    reason: wire[12],
    orderRef: wire[13],
    fingerprint: wire[14],
    isRefundDue: wire[15] === 1,
    hadHold: wire[16] === 1,
  };
}

export function toWirePurchase(p: Purchase): WirePurchase {
  return [
    p.version,
    p.status,
    p.buyer,
    p.saleId,
    p.sku,
    p.quantity,
    p.ticket,
    p.expiresAt,
    p.unitPrice,
    p.currency,
    p.createdAt,
    p.updatedAt,
    p.reason,
    p.orderRef,
    p.fingerprint,
    p.isRefundDue ? 1 : 0,
    p.hadHold ? 1 : 0,
  ];
}

export type WireCounters = readonly [
  saleId: string,
  sku: string,
  saleStatus: SaleStatus,
  version: number,
  loaded: number,
  available: number,
  held: number,
  sold: number,
  waiting: number,
  head: number,
  lastTicket: number,
  everywhere?: number,
];

export function toCounters(wire: WireCounters): SkuCounters {
  const [saleId, sku, saleStatus, version, loaded, available, held, sold, waiting, head, lastTicket, everywhere] = wire;
  const counters = { saleId, sku, saleStatus, version, loaded, available, held, sold, waiting, head, lastTicket };
  return everywhere === undefined ? counters : { ...counters, everywhere };
}
