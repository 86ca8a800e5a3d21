// What the payments of a sale must satisfy: sold is paid, once and in full; paid and not sold is returned, once. Runs the
// checks and writes the sentences. It asks no provider: it compares what was written down.
import type { Queryable } from '../../core/postgres/postgres.ts';
import { toDecimal } from '../../core/money.ts';
import { type Difference, toDifferences } from './differences.ts';
import { findMoney, findPaidTwice, type MoneyRow } from './payment-store.ts';

const money = (minor: number | null, currency: string | null): string =>
  minor === null || currency === null ? 'nothing' : `${toDecimal(minor, currency)} ${currency}`;
const due = (row: MoneyRow): string => money(row.totalAmount, row.currency);

export async function judgeMoney(db: Queryable, saleId: string): Promise<Difference[]> {
  const [unpaid, wrongAmount, kept, refundFailed, refundOfNothing, refundedAndSold, refundedTooMuch, paidTwice] = [
    await findMoney(db, saleId, 'unpaid'),
    await findMoney(db, saleId, 'wrongAmount'),
    await findMoney(db, saleId, 'kept'),
    await findMoney(db, saleId, 'refundFailed'),
    await findMoney(db, saleId, 'refundOfNothing'),
    await findMoney(db, saleId, 'refundedAndSold'),
    await findMoney(db, saleId, 'refundedTooMuch'),
    await findPaidTwice(db, saleId),
  ];
  return [
    ...toDifferences(
      'PAYMENT_MISSING',
      saleId,
      unpaid,
      (row) =>
        `${row.purchaseId}: is sold (order ${row.orderId}, ${due(row)}), but ${row.payStatus === null ? 'there is no payment for it' : `its payment is ${row.payStatus}`}. Look it up at the payment provider before it ships.`,
    ),
    ...toDifferences(
      'PAYMENT_AMOUNT',
      saleId,
      wrongAmount,
      (row) =>
        `${row.purchaseId}: order ${row.orderId} costs ${due(row)}, ${money(row.payAmount, row.payCurrency)} were paid. Refund or collect the difference.`,
    ),
    ...toDifferences(
      'MONEY_NOT_RETURNED',
      saleId,
      kept,
      (row) =>
        `${row.purchaseId}: ${money(row.payAmount, row.payCurrency)} were paid, but the purchase is ${row.status} and no refund was begun. Refund it; "ops dead list" may hold the job that should have.`,
    ),
    ...toDifferences(
      'REFUND_FAILED',
      saleId,
      refundFailed,
      (row) =>
        `${row.purchaseId}: its refund of ${money(row.refundAmount, row.payCurrency)} is ${row.refundStatus} at the provider. The buyer still waits for the money; refund by another way.`,
    ),
    ...toDifferences(
      'REFUND_WITHOUT_PAYMENT',
      saleId,
      refundOfNothing,
      (row) =>
        `${row.purchaseId}: ${money(row.refundAmount, row.currency)} were refunded, but its payment is ${row.payStatus ?? 'unknown'}. Look it up at the payment provider.`,
    ),
    ...toDifferences(
      'REFUNDED_AND_DELIVERED',
      saleId,
      refundedAndSold,
      (row) =>
        `${row.purchaseId}: is sold (order ${row.orderId}) and its money was returned as well (${row.refundStatus ?? row.payStatus}). Stop the delivery, or collect the payment again.`,
    ),
    ...toDifferences(
      'REFUNDED_TWICE',
      saleId,
      refundedTooMuch,
      (row) =>
        `${row.purchaseId}: ${money(row.refundAmount, row.payCurrency)} were refunded of ${money(row.payAmount, row.payCurrency)} paid. Look it up at the payment provider.`,
    ),
    ...toDifferences(
      'PAID_TWICE',
      saleId,
      paidTwice,
      (row) =>
        `${row.purchaseId ?? row.orderId}: order ${row.orderId} was paid ${row.payments} times, ${money(row.paid, row.currency)} in all. Refund all but one.`,
    ),
  ];
}
