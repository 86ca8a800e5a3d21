// Reconciliation: compares what is open here with the provider, and follows refunds to their end. What a webhook should have
// told is settled on the webhook's own path; what cannot be right is noted and told, and never confirms anything.
import {
  RECONCILE_AGE_MS,
  RECONCILE_CONCURRENCY,
  RECONCILE_LEASE_MS,
  RECONCILE_MAX,
  RECONCILE_OVERLAP_MS,
  RECONCILE_PAGES_MAX,
} from '../../core/constants.ts';
import { messageOf } from '../../core/errors.ts';
import { counter, gauge } from '../../core/metrics.ts';
import { createComparison } from './compare.ts';
import type { ConfirmPurchase } from './confirm.ts';
import { insertNotes } from './decision-store.ts';
import type { PaymentDependencies } from './dependencies.ts';
import { forEachAtOnce } from './lanes.ts';
import {
  advanceCursor,
  findUnknownRefunds,
  keepCursor,
  leaseCursor,
  readOldestUnreconciled,
  takeOpenPayments,
} from './reconcile-store.ts';
import { takeRefundNews } from './refund-news.ts';
import { takeOpenRefunds } from './refund-store.ts';
import type { RefundRow } from './refund-store.ts';

export interface ReconcileOptions {
  /** What is younger, or was compared within it, is left alone. */
  minAgeMs?: number;
  /** Payments, and refunds, of one run. */
  limit?: number;
}

export interface ReconcileReport {
  payments: number;
  refunds: number;
  /** How many of each kind differed. */
  differences: Record<string, number>;
  /** Could not be compared; their turn comes again. */
  failed: number;
}

const differences = counter(
  'doorbuster_reconciliation_differences_total',
  "Payments and refunds that differed from the provider's.",
  ['kind'],
);
const oldest = gauge(
  'doorbuster_reconciliation_oldest_seconds',
  'Since when the longest untouched open payment was not compared with the provider.',
);
/** As many failures without a success are the provider's, or Redis': the run ends, the next one tries again. */
const FAILURES_MAX = 5;
const REFUNDS = 'refunds';

/** Runs one comparison and counts what came of it. */
type Take = (id: string, work: () => Promise<string | undefined>) => Promise<void>;

export function createReconcile(
  deps: PaymentDependencies,
  confirm: ConfirmPurchase,
): (options?: ReconcileOptions) => Promise<ReconcileReport> {
  const { postgres, gateway, log } = deps;
  const compare = createComparison(deps, confirm);

  async function compareRefund(refund: RefundRow): Promise<string | undefined> {
    const there = await gateway.retrieveRefund(refund.providerRefundId ?? '');
    if (there?.status === refund.status) return undefined;
    if (there !== undefined) {
      const outcome = await takeRefundNews(deps, there, 'reconciliation');
      return outcome.startsWith('ignored') ? undefined : 'missed_refund';
    }
    const why = 'The provider does not know this refund, which it had given. Look it up in its dashboard.';
    const { purchaseId, providerRefundId } = refund;
    const note = { decision: 'OPERATOR_NEEDED', why, source: 'reconciliation', purchaseId } as const;
    await insertNotes(postgres, purchaseId, [{ ...note, providerId: providerRefundId ?? '' }]);
    return 'refund_missing';
  }

  /** Refunds that a person made in the dashboard and of which no webhook told. */
  async function readForeign(minAgeMs: number, take: Take): Promise<undefined> {
    const cursor = await leaseCursor(postgres, REFUNDS, { quietMs: minAgeMs, leaseMs: RECONCILE_LEASE_MS });
    if (cursor === undefined) return undefined; // another process is at it
    let { afterId } = cursor;
    let isAtEnd = false;
    try {
      for (let page = 0; page < RECONCILE_PAGES_MAX && !isAtEnd; page += 1) {
        const window = { since: cursor.since, until: cursor.until, after: afterId ?? undefined };
        const { refunds, next } = await gateway.listRefunds(window);
        const ids = refunds.map((refund) => refund.refundId);
        const unknown = await findUnknownRefunds(postgres, ids);
        for (const refund of refunds.filter(({ refundId }) => unknown.has(refundId))) {
          await take(refund.refundId, async () => {
            const outcome = await takeRefundNews(deps, refund, 'reconciliation');
            return outcome.startsWith('ignored') ? undefined : 'foreign_refund';
          });
        }
        afterId = next ?? afterId;
        isAtEnd = next === undefined;
      }
    } finally {
      if (isAtEnd) await advanceCursor(postgres, REFUNDS, RECONCILE_OVERLAP_MS);
      else await keepCursor(postgres, REFUNDS, afterId);
    }
    return undefined;
  }

  return async ({ minAgeMs = RECONCILE_AGE_MS, limit = RECONCILE_MAX } = {}) => {
    oldest.set(await readOldestUnreconciled(postgres));
    const report: ReconcileReport = { payments: 0, refunds: 0, differences: {}, failed: 0 };
    let failuresInARow = 0;
    const take: Take = async (id, work) => {
      if (failuresInARow >= FAILURES_MAX) return void (report.failed += 1);
      try {
        const kind = await work();
        failuresInARow = 0;
        if (kind === undefined) return;
        report.differences[kind] = (report.differences[kind] ?? 0) + 1;
        differences.inc({ kind });
        log.warn({ id, kind }, 'the provider knew something else');
      } catch (error) {
        failuresInARow += 1;
        report.failed += 1;
        log.warn({ id, reason: messageOf(error) }, 'a payment could not be compared with the provider');
      }
    };
    const payments = await takeOpenPayments(postgres, minAgeMs, limit);
    report.payments = payments.length;
    await forEachAtOnce(payments, RECONCILE_CONCURRENCY, (payment) => take(payment.key, () => compare(payment)));
    const refunds = await takeOpenRefunds(postgres, minAgeMs, limit);
    report.refunds = refunds.length;
    await forEachAtOnce(refunds, RECONCILE_CONCURRENCY, (row) => take(row.purchaseId, () => compareRefund(row)));
    await take(REFUNDS, () => readForeign(minAgeMs, take));
    return report;
  };
}
