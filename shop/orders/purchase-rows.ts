// What a batch of records makes of each purchase: the newest state, and the movement by which it got its hold, if the batch
// tells of it. Owns how such rows travel to Postgres: what most rows share (sale, SKU, status …) once, as a pattern that
// rows name by number. It runs no SQL.
import type { Movement, PurchaseRecord } from '../../actors/records.ts';
import { APPLY_PATTERNS_MAX } from '../../core/constants.ts';
import { int4Array, int8Array, textArray } from '../../core/postgres/arrays.ts';
import { type OrderStatus, orderStatusOf } from './order-states.ts';

export const isMoving = (m: Movement): boolean => m.available !== 0 || m.held !== 0 || m.sold !== 0 || m.loaded !== 0;

/** The movement that a purchase's row holds itself: free units for all that was asked for. A purchase has it once. */
export function isFirstHold({ status, quantity, movement: m }: PurchaseRecord): boolean {
  return status === 'RESERVED' && m.held === quantity && m.available === -quantity && m.sold === 0 && m.loaded === 0;
}

/** The other movement that the row holds: the whole hold back, since nobody paid in time. A purchase has it once, too. */
export function isWholeEnd({ status, quantity, movement: m }: PurchaseRecord): boolean {
  return status === 'EXPIRED' && m.held === -quantity && m.available === quantity && m.sold === 0 && m.loaded === 0;
}

export interface PurchaseRow {
  readonly newest: PurchaseRecord;
  readonly hold: PurchaseRecord | undefined;
  readonly end: PurchaseRecord | undefined;
  /** The batch tells of its first version, too. */
  readonly isBegun: boolean;
}

/**
 * One row a purchase: an upsert may not meet a row twice, and only the newest of a batch matters. `areOnce`: no version is there
 * twice; then purchases that the batch only begins are first, in the outbox's order, which is that of an index.
 */
export function toRows(records: readonly PurchaseRecord[], { areOnce = false } = {}): PurchaseRow[] {
  const changed = new Map<string, PurchaseRow>();
  const isFirst = (record: PurchaseRecord): boolean => areOnce && record.version === 1;
  for (const record of records) if (!isFirst(record)) addTo(changed, record);
  const begun: PurchaseRow[] = [];
  for (const record of records) {
    if (!isFirst(record)) continue;
    if (changed.has(record.purchaseId)) addTo(changed, record);
    else begun.push({ newest: record, hold: isFirstHold(record) ? record : undefined, end: undefined, isBegun: true });
  }
  return changed.size === 0 ? begun : [...begun, ...changed.values()];
}

function addTo(rows: Map<string, PurchaseRow>, record: PurchaseRecord): void {
  const known = rows.get(record.purchaseId);
  const hold = isFirstHold(record) ? record : known?.hold;
  const end = isWholeEnd(record) ? record : known?.end;
  const newest = known === undefined || record.version > known.newest.version ? record : known.newest;
  const isBegun = record.version === 1 || known?.isBegun === true;
  rows.set(record.purchaseId, { newest, hold, end, isBegun });
}

/** By id, as a statement takes rows that others may want to lock as well. */
export const inLockOrder = (rows: readonly PurchaseRow[]): PurchaseRow[] =>
  rows.toSorted((a, b) => (a.newest.purchaseId < b.newest.purchaseId ? -1 : 1));

/** Rows for one statement, and of what they have in common a pattern each: a row's entry in `places` counts from 1. */
interface Part {
  readonly rows: PurchaseRow[];
  readonly patterns: PurchaseRow[];
  readonly places: number[];
}

/** The rows in their order, in parts that have few enough patterns each. */
export function inParts(rows: readonly PurchaseRow[]): Part[] {
  let part: Part = { rows: [], patterns: [], places: [] };
  const parts = [part];
  let place = -1;
  for (const row of rows) {
    // Most rows are like the one before.
    const last = part.patterns[place];
    if (last === undefined || !isAlike(last, row)) {
      place = part.patterns.findIndex((pattern) => isAlike(pattern, row));
      if (place === -1 && part.patterns.length === APPLY_PATTERNS_MAX) {
        part = { rows: [], patterns: [], places: [] };
        parts.push(part);
      }
      if (place === -1) place = part.patterns.push(row) - 1;
    }
    part.rows.push(row);
    part.places.push(place + 1);
  }
  return rows.length === 0 ? [] : parts;
}

/** What one script call did to many is the same but for who they are. */
function isAlike(rowA: PurchaseRow, rowB: PurchaseRow): boolean {
  const { newest: a, hold: holdA, end: endA } = rowA;
  const { newest: b, hold: holdB, end: endB } = rowB;
  return (
    a.updatedAt === b.updatedAt &&
    a.createdAt === b.createdAt &&
    a.expiresAt === b.expiresAt &&
    a.saleId === b.saleId &&
    a.sku === b.sku &&
    a.status === b.status &&
    a.version === b.version &&
    a.quantity === b.quantity &&
    a.fingerprint === b.fingerprint &&
    a.unitPrice === b.unitPrice &&
    a.currency === b.currency &&
    a.orderRef === b.orderRef &&
    a.isRefundDue === b.isRefundDue &&
    a.hadHold === b.hadHold &&
    holdA?.version === holdB?.version &&
    holdA?.updatedAt === holdB?.updatedAt &&
    endA?.version === endB?.version &&
    endA?.updatedAt === endB?.updatedAt &&
    (a.reason === b.reason || orderStatusIn(a) === orderStatusIn(b))
  );
}

/** Null where the purchase has no order of its own. */
export const orderStatusIn = (p: PurchaseRecord): OrderStatus | null =>
  p.hadHold && p.orderRef === '' ? orderStatusOf(p) : null;

/** The parameters that UPSERT_PURCHASES (apply-store.ts) names by number. */
export function toParameters(part: Part): unknown[] {
  const { rows, patterns } = part;
  const records = patterns.map((row) => row.newest);
  return [
    ...toChangeParameters(part),
    textArray(rows, (row) => row.newest.buyer),
    int8Array(rows, (row) => row.newest.ticket),
    int8Array(rows, (row) => row.hold?.seq ?? 0),
    records.map((p) => p.saleId),
    records.map((p) => p.sku),
    records.map((p) => p.quantity),
    records.map((p) => p.unitPrice),
    records.map((p) => p.currency),
    records.map((p) => p.orderRef),
    records.map((p) => p.fingerprint),
    records.map((p) => p.createdAt),
    patterns.map((row) => row.hold?.version ?? null),
    patterns.map((row) => row.hold?.updatedAt ?? null),
  ];
}

/** What may change of a purchase that is there: the parameters of UPDATE_PURCHASES (change-store.ts), and the first of the above. */
export function toChangeParameters({ rows, patterns, places }: Part): unknown[] {
  const records = patterns.map((row) => row.newest);
  return [
    textArray(rows, (row) => row.newest.purchaseId),
    textArray(rows, (row) => row.newest.reason),
    int8Array(rows, (row) => row.end?.seq ?? 0),
    int4Array(places, (place) => place),
    records.map((p) => p.version),
    records.map((p) => p.status),
    records.map((p) => p.expiresAt),
    records.map((p) => p.isRefundDue),
    records.map((p) => p.hadHold),
    records.map((p) => p.updatedAt),
    records.map(orderStatusIn),
    patterns.map((row) => row.end?.version ?? null),
    patterns.map((row) => row.end?.updatedAt ?? null),
  ];
}
