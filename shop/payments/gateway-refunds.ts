// The provider's refunds, in the shop's words: made under a key of the purchase, looked for, and listed. It keeps nothing and
// decides nothing; see gateway.ts for the rest of the provider.
import type Stripe from 'stripe';
import { PROVIDER_LIST_PAGES_MAX } from '../../core/constants.ts';
import { toProviderAmount } from './provider-amount.ts';
import { judge, reasonOf, rethrow, unavailable, undefinedIfMissing } from './provider-errors.ts';

export interface ProviderRefund {
  refundId: string;
  intentId: string;
  /** In the provider's minor unit. */
  amount: number;
  status: string;
  /** Whom the shop made it for; '' for one that a person made in the dashboard. */
  purchaseId: string;
  failure: string;
}

export type RefundOutcome =
  | { kind: 'refund'; refund: ProviderRefund }
  | { kind: 'again' }
  | { kind: 'refused'; reason: string };

export interface RefundCalls {
  refund(order: {
    purchaseId: string;
    intentId: string;
    amount: number;
    currency: string;
    attempt: number;
  }): Promise<RefundOutcome>;
  /** All refunds of an intent that did not fail, however many. */
  refundsOf(intentId: string): Promise<ProviderRefund[]>;
  /** Undefined when the provider has no such refund. */
  retrieveRefund(refundId: string): Promise<ProviderRefund | undefined>;
  /** A page of a time's refunds, newest first; `next` is the `after` of the following one. */
  listRefunds(window: {
    since: Date;
    until: Date;
    after: string | undefined;
  }): Promise<{ refunds: ProviderRefund[]; next: string | undefined }>;
}

const PAGE = 100;

export function createRefundCalls(stripe: Stripe): RefundCalls {
  async function listPage(params: Stripe.RefundListParams, after: string | undefined) {
    const place = after === undefined ? {} : { starting_after: after };
    const list = await stripe.refunds.list({ ...params, limit: PAGE, ...place }).catch(rethrow);
    const refunds = list.data.map(toRefund);
    return { refunds, next: list.has_more ? list.data.at(-1)?.id : undefined };
  }

  return {
    async refund(order) {
      const first = `refund_${order.purchaseId}`;
      const idempotencyKey = order.attempt === 1 ? first : `${first}:${order.attempt}`;
      const params: Stripe.RefundCreateParams = {
        payment_intent: order.intentId,
        amount: toProviderAmount(order.amount, order.currency),
        metadata: { purchase_id: order.purchaseId },
      };
      try {
        return { kind: 'refund', refund: toRefund(await stripe.refunds.create(params, { idempotencyKey })) };
      } catch (error) {
        const verdict = judge(error);
        if (verdict === 'again') return { kind: 'again' };
        if (verdict === 'refused') return { kind: 'refused', reason: reasonOf(error) };
        throw unavailable(error);
      }
    },
    async refundsOf(intentId) {
      const all: ProviderRefund[] = [];
      let after: string | undefined;
      for (let page = 0; page < PROVIDER_LIST_PAGES_MAX; page += 1) {
        const { refunds, next } = await listPage({ payment_intent: intentId }, after);
        all.push(...refunds);
        if (next === undefined) return all.filter(isAlive);
        after = next;
      }
      throw unavailable(new Error(`${intentId} has more refunds than can be read`));
    },
    async retrieveRefund(refundId) {
      const refund = await stripe.refunds.retrieve(refundId).catch(undefinedIfMissing);
      return refund === undefined ? undefined : toRefund(refund);
    },
    listRefunds: ({ since, until, after }) =>
      listPage({ created: { gte: seconds(since), lte: seconds(until) } }, after),
  };
}

const seconds = (at: Date): number => Math.floor(at.getTime() / 1000);

/** The money is back with the buyer, or on its way. */
function isAlive({ status }: ProviderRefund): boolean {
  return status !== 'failed' && status !== 'canceled';
}

function toRefund(refund: Stripe.Refund): ProviderRefund {
  const { payment_intent: intent } = refund;
  return {
    refundId: refund.id,
    intentId: typeof intent === 'string' ? intent : (intent?.id ?? ''),
    amount: refund.amount,
    status: refund.status ?? 'pending',
    purchaseId: refund.metadata?.['purchase_id'] ?? '',
    failure: refund.failure_reason ?? '',
  };
}
