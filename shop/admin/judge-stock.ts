// What the stock of a SKU must satisfy by itself, whatever Postgres says: its counts add up, and they are the sums of its
// purchases. Pure: it judges a census and writes the sentences.
import type { Purchase, SkuCounters } from '../../actors/records.ts';
import { AUDIT_FINDINGS_MAX, AUDIT_HOLD_OVERDUE_MS } from '../../core/constants.ts';
import { isHolding } from '../sales/sales.ts';
import type { SkuCensus } from './census.ts';
import { type Difference, type DifferenceCode, rebuildOf } from './differences.ts';

const sumOf = (purchases: readonly Purchase[]): number => purchases.reduce((sum, p) => sum + p.quantity, 0);
const units = (count: number): string => `${count} ${Math.abs(count) === 1 ? 'unit' : 'units'}`;

/** Of the counts alone, whatever they count. */
export function judgeCounters(c: SkuCounters): [DifferenceCode, string][] {
  const found: [DifferenceCode, string][] = [];
  if (c.available + c.held + c.sold !== c.loaded) {
    found.push([
      'CONSERVATION',
      `${c.sku}: ${c.available} available + ${c.held} held + ${c.sold} sold make ${c.available + c.held + c.sold}, but ${units(c.loaded)} were loaded. ` +
        `Somebody changed the counts outside the scripts: ${rebuildOf(c.saleId)}.`,
    ]);
  }
  const negative = (['loaded', 'available', 'held', 'sold', 'waiting'] as const).filter((name) => c[name] < 0);
  if (negative.length > 0) {
    const list = negative.map((name) => `${name} ${c[name]}`).join(', ');
    found.push([
      'NEGATIVE_COUNT',
      `${c.sku}: a count is below zero (${list}). It cannot be trusted any more: ${rebuildOf(c.saleId)}.`,
    ]);
  }
  if (c.sold > c.loaded) {
    found.push([
      'OVERSOLD',
      `${c.sku}: ${units(c.sold)} are sold, only ${c.loaded} were loaded. Pause the sale, then restock ${c.sold - c.loaded} or refund the latest orders.`,
    ]);
  }
  return found;
}

function judgeSums({ counters: c, purchases }: SkuCensus): [DifferenceCode, string][] {
  const found: [DifferenceCode, string][] = [];
  const waiting = purchases.filter((p) => p.status === 'WAITING');
  const rows = [
    ['HELD_MISMATCH', 'held', c.held, sumOf(purchases.filter((p) => isHolding(p.status)))],
    ['SOLD_MISMATCH', 'sold', c.sold, sumOf(purchases.filter((p) => p.status === 'CONFIRMED'))],
    ['WAITING_MISMATCH', 'waiting', c.waiting, sumOf(waiting)],
  ] as const;
  for (const [code, name, counted, summed] of rows) {
    if (counted === summed) continue;
    const text = `${c.sku}: the counter says ${units(counted)} ${name}, the purchases themselves add up to ${summed}: ${rebuildOf(c.saleId)}.`;
    found.push([code, text]);
  }
  const head = waiting.reduce((lowest, p) => Math.min(lowest, p.ticket), c.lastTicket + 1);
  // A head that has not been moved on yet, over those who left, is an early one; a late one passes somebody over.
  if (c.head > head) {
    const text = `${c.sku}: the line begins at ticket ${c.head}, the first purchase that waits has ticket ${head}. Whoever is in between is never served: ${rebuildOf(c.saleId)}.`;
    found.push(['HEAD_MISMATCH', text]);
  }
  return found;
}

function judgeTickets(saleId: string, { sku, purchases, missing, ticketsAtStart }: SkuCensus): Difference[] {
  const unlisted = Math.max(0, missing.length - AUDIT_FINDINGS_MAX);
  const found: Difference[] = missing.slice(0, AUDIT_FINDINGS_MAX).map((purchaseId, index) => ({
    code: 'RECORD_UNREADABLE',
    ...(index === 0 && unlisted > 0 ? { count: unlisted + 1 } : {}),
    saleId,
    sku,
    purchaseId,
    message: `${purchaseId}: has a place in the line of ${sku}, but its record in Redis is gone or cannot be read. Its buyer gets no answer: ${rebuildOf(saleId)}.`,
  }));
  const byTicket = new Map<number, string>();
  for (const { ticket, purchaseId } of purchases) {
    if (ticket === 0) continue;
    const other = byTicket.get(ticket);
    if (other !== undefined) {
      const message = `${purchaseId} and ${other} both have ticket ${ticket} of ${sku}. One of them overtakes the other; tell the engineers.`;
      found.push({ code: 'TICKET_TWICE', saleId, sku, purchaseId, message });
    }
    byTicket.set(ticket, purchaseId);
  }
  // An unreadable record accounts for one ticket; which one cannot be told.
  const lost =
    ticketsAtStart - [...byTicket.keys()].filter((ticket) => ticket <= ticketsAtStart).length - missing.length;
  if (lost > 0) {
    const message = `${sku}: ${ticketsAtStart} tickets were given out, ${lost} of them belong to no purchase in Redis: ${rebuildOf(saleId)}.`;
    found.push({ code: 'TICKET_MISSING', saleId, sku, message, count: lost });
  }
  return found;
}

function judgeHolds(saleId: string, { sku, purchases }: SkuCensus, nowMs: number): Difference[] {
  const overdue = purchases.filter(
    (p) => isHolding(p.status) && p.expiresAt > 0 && nowMs - p.expiresAt > AUDIT_HOLD_OVERDUE_MS,
  );
  return overdue.slice(0, AUDIT_FINDINGS_MAX).map((p) => ({
    code: 'HOLD_OVERDUE',
    saleId,
    sku,
    purchaseId: p.purchaseId,
    message: `${p.purchaseId}: its hold of ${units(p.quantity)} of ${sku} should have ended ${Math.round((nowMs - p.expiresAt) / 1000)} s ago. The sweep does not run: look at the API and worker processes.`,
  }));
}

export function judgeStock(saleId: string, census: SkuCensus, nowMs: number): Difference[] {
  const { sku } = census;
  const plain = [...judgeCounters(census.counters), ...(census.isStill ? judgeSums(census) : [])];
  return [
    ...plain.map(([code, message]): Difference => ({ code, saleId, sku, message })),
    ...judgeTickets(saleId, census),
    ...judgeHolds(saleId, census, nowMs),
  ];
}
