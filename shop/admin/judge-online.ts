// What the continuous audit demands of a SKU at one position of the outbox: its counts add up, and they are what the
// purchases, their places in the line and among the holds, the ledger and the paid orders add up to, each by itself. Pure: it compares and
// writes the sentences. Every one of these differences stops the SKU's sale.
import type { AuditSlice, SlicePurchase } from '../../actors/block-verbs.ts';
import type { SkuCounters } from '../../actors/records.ts';
import { AUDIT_FINDINGS_MAX } from '../../core/constants.ts';
import { isHolding } from '../sales/sales.ts';
import { type Difference, type DifferenceCode, rebuildOf } from './differences.ts';
import { judgeCounters } from './judge-stock.ts';
import type { PurchaseSums } from './sku-book.ts';
import type { SliceFault, SliceRow } from './slice-store.ts';
import type { LedgerSums } from './store.ts';

/** A SKU as its own records in Redis have it, at one position. */
export interface SkuReading {
  readonly counters: SkuCounters;
  readonly seq: number;
  readonly sizes: AuditSlice['sizes'];
  readonly sums: PurchaseSums;
  /** Tickets of records that cannot be read. */
  readonly missing: number;
}

export interface SkuEvidence extends SkuReading {
  readonly ledger: LedgerSums;
  /** Units sold by paid orders. */
  readonly paidOrders: number;
}

type Finding = [DifferenceCode, string];
const REBUILD = (saleId: string): string => `Its sale is stopped; look into it, then ${rebuildOf(saleId)}.`;

/** Of one page, whose purchases and places were read in one moment. */
export function judgePlaces(saleId: string, sku: string, page: readonly SlicePurchase[]): Difference[] {
  return page.flatMap(({ purchaseId, status, ticket, expiresAt, sweptAt, linePlace }): Difference[] => {
    if (isHolding(status) && (sweptAt === 0 || sweptAt > expiresAt)) {
      const late = sweptAt === 0 ? 'not among' : `${sweptAt - expiresAt} ms too late among`;
      const message = `${purchaseId}: is ${status} and ${late} the holds of ${sku}: it would not expire in time. ${REBUILD(saleId)}`;
      return [{ code: 'HOLD_UNTRACKED', saleId, sku, purchaseId, message }];
    }
    if (status === 'WAITING' && linePlace !== ticket) {
      const place = linePlace === 0 ? 'not in the line' : `in the line as ${linePlace}`;
      const message = `${purchaseId}: waits with ticket ${ticket} of ${sku} and is ${place}: it would not be served in its turn. ${REBUILD(saleId)}`;
      return [{ code: 'LINE_UNTRACKED', saleId, sku, purchaseId, message }];
    }
    return [];
  });
}

function judgeSums({ counters: c, sums, sizes, missing }: SkuReading, fix: string): Finding[] {
  const found: Finding[] = [];
  const pairs = [
    ['HELD_MISMATCH', 'held', c.held, sums.held],
    ['SOLD_MISMATCH', 'sold', c.sold, sums.sold],
    ['WAITING_MISMATCH', 'waiting', c.waiting, sums.waiting],
  ] as const;
  for (const [code, name, counted, summed] of pairs) {
    if (counted === summed) continue;
    found.push([code, `${c.sku}: the counter says ${counted} ${name}, its purchases add up to ${summed}. ${fix}`]);
  }
  if (sizes.holds !== sums.holders)
    found.push(['HOLD_UNTRACKED', `${c.sku}: ${sums.holders} purchases are held, ${sizes.holds} are counted. ${fix}`]);
  if (sizes.line !== sums.waiters)
    found.push(['LINE_UNTRACKED', `${c.sku}: ${sums.waiters} purchases wait, ${sizes.line} are counted. ${fix}`]);
  // A head that has not been moved on yet, over those who left, is an early one; a late one passes somebody over.
  const head = sums.head ?? c.lastTicket + 1;
  if (c.head > head)
    found.push([
      'HEAD_MISMATCH',
      `${c.sku}: the line begins at ticket ${c.head}, the first that waits is ${head}. ${fix}`,
    ]);
  const lost = Math.max(sums.gaps - missing, c.lastTicket - sizes.tickets, 0);
  if (lost > 0)
    found.push([
      'TICKET_MISSING',
      `${c.sku}: ${c.lastTicket} tickets were given out, ${lost} belong to no purchase. ${fix}`,
    ]);
  return found;
}

export function judgeSku(saleId: string, evidence: SkuEvidence): Difference[] {
  const { counters: c, ledger, paidOrders, seq } = evidence;
  const fix = REBUILD(saleId);
  const found = [...judgeCounters(c), ...judgeSums(evidence, fix)];
  const names = (['loaded', 'available', 'held', 'sold'] as const).filter((name) => c[name] !== ledger[name]);
  if (names.length > 0) {
    const list = names.map((name) => `${name} ${c[name]}, ledger ${ledger[name]}`).join('; ');
    found.push([
      'LEDGER_MISMATCH',
      `${c.sku}: at outbox position ${seq} the counts are not the ledger's: ${list}. ${fix}`,
    ]);
  }
  if (paidOrders !== c.sold) {
    const text = `${c.sku}: at outbox position ${seq} ${c.sold} units are sold, the paid orders add up to ${paidOrders}. Its sale is stopped; look for orders that were changed or deleted by hand.`;
    found.push(['ORDERS_MISMATCH', text]);
  }
  return found.map(([code, message]) => ({ code, saleId, sku: c.sku, message }));
}

const CODE_OF: Readonly<Record<SliceFault, DifferenceCode>> = {
  missing: 'ROW_MISSING',
  behind: 'ROW_BEHIND',
  differs: 'ROW_DIFFERS',
  order_missing: 'ORDER_MISSING',
  order_status: 'ORDER_STATUS',
  ledger: 'LEDGER_OF_PURCHASE',
};

function sayRow(sku: string, row: SliceRow): string {
  const { purchaseId, status, version } = row;
  const redis = `${purchaseId}: Redis has it as ${status} (version ${version})`;
  const postgres = `Postgres as ${row.rowStatus} (version ${row.rowVersion})`;
  if (row.fault === 'missing')
    return `${redis}, Postgres has no row of it. Its row was deleted, or its record was lost.`;
  if (row.fault === 'behind') return `${redis}, ${postgres}, and nothing in the outbox will change that.`;
  if (row.fault === 'differs') return `${redis}, ${postgres}: they differ at one version. One was changed by hand.`;
  if (row.fault === 'order_missing') return `${purchaseId}: got its hold of ${sku}, but there is no order for it.`;
  if (row.fault === 'order_status')
    return `${purchaseId}: the purchase is ${row.rowStatus}, its order is ${row.orderStatus}. Do not ship before it is known whether it was paid.`;
  return `${purchaseId}: is ${status} with ${row.quantity} of ${sku}, the ledger's movements leave it ${row.held} held and ${row.sold} sold. A movement is missing or counted twice.`;
}

export function toRowDifferences(saleId: string, sku: string, rows: readonly SliceRow[]): Difference[] {
  return rows.slice(0, AUDIT_FINDINGS_MAX).map((row) => ({
    code: CODE_OF[row.fault],
    saleId,
    sku,
    purchaseId: row.purchaseId,
    message: sayRow(sku, row),
  }));
}

export function judgeTwice(
  saleId: string,
  sku: string,
  twice: readonly { purchaseId: string; ticket: number }[],
): Difference[] {
  return twice.slice(0, AUDIT_FINDINGS_MAX).map(({ purchaseId, ticket }) => {
    const message = `${purchaseId}: has ticket ${ticket} of ${sku}, and so has another. One of them overtakes the other. ${REBUILD(saleId)}`;
    return { code: 'TICKET_TWICE', saleId, sku, purchaseId, message };
  });
}

export function judgeMissing(saleId: string, sku: string, missing: readonly string[]): Difference[] {
  return missing.slice(0, AUDIT_FINDINGS_MAX).map((purchaseId) => {
    const message = `${purchaseId}: has a place in the line of ${sku}, but its record in Redis is gone or cannot be read. ${REBUILD(saleId)}`;
    return { code: 'RECORD_UNREADABLE', saleId, sku, purchaseId, message };
  });
}

export function judgeForeign(
  saleId: string,
  sku: string,
  rows: readonly { purchaseId: string; status: string; ticket: number }[],
): Difference[] {
  return rows.map(({ purchaseId, status, ticket }) => {
    const message = `${purchaseId}: Postgres has it as ${status} with ticket ${ticket} of ${sku}, Redis does not know it. ${REBUILD(saleId)}`;
    return { code: 'UNKNOWN_TO_REDIS', saleId, sku, purchaseId, message };
  });
}
