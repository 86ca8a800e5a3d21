// The purchases of a payment: one, or all the holds of a cart's order.
import type { Queryable } from '../../core/postgres/postgres.ts';
import { findHeldLines } from './store.ts';
import type { Payment } from './store.ts';

/** What the payment pays for, each with its share. */
export async function linesOf(
  deps: { postgres: Queryable },
  payment: Payment,
): Promise<{ purchaseId: string; amount: number }[]> {
  if (payment.key !== payment.orderId) return [{ purchaseId: payment.key, amount: payment.amount }];
  return findHeldLines(deps.postgres, [payment.key]);
}
