// A payment that is on its way: the buyer's try failed and may be repeated, or the provider is at work. Moves the row, marks
// the holds and tells the buyer; decides nothing about stock or money.
import type { PaymentDependencies } from './dependencies.ts';
import { linesOf } from './lines.ts';
import { movePayment } from './store.ts';
import type { Payment } from './store.ts';

export async function noteProgress(
  deps: PaymentDependencies,
  payment: Payment,
  kind: 'failed' | 'processing',
  reason: string,
  eventAt?: Date,
): Promise<string> {
  const move = { key: payment.key, status: kind, reason };
  const hasMoved = await movePayment(deps.postgres, eventAt === undefined ? move : { ...move, eventAt });
  if (!hasMoved) return 'ignored: older than what is known';
  const status = kind === 'failed' ? 'PAYMENT_FAILED' : 'PAYMENT_PENDING';
  const lines = await linesOf(deps, payment);
  // Where the hold has ended the mark is refused, which is right: the row keeps the reason.
  const marks = await deps.stock.mark(lines.map(({ purchaseId }) => ({ purchaseId, status, reason })));
  const buyer = marks.find((mark) => mark.purchase !== undefined)?.purchase?.buyer;
  if (buyer !== undefined) {
    const news = { purchaseId: payment.key, buyer, clientSecret: payment.clientSecret ?? '', status: kind };
    await deps.feed.publishPayment(news);
  }
  return reason === '' ? kind : `${kind}: ${reason}`;
}
