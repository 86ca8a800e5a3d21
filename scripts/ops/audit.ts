// `ops audit`: holds every record of every sale against the others (shop/admin/audit.ts) and prints what it found. Reads
// Redis and Postgres itself, past the API, so that it also works when the API does not.
import type { Command } from 'commander';
import { type AuditReport, type AuditStep, type Difference, runAudit } from '../../shop/admin/admin.ts';
import { startProgress } from './progress.ts';
import { withSystem } from './running-system.ts';
import { drawTable } from './table.ts';
import { type CommonOptions, type Outcome, perform, verb } from './verb.ts';

interface AuditVerbOptions extends CommonOptions {
  readonly sale?: string;
}

const SKUS_SHOWN = 40;
const LABEL: Readonly<Record<AuditStep['step'], string>> = {
  counting: 'counting the purchases in Redis',
  waiting: 'waiting for the workers to write what was counted',
  comparing: 'comparing with Postgres',
};

export function registerAudit(program: Command, description: string): void {
  verb(program, 'audit', description)
    .option('--sale <saleId>', 'only this one')
    .addHelpText(
      'after',
      '\nExit code 0: everything agrees (what is still on its way is "pending"). 1: something does not; each difference is explained.',
    )
    .action((options: AuditVerbOptions) => perform(options, () => audit(options.sale)));
}

async function audit(saleId: string | undefined): Promise<Outcome> {
  const progress = startProgress();
  const onStep = ({ saleId: id, step, done, of }: AuditStep): void =>
    progress.update(done, of, `${LABEL[step]} (${id})`);
  const report = await withSystem((system) => runAudit(system, { saleId, onStep })).finally(() => progress.stop());
  return { json: report, text: drawReport(report), ok: report.ok };
}

function drawReport(report: AuditReport): string {
  const rows = report.sales.flatMap((sale) =>
    sale.skus.map((sku) => [
      sale.name,
      sku.sku,
      sku.loaded,
      sku.sold,
      sku.held,
      sku.available,
      sku.waiting,
      sku.problems.length,
    ]),
  );
  const shown = rows.toSorted((a, b) => Number(b.at(-1)) - Number(a.at(-1))).slice(0, SKUS_SHOWN);
  const table = drawTable(['sale', 'SKU', 'loaded', 'sold', 'held', 'available', 'waiting', 'problems'], shown);
  const hidden = rows.length > shown.length ? `\n… and ${rows.length - shown.length} more SKUs` : '';
  const counts = `out of order ${report.outOfOrder}   oversold ${report.oversold}   lost ${report.lost}   pending ${report.pending}`;
  const stopped = report.blocked.map(
    ({ saleId, sku, reason, note }) => `${sku} is not sold (${reason}) ${saleId}: ${note}`,
  );
  const parts = [rows.length === 0 ? 'no sales' : `${table}${hidden}`, '', counts, '', ...stopped, verdict(report)];
  return parts.join('\n');
}

function verdict({ ok, differences, pending }: AuditReport): string {
  if (ok && pending === 0) return 'Everything agrees.';
  if (ok)
    return `Nothing contradicts anything; ${pending} things were on their way and could not be judged. Audit again when it is quiet.`;
  return [`${differences.length} differences:`, ...differences.map(say)].join('\n');
}

function say({ code, saleId, message, count = 1 }: Difference): string {
  const others = count > 1 ? ` (and ${count - 1} more of the kind)` : '';
  return `\n  ${code}  ${saleId}\n  ${message}${others}`;
}
