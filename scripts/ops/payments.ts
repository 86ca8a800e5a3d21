// `ops payments decisions|reconcile|retry-refund`: follows the money. Through the API, which has the provider's keys.
import type { Command } from 'commander';
import { decisionList, type DecisionReply, reconcileReply, retryReply } from '../../shop/payments/wire.ts';
import { type Api, openApi } from './api-client.ts';
import { wholeNumber } from './sale-terms.ts';
import { drawTable } from './table.ts';
import { type CommonOptions, type Outcome, perform, verb } from './verb.ts';

interface DecisionOptions extends CommonOptions {
  readonly purchase?: string;
  readonly sale?: string;
  readonly limit: number;
}

const PAGE = 500;
/** Runs of a reconciliation, each of which takes those that were not compared for the longest time. */
const RUNS_MAX = 1_000;

export function registerPayments(payments: Command): void {
  verb(payments, 'decisions', 'Shows what was decided about payments and why, newest first.', true)
    .option('--purchase <purchaseId>', "only of this purchase, or of this cart's order")
    .option('--sale <saleId>', 'only of this sale')
    .option('--limit <n>', 'how many at most', wholeNumber, 100)
    .action((options: DecisionOptions) => perform(options, () => showDecisions(options)));
  verb(payments, 'reconcile', 'Compares open payments and refunds with the provider now, until all were.', true).action(
    (options: CommonOptions) => perform(options, async () => reconcile(await openApi(options.url))),
  );
  verb(payments, 'retry-refund <purchaseId>', 'Tries a refund again that failed; never refunds twice.', true).action(
    (purchaseId: string, options: CommonOptions) =>
      perform(options, async () => {
        const api = await openApi(options.url);
        const path = `/admin/payments/${encodeURIComponent(purchaseId)}/retry-refund`;
        const answer = retryReply.parse((await api.post(path, undefined, `retry-${purchaseId}`)).body);
        const isFailed = answer.status === 'failed' || answer.status === 'canceled';
        return { json: answer, text: `${purchaseId}: the refund is ${answer.status}`, ok: !isFailed };
      }),
  );
}

async function showDecisions({ url, purchase, sale, limit }: DecisionOptions): Promise<Outcome> {
  const api = await openApi(url);
  const items: DecisionReply[] = [];
  let after: number | null = null;
  do {
    const query = new URLSearchParams({ limit: String(Math.min(PAGE, Math.max(1, limit - items.length))) });
    if (purchase !== undefined) query.set('purchaseId', purchase);
    if (sale !== undefined) query.set('saleId', sale);
    if (after !== null) query.set('after', String(after));
    const page = decisionList.parse((await api.get(`/admin/payments/decisions?${query.toString()}`)).body);
    items.push(...page.items);
    after = page.next;
  } while (after !== null && items.length < limit);
  const rows = items.map((one) => [
    one.at,
    one.decision,
    one.purchaseId,
    `${one.amount.toFixed(2)} ${one.currency}`,
    one.source,
    one.providerId ?? '',
    one.why,
  ]);
  const head = ['at', 'decision', 'purchase', 'amount', 'source', 'at the provider', 'why'];
  return { json: { items }, text: items.length === 0 ? 'nothing was decided' : drawTable(head, rows) };
}

async function reconcile(api: Api): Promise<Outcome> {
  const sum = { payments: 0, refunds: 0, differences: {} as Record<string, number>, failed: 0 };
  for (let run = 0; run < RUNS_MAX; run += 1) {
    // A comparison may be repeated; the key only says so to the client.
    const report = reconcileReply.parse((await api.post('/admin/payments/reconcile', undefined, 'reconcile')).body);
    sum.payments += report.payments;
    sum.refunds += report.refunds;
    sum.failed += report.failed;
    for (const [kind, count] of Object.entries(report.differences)) {
      sum.differences[kind] = (sum.differences[kind] ?? 0) + count;
    }
    // Those that fail now would fail again; the workers come back to them.
    if (report.payments + report.refunds === 0 || report.failed > 0) break;
  }
  const kinds = Object.entries(sum.differences).map(([kind, count]) => `${kind} ${count}`);
  const text = [
    `compared ${sum.payments} open payments and ${sum.refunds} refunds on their way`,
    kinds.length === 0 ? 'no difference' : `differences, dealt with: ${kinds.join(', ')}`,
    ...(sum.failed > 0 ? [`${sum.failed} could not be compared now`] : []),
  ].join('\n');
  return { json: sum, text, ok: sum.failed === 0 };
}
