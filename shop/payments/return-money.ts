// Refunds of orders that were paid and then taken back by the buyer's or an operator's cancellation. The stock is Redis'
// matter (release with reason REFUND) and comes first: only purchases that it calls REFUNDED get their money here.
import type { PaymentDependencies } from './dependencies.ts';
import { refundOnce } from './refund.ts';
import { linesOf } from './lines.ts';
import { findPurchaseStatus, markRefunded } from './store.ts';
import type { Payment } from './store.ts';

/** Answers how many purchases of the payment have had their money returned, now or before. */
export async function returnMoney(deps: PaymentDependencies, payment: Payment, reason: string): Promise<number> {
  const lines = await linesOf(deps, payment);
  const views = await deps.stock.look(lines.map((line) => line.purchaseId));
  let returned = 0;
  for (const [index, { purchaseId, amount }] of lines.entries()) {
    const status = views[index]?.status ?? (await findPurchaseStatus(deps.postgres, purchaseId));
    if (status !== 'REFUNDED') continue;
    await refundOnce(deps, { payment, purchaseId, amount, reason });
    returned += 1;
  }
  if (returned > 0 && returned === lines.length) await markRefunded(deps.postgres, payment.key, reason);
  return returned;
}
