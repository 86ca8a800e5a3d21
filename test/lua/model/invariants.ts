// What must hold of the real stock after any history, checked from independent records: the counts against the purchases,
// and both against the outbox.
import { expect } from 'vitest';
import type { OutboxRecord, Purchase, SkuCounters } from '../../../actors/records.ts';

const HELD = new Set(['RESERVED', 'PAYMENT_PENDING', 'PAYMENT_FAILED']);
const sum = (purchases: readonly Purchase[], is: (p: Purchase) => boolean): number =>
  purchases.filter(is).reduce((total, p) => total + p.quantity, 0);

/** Conservation, and the counts re-summed; tickets without gaps; the head is who waits first. */
export function checkCounts(counters: SkuCounters, purchases: readonly Purchase[]): void {
  const { loaded, available, held, sold, waiting, head, lastTicket, sku } = counters;
  expect(available + held + sold, `conservation of ${sku}`).toBe(loaded);
  expect(Math.min(available, held, sold, waiting), `no negative count of ${sku}`).toBeGreaterThanOrEqual(0);
  expect({
    held: sum(purchases, (p) => HELD.has(p.status)),
    sold: sum(purchases, (p) => p.status === 'CONFIRMED'),
    waiting: sum(purchases, (p) => p.status === 'WAITING'),
  }).toEqual({ held, sold, waiting });
  const tickets = purchases.filter((p) => p.orderRef === '').map((p) => p.ticket);
  expect(tickets, `tickets of ${sku}`).toEqual(Array.from({ length: lastTicket }, (_, i) => i + 1));
  const first = purchases.find((p) => p.status === 'WAITING');
  expect(head, `head of ${sku}`).toBe(first?.ticket ?? lastTicket + 1);
}

/** The head waits only for units that are not there: nothing lies idle in an open sale that does not throttle. */
export function checkNobodyWaitsForNothing(counters: SkuCounters, purchases: readonly Purchase[]): void {
  const first = purchases.find((p) => p.status === 'WAITING');
  if (counters.saleStatus !== 'OPEN' || !first) return;
  expect(first.quantity, `the head of ${counters.sku} is owed`).toBeGreaterThan(counters.available);
}

export function checkLimit(limit: number, purchases: readonly Purchase[]): void {
  if (limit === 0) return;
  const units = new Map<string, number>();
  for (const p of purchases) {
    const isLive = HELD.has(p.status) || p.status === 'WAITING' || p.status === 'CONFIRMED';
    if (p.orderRef === '' && isLive) units.set(p.buyer, (units.get(p.buyer) ?? 0) + p.quantity);
  }
  for (const [buyer, count] of units) expect(count, `units of ${buyer}`).toBeLessThanOrEqual(limit);
}

interface Trail {
  loaded: number;
  available: number;
  held: number;
  sold: number;
  lastAdmitted: number;
}

/** Seq and versions without gaps, admissions by ticket, SOLD_OUT only for certain. Returns the counts it adds up to. */
export function readTrail(entries: readonly { records: readonly OutboxRecord[] }[]): Map<string, Trail> {
  const trails = new Map<string, Trail>();
  const seen = new Map<string, Purchase>();
  let seq = 0;
  for (const { records } of entries) {
    const told = new Set<string>();
    for (const record of records) {
      expect(record.seq, 'seq is gapless').toBe(++seq);
      if (record.kind === 'sale') continue;
      const trail = trailOf(trails, `${record.saleId} ${record.sku}`);
      for (const name of ['loaded', 'available', 'held', 'sold'] as const) trail[name] += record.movement[name];
      if (record.kind !== 'purchase') continue;
      expect(told.has(record.purchaseId), 'one record a purchase and call').toBe(false);
      told.add(record.purchaseId);
      const before = seen.get(record.purchaseId);
      expect(record.version, `version of ${record.purchaseId}`).toBe((before?.version ?? 0) + 1);
      seen.set(record.purchaseId, record);
      if (record.hadHold && !before?.hadHold && record.orderRef === '') {
        expect(record.ticket, 'nobody overtakes').toBeGreaterThan(trail.lastAdmitted);
        trail.lastAdmitted = record.ticket;
      }
    }
    checkSoldOut(records, trails, seen);
  }
  return trails;
}

function trailOf(trails: Map<string, Trail>, key: string): Trail {
  const trail = trails.get(key) ?? { loaded: 0, available: 0, held: 0, sold: 0, lastAdmitted: 0 };
  trails.set(key, trail);
  return trail;
}

/** At the end of the script that said it: a purchase that is SOLD_OUT asks for more than can ever come back. */
function checkSoldOut(
  records: readonly OutboxRecord[],
  trails: Map<string, Trail>,
  seen: ReadonlyMap<string, Purchase>,
): void {
  for (const record of records) {
    if (record.kind !== 'purchase' || seen.get(record.purchaseId)?.status !== 'SOLD_OUT') continue;
    const trail = trailOf(trails, `${record.saleId} ${record.sku}`);
    expect(record.quantity, 'SOLD_OUT is certain').toBeGreaterThan(trail.loaded - trail.sold);
  }
}
