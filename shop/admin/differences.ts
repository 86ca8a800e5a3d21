// What an audit reports: differences between records that must agree, each with a sentence for the merchant. A difference
// counts only if it is found twice in a row, since records are written one after the other and lag is no violation.
// It reads nothing itself.

export type DifferenceCode =
  | 'CONSERVATION'
  | 'NEGATIVE_COUNT'
  | 'OVERSOLD'
  | 'HELD_MISMATCH'
  | 'SOLD_MISMATCH'
  | 'WAITING_MISMATCH'
  | 'HOLD_UNTRACKED'
  | 'LINE_UNTRACKED'
  | 'HEAD_MISMATCH'
  | 'RECORD_UNREADABLE'
  | 'TICKET_MISSING'
  | 'TICKET_TWICE'
  | 'HOLD_OVERDUE'
  | 'SALE_UNKNOWN_TO_REDIS'
  | 'SALE_STATUS'
  | 'RELAY_STALLED'
  | 'LEDGER_MISMATCH'
  | 'ORDERS_MISMATCH'
  | 'LEDGER_OF_PURCHASE'
  | 'ROW_MISSING'
  | 'ROW_BEHIND'
  | 'ROW_DIFFERS'
  | 'UNKNOWN_TO_REDIS'
  | 'OUT_OF_ORDER'
  | 'LIMIT_EXCEEDED'
  | 'TRANSFER_MISMATCH'
  | 'ORDER_MISSING'
  | 'ORDER_STATUS'
  | 'ORDER_WITHOUT_PURCHASE'
  | 'PAYMENT_MISSING'
  | 'PAID_TWICE'
  | 'PAYMENT_AMOUNT'
  | 'MONEY_NOT_RETURNED'
  | 'REFUND_FAILED'
  | 'REFUNDED_TWICE'
  | 'REFUND_WITHOUT_PAYMENT'
  | 'REFUNDED_AND_DELIVERED';

export interface Difference {
  readonly code: DifferenceCode;
  readonly saleId: string;
  readonly sku?: string;
  readonly purchaseId?: string;
  readonly message: string;
  /** How many findings this one stands for, where a check found more than it lists; 1 when absent. */
  readonly count?: number;
}

/** What repairs Redis where the books of Postgres are sound. */
export const rebuildOf = (saleId: string): string => `run "npm run ops -- rebuild ${saleId}"`;

/** Every row that a check's SQL returns: whom it concerns, and how many such rows there are beyond the listed ones. */
export interface FindingRow {
  readonly purchaseId: string | null;
  readonly sku: string | null;
  readonly total: number;
}

/** Turns a check's rows into differences; `say` writes the sentence. */
export function toDifferences<R extends FindingRow>(
  code: DifferenceCode,
  saleId: string,
  rows: readonly R[],
  say: (row: R) => string,
): Difference[] {
  return rows.map((row, index) => ({
    code,
    saleId,
    ...(row.sku === null ? {} : { sku: row.sku }),
    ...(row.purchaseId === null ? {} : { purchaseId: row.purchaseId }),
    message: say(row),
    // The first row stands for those that are not listed.
    ...(index === 0 && row.total > rows.length ? { count: row.total - rows.length + 1 } : {}),
  }));
}

const keyOf = (d: Difference): string => `${d.code} ${d.saleId} ${d.sku ?? ''} ${d.purchaseId ?? ''}`;

/** Those of `now` that were there before as well; the others may be nothing but lag. */
export function persisting(before: readonly Difference[], now: readonly Difference[]): Difference[] {
  const known = new Set(before.map(keyOf));
  return now.filter((difference) => known.has(keyOf(difference)));
}

/** How many things the codes were found for, the unlisted ones included. */
export function countOf(differences: readonly Difference[], ...codes: readonly DifferenceCode[]): number {
  return differences.reduce((sum, { code, count }) => sum + (codes.includes(code) ? (count ?? 1) : 0), 0);
}
