// The audit: holds all that is written about sales against each other and says what does not agree. Nothing is changed.
// A sale in full swing may be audited: records are compared at one outbox position, a difference counts only if a second
// look finds it again, and what cannot be judged yet is pending.
import { sleep } from '../../core/clock.ts';
import { AUDIT_RELAY_PATIENCE_MS, AUDIT_ROUND_PAUSE_MS, AUDIT_ROUNDS_MAX } from '../../core/constants.ts';
import { fault } from '../../core/errors.ts';
import { type AuditDependencies, type AuditStep, lookAtSale, type SaleLook, type SkuFigures } from './audit-sale.ts';
import { countOf, type Difference, persisting } from './differences.ts';
import { judgeTransfers } from './judge-transfers.ts';
import { type AuditedSale, findAuditedSales } from './store.ts';

export type { AuditDependencies, AuditStep } from './audit-sale.ts';

export interface AuditedSku extends SkuFigures {
  /** The sentences of the differences that concern this SKU. */
  readonly problems: readonly string[];
}

export interface AuditReport {
  /** SKUs that are stopped, whoever stopped them. */
  readonly blocked: readonly {
    readonly saleId: string;
    readonly sku: string;
    readonly reason: string;
    readonly note: string;
  }[];
  /** Nothing contradicts anything. */
  readonly ok: boolean;
  /** ISO 8601. */
  readonly checkedAt: string;
  readonly sales: readonly {
    readonly saleId: string;
    readonly name: string;
    readonly status: string;
    readonly skus: readonly AuditedSku[];
  }[];
  readonly differences: readonly Difference[];
  /** What could not be judged yet; 0 once a sale has come to rest. */
  readonly pending: number;
  /** Holds that were granted after one of a later ticket. */
  readonly outOfOrder: number;
  /** Units sold beyond what was loaded, by whichever record says most. */
  readonly oversold: number;
  /** Purchases that were acknowledged and that one side does not have. */
  readonly lost: number;
}

export interface AuditOptions {
  /** One sale instead of all. */
  readonly saleId?: string | undefined;
  readonly relayPatienceMs?: number;
  /** Before what differs is looked at again. */
  readonly roundPauseMs?: number;
  readonly onStep?: (step: AuditStep) => void;
}

/** Looks at a sale until what it finds is found twice, or is gone. */
async function auditSale(deps: AuditDependencies, sale: AuditedSale, options: AuditOptions): Promise<SaleLook> {
  const onStep = options.onStep ?? (() => undefined);
  const patienceMs = options.relayPatienceMs ?? AUDIT_RELAY_PATIENCE_MS;
  const pauseMs = options.roundPauseMs ?? AUDIT_ROUND_PAUSE_MS;
  let look = await lookAtSale(deps, sale, { patienceMs, onStep });
  let confirmed: Difference[] = [];
  for (let round = 2; round <= AUDIT_ROUNDS_MAX && look.differences.length > confirmed.length; round++) {
    await sleep(pauseMs);
    // Who has waited for the relay in vain need not wait that long again.
    const isStalled = countOf(look.differences, 'RELAY_STALLED') > 0;
    const again = await lookAtSale(deps, sale, { patienceMs: isStalled ? pauseMs : patienceMs, onStep });
    confirmed = persisting(look.differences, again.differences);
    look = again;
  }
  return { ...look, differences: confirmed, pending: look.pending + look.differences.length - confirmed.length };
}

/** Throws SALE_NOT_FOUND for a sale that is not, FENCED where Redis lacks what Postgres knows. */
export async function runAudit(deps: AuditDependencies, options: AuditOptions = {}): Promise<AuditReport> {
  const found = await findAuditedSales(deps.postgres, options.saleId);
  if (options.saleId !== undefined && found.length === 0)
    throw fault('SALE_NOT_FOUND', `there is no sale ${options.saleId}`);
  const sales: AuditReport['sales'][number][] = [];
  const differences: Difference[] = [];
  const blocked: AuditReport['blocked'][number][] = [];
  let pending = 0;
  let oversold = 0;
  for (const sale of found) {
    const look = await auditSale(deps, sale, options);
    const problemsOf = (sku: string): string[] =>
      look.differences.filter((difference) => difference.sku === sku).map((difference) => difference.message);
    const skus = look.skus.map((figures) => ({ ...figures, problems: problemsOf(figures.sku) }));
    sales.push({ saleId: sale.saleId, name: sale.name, status: sale.status, skus });
    differences.push(...look.differences);
    for (const { sku, reason, note } of await deps.stock.blocksOf(sale.saleId))
      blocked.push({ saleId: sale.saleId, sku, reason, note });
    pending += look.pending;
    for (const { loaded, sold, ledger, confirmed } of look.skus) {
      oversold += Math.max(0, sold - loaded, ledger.sold - ledger.loaded, confirmed - loaded);
    }
  }
  const saleIds = found.map((sale) => sale.saleId);
  differences.push(...(await judgeTransfers(deps.postgres, saleIds)));
  return {
    blocked,
    ok: differences.length === 0,
    checkedAt: new Date(deps.clock.now()).toISOString(),
    sales,
    differences,
    pending,
    outOfOrder: countOf(differences, 'OUT_OF_ORDER'),
    oversold,
    lost: countOf(differences, 'RECORD_UNREADABLE', 'TICKET_MISSING', 'ROW_MISSING', 'UNKNOWN_TO_REDIS'),
  };
}
