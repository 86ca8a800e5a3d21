// One sale, looked at once by the continuous audit: each of its SKUs at one position of the outbox, and then the ledger and
// the paid orders at the same positions. What it finds may be a moment between two stores: online-audit.ts looks twice.
import type { OutboxRecord, SkuCounters } from '../../actors/records.ts';
import { AUDIT_FINDINGS_MAX } from '../../core/constants.ts';
import { fault } from '../../core/errors.ts';
import { partitionOf } from '../../core/ids.ts';
import { type Difference, rebuildOf } from './differences.ts';
import { judgeSku, type SkuEvidence, type SkuReading } from './judge-online.ts';
import type { OnlineDependencies } from './online-dependencies.ts';
import { type OnlineSku, readOnlineSku } from './online-sku.ts';
import { untilApplied } from './relay-position.ts';
import { findBoughtSkus, findDeadRecords, sumPaidOrdersAt } from './slice-store.ts';
import { type LedgerSums, sumLedgerAt, withPatience } from './store.ts';

export interface OnlineLook {
  readonly skus: readonly SkuEvidence[];
  readonly differences: readonly Difference[];
}

const NO_LEDGER: LedgerSums = { loaded: 0, available: 0, held: 0, sold: 0 };
const NO_SUMS: SkuReading['sums'] = { held: 0, sold: 0, waiting: 0, holders: 0, waiters: 0, head: undefined, gaps: 0 };
const NO_SIZES: SkuReading['sizes'] = { holds: 0, line: 0, tickets: 0, orders: 0 };

const isUntouched = (c: SkuCounters): boolean => c.lastTicket === 0 && c.held === 0 && c.sold === 0 && c.waiting === 0;

/** What a snapshot says of a SKU that nobody has bought: there is nothing to read. */
const ofUntouched = (counters: SkuCounters, seq: number): OnlineSku => ({
  reading: { counters, seq, sizes: NO_SIZES, sums: NO_SUMS, missing: 0 },
  differences: [],
});

/** Movements that Postgres refused and that an operator knows of: not in the ledger, and not lost either. */
function sumDead(
  dead: readonly OutboxRecord[],
  saleId: string,
  { sku, seq }: { sku: string; seq: number },
): LedgerSums {
  const sums = { ...NO_LEDGER };
  for (const record of dead) {
    if (record.kind === 'sale' || record.saleId !== saleId || record.sku !== sku || record.seq > seq) continue;
    for (const name of ['loaded', 'available', 'held', 'sold'] as const) sums[name] += record.movement[name];
  }
  return sums;
}

async function withPostgres(
  deps: OnlineDependencies,
  saleId: string,
  readings: readonly SkuReading[],
  dead: readonly OutboxRecord[],
): Promise<SkuEvidence[]> {
  const positions = readings.map(({ counters, seq }) => ({ sku: counters.sku, seq }));
  const ledger = await deps.pace.rest(() => withPatience(deps.postgres, (tx) => sumLedgerAt(tx, saleId, positions)));
  const paid = await deps.pace.rest(() => withPatience(deps.postgres, (tx) => sumPaidOrdersAt(tx, saleId, positions)));
  return readings.map((reading) => {
    const { sku } = reading.counters;
    const known = sumDead(dead, saleId, { sku, seq: reading.seq });
    const sums = { ...NO_LEDGER, ...ledger.get(sku) };
    for (const name of ['loaded', 'available', 'held', 'sold'] as const) sums[name] += known[name];
    return { ...reading, ledger: sums, paidOrders: (paid.get(sku) ?? 0) + known.sold };
  });
}

/** All SKUs of the sale, or those named. Throws UNAVAILABLE, FENCED and the like where nothing can be said at present. */
export async function lookOnline(
  deps: OnlineDependencies,
  saleId: string,
  only?: ReadonlySet<string>,
): Promise<OnlineLook> {
  const partition = partitionOf(saleId) ?? 0;
  const [snapshot] = await deps.stock.snapshot([saleId]);
  if (snapshot === undefined) {
    const message = `Postgres has this sale as installed, Redis does not know it: it sells nothing. To bring it back ${rebuildOf(saleId)}.`;
    return { skus: [], differences: [{ code: 'SALE_UNKNOWN_TO_REDIS', saleId, message }] };
  }
  const items = snapshot.items.filter(({ sku }) => only?.has(sku) ?? true);
  const bought = await findBoughtSkus(
    deps.postgres,
    saleId,
    items.map(({ sku }) => sku),
  );
  const dead = await findDeadRecords(deps.postgres, partition);
  const excused = new Set(dead.flatMap((record) => (record.kind === 'purchase' ? [record.purchaseId] : [])));
  const found: OnlineSku[] = [];
  for (const counters of items) {
    const { sku } = counters;
    if (deps.signal.aborted) throw fault('UNAVAILABLE', 'the audit was interrupted');
    const isAtRest = isUntouched(counters) && !bought.has(sku);
    const read = isAtRest
      ? ofUntouched(counters, snapshot.seq)
      : await readOnlineSku(deps, { partition, saleId, sku, excused });
    if (read !== undefined) found.push(read);
  }
  await untilApplied(deps, partition, snapshot.seq);
  const readings = found.map(({ reading }) => reading);
  const skus = await withPostgres(deps, saleId, readings, dead);
  const differences = [...found.flatMap((sku) => sku.differences), ...skus.flatMap((sku) => judgeSku(saleId, sku))];
  return { skus, differences: differences.slice(0, items.length * AUDIT_FINDINGS_MAX) };
}
