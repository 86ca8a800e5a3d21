// What a buyer understands of the system's answers: the shapes of the public contract, read as a client reads them.
// Nothing of the server's code is used here, so that the demo would notice if the contract changed.
import type { RawData } from 'ws';

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

export interface Purchase {
  readonly purchaseId: string;
  readonly status: PurchaseStatus;
  readonly version: number;
  readonly ticket: number;
  readonly estimatedWaitSeconds?: number | null;
  readonly expiresAt?: string;
  readonly payment?: { readonly clientSecret: string | null; readonly status: string };
}

export type Pressed =
  | { readonly kind: 'purchase'; readonly purchase: Purchase }
  /** A decision: nothing is kept of this try. */
  | { readonly kind: 'refused'; readonly code: string; readonly retryAfterSeconds: number }
  /** No decision, or none that arrived: the same key asks again. */
  | { readonly kind: 'undecided'; readonly retryAfterSeconds: number };

/** Connection lost, or a proxy in between: as good a moment as any. */
const RETRY_AFTER_SECONDS = 1;

/** Codes that mean "later": each comes with the time to come back. */
export const LATER_CODES: readonly string[] = [
  'RATE_LIMITED',
  'OVERLOADED',
  'OUTCOME_UNKNOWN',
  'FENCED',
  'BACKLOG_FULL',
  'LOW_MEMORY',
  'UNAVAILABLE',
  'SHUTTING_DOWN',
];
/** Codes of a refusal that say nothing about the purchase itself. */
const UNDECIDED = new Set([...LATER_CODES, 'REQUEST_TIMEOUT', 'INTERNAL']);

const HOLDING = new Set<PurchaseStatus>(['RESERVED', 'PAYMENT_PENDING', 'PAYMENT_FAILED']);

export function isHolding(purchase: Purchase): boolean {
  return HOLDING.has(purchase.status);
}

/** A later answer about the same purchase, or an equally new one that knows of the payment. */
export function newer(known: Purchase, heard: Purchase | undefined): Purchase {
  if (heard === undefined || heard.version < known.version) return known;
  return heard.payment === undefined && known.payment !== undefined ? { ...heard, payment: known.payment } : heard;
}

/** A text frame: we never ask in binary. */
export function readFrame(data: RawData): Record<string, unknown> {
  // ws hands over one Buffer unless told otherwise; a frame is an object by contract.
  return JSON.parse((data as Buffer).toString()) as Record<string, unknown>;
}

export function readPurchase(body: unknown): Purchase | undefined {
  const isPurchase = typeof body === 'object' && body !== null && 'purchaseId' in body && 'version' in body;
  // The members are those of the contract, which is what is on trial here; a wrong one shows as a wrong count.
  return isPurchase ? (body as Purchase) : undefined;
}

/** A problem document or a socket's error message. */
export function readRefusal(body: unknown, status: number): Exclude<Pressed, { kind: 'purchase' }> {
  const members: { code?: unknown; retryAfterSeconds?: unknown } =
    typeof body === 'object' && body !== null ? body : {};
  const { code, retryAfterSeconds } = members;
  const seconds = typeof retryAfterSeconds === 'number' ? retryAfterSeconds : RETRY_AFTER_SECONDS;
  if (typeof code !== 'string' || status >= 500 || UNDECIDED.has(code)) {
    return { kind: 'undecided', retryAfterSeconds: seconds };
  }
  return { kind: 'refused', code, retryAfterSeconds: seconds };
}

export const LOST: Pressed = { kind: 'undecided', retryAfterSeconds: RETRY_AFTER_SECONDS };
