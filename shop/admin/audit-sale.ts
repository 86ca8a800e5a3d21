// One look at one sale: counts it in Redis, waits until the relay has written that much, and holds both against each other
// and against orders and payments. What it finds may still be lag of the other records: audit.ts looks twice.
import type { StockStore } from '../../actors/stock-store.ts';
import type { Clock } from '../../core/clock.ts';
import { RETENTION_AFTER_CLOSE_MS } from '../../core/constants.ts';
import { partitionOf } from '../../core/ids.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import type { Redis } from '../../core/redis/redis.ts';
import { readCensus, type SkuCensus } from './census.ts';
import { type Difference, rebuildOf } from './differences.ts';
import { judgeLedger, judgeRows, judgeRowSums, judgeRowTickets, judgeStatus } from './judge-census.ts';
import { judgeMoney } from './judge-money.ts';
import { judgeLimit, judgeOrders, judgeOrphans } from './judge-rows.ts';
import { judgeStock } from './judge-stock.ts';
import { countUnsettled } from './payment-store.ts';
import { waitUntilApplied } from './relay-position.ts';
import { type AuditedSale, type LedgerSums, type RowSums, sumLedgerAt, sumRows, withPatience } from './store.ts';

export interface AuditDependencies {
  readonly postgres: Postgres;
  readonly redis: Redis;
  /** Attached. */
  readonly stock: StockStore;
  readonly clock: Clock;
}

export interface AuditStep {
  readonly saleId: string;
  readonly step: 'counting' | 'waiting' | 'comparing';
  readonly done: number;
  readonly of: number;
}

export interface SkuFigures {
  readonly sku: string;
  readonly loaded: number;
  readonly available: number;
  readonly held: number;
  readonly sold: number;
  readonly waiting: number;
  /** The ledger's sums at the outbox position at which the counts were read. */
  readonly ledger: LedgerSums;
  /** Units of paid purchases in Postgres. */
  readonly confirmed: number;
}

export interface SaleLook {
  readonly skus: readonly SkuFigures[];
  readonly differences: readonly Difference[];
  /** What could not be judged yet: SKUs in motion, payments that are being settled, records on their way. */
  readonly pending: number;
}

const NO_SUMS: LedgerSums = { loaded: 0, available: 0, held: 0, sold: 0 };

export async function lookAtSale(
  deps: AuditDependencies,
  sale: AuditedSale,
  options: { patienceMs: number; onStep: (step: AuditStep) => void },
): Promise<SaleLook> {
  const { saleId } = sale;
  const isForgotten =
    sale.status === 'CLOSED' && deps.clock.now() - sale.updatedAt.getTime() > RETENTION_AFTER_CLOSE_MS;
  const [snapshot] = isForgotten ? [] : await deps.stock.snapshot([saleId]);
  if (snapshot === undefined) return lookAtRows(deps, sale, isForgotten);

  const step = (step: AuditStep['step'], done: number, of: number): void => options.onStep({ saleId, step, done, of });
  let counted = 0;
  const rowsBefore = await sumRows(deps.postgres, saleId);
  const hasRows = (sku: string): boolean => rowsBefore.has(sku);
  const census = await readCensus(deps.stock, snapshot, hasRows, () =>
    step('counting', ++counted, snapshot.items.length),
  );
  const ownDifferences = census.flatMap((sku) => judgeStock(saleId, sku, deps.clock.now()));

  const partition = partitionOf(saleId) ?? 0;
  const seq = Math.max(snapshot.seq, ...census.map((sku) => sku.seq));
  let backlogAtFirst = 0;
  const wait = await waitUntilApplied(deps, { partition, seq }, options.patienceMs, (backlog) => {
    backlogAtFirst ||= backlog;
    step('waiting', backlogAtFirst - backlog, backlogAtFirst);
  });
  const moving = census.filter((sku) => !sku.isStill).length;
  const sums = await sumRows(deps.postgres, saleId);
  const found = toFigures(census, await sumLedgerAt(deps.postgres, saleId, census), sums);
  if (wait.kind === 'stalled') {
    const message = `${wait.backlog} records of this sale's partition wait in the outbox and none was written for ${Math.round(options.patienceMs / 1000)} s. Start the workers, or look at their log; the sale was not compared with Postgres.`;
    const stalled: Difference = { code: 'RELAY_STALLED', saleId, message };
    return { skus: found, differences: [...ownDifferences, stalled], pending: wait.backlog };
  }

  step('comparing', 0, 1);
  const hasPurchases = sums.size > 0 || census.some((sku) => sku.purchases.length > 0);
  const differences = [
    ...ownDifferences,
    ...census.flatMap((sku, i) => judgeLedger(saleId, sku, found[i]?.ledger ?? NO_SUMS)),
    ...census.flatMap(({ sku, counters }) => judgeRowSums(saleId, sku, counters.loaded, sums.get(sku))),
    ...(await judgeStatus(deps.postgres, snapshot)),
    ...(hasPurchases ? await judgeRows(deps.postgres, saleId, census) : []),
    ...(await judgePostgres(deps, sale, hasPurchases)),
  ];
  step('comparing', 1, 1);
  const unsettled = hasPurchases ? await countUnsettled(deps.postgres, saleId) : 0;
  return { skus: found, differences, pending: moving + unsettled };
}

async function judgePostgres(deps: AuditDependencies, sale: AuditedSale, hasPurchases: boolean): Promise<Difference[]> {
  return withPatience(deps.postgres, async (tx) => {
    const orphans = await judgeOrphans(tx, sale.saleId);
    if (!hasPurchases) return orphans;
    const orders = await judgeOrders(tx, sale.saleId);
    const money = await judgeMoney(tx, sale.saleId);
    return [...orphans, ...orders, ...money, ...(await judgeLimit(tx, deps.stock, sale))];
  });
}

function toFigures(
  census: readonly SkuCensus[],
  ledger: ReadonlyMap<string, LedgerSums>,
  sums: ReadonlyMap<string, RowSums>,
): SkuFigures[] {
  return census.map(({ sku, counters: { loaded, available, held, sold, waiting } }) => {
    const confirmed = sums.get(sku)?.confirmed ?? 0;
    return { sku, loaded, available, held, sold, waiting, ledger: ledger.get(sku) ?? NO_SUMS, confirmed };
  });
}

/** A sale that Redis does not have: rightly, a day after its close or before it was installed, or else it has lost it. */
async function lookAtRows(deps: AuditDependencies, sale: AuditedSale, isForgotten: boolean): Promise<SaleLook> {
  const { saleId, skus } = sale;
  if (!sale.isInstalled) return { skus: [], differences: [], pending: 1 };
  const ledger = await sumLedgerAt(
    deps.postgres,
    saleId,
    skus.map((sku) => ({ sku, seq: null })),
  );
  const rows = await sumRows(deps.postgres, saleId);
  const found = skus.map((sku): SkuFigures => {
    const sums = ledger.get(sku) ?? NO_SUMS;
    const { waiting = 0, confirmed = 0 } = rows.get(sku) ?? {};
    return { sku, ...sums, waiting, ledger: sums, confirmed };
  });
  const differences = [
    ...found.flatMap(({ sku, loaded }) => judgeRowSums(saleId, sku, loaded, rows.get(sku))),
    ...skus.flatMap((sku) => judgeRowTickets(saleId, sku, rows.get(sku))),
    ...(await judgePostgres(deps, sale, rows.size > 0)),
  ];
  if (!isForgotten && sale.status !== 'CLOSED') {
    const message = `The sale is ${sale.status} in Postgres, Redis does not know it: it sells nothing. To bring it back ${rebuildOf(saleId)}.`;
    differences.push({ code: 'SALE_UNKNOWN_TO_REDIS', saleId, message });
  }
  return { skus: found, differences, pending: 0 };
}
