// The stock as the outbox tells it: every record is read once and judged against all that came before it. What is summed
// up here comes from the records alone, never from the counts that the scripts keep.
import type { Movement, OutboxRecord, Purchase, PurchaseRecord, PurchaseStatus } from '../../actors/records.ts';
import { canMovePurchase, isHolding, isLiving } from '../../shop/sales/purchase-states.ts';
import { mustHold } from './violation.ts';

export interface SkuTrail {
  readonly saleId: string;
  readonly sku: string;
  loaded: number;
  available: number;
  held: number;
  sold: number;
  lastTicket: number;
  /** `loaded - sold` and since when, the newest last. */
  readonly remaining: { at: number; units: number }[];
}

export interface Trail {
  readonly purchases: ReadonlyMap<string, PurchaseRecord>;
  readonly skus: ReadonlyMap<string, SkuTrail>;
  /** Every status that a purchase had, by version less one. */
  readonly statuses: ReadonlyMap<string, readonly PurchaseStatus[]>;
  /** The positions of all records that moved a unit, by partition, in their order. */
  readonly moves: ReadonlyMap<number, readonly number[]>;
  read(partition: number, records: readonly OutboxRecord[], now: number): void;
  /** Whether a buyer can have been at the limit for that many more, at some moment since then. */
  couldExceed(saleId: string, buyer: string, quantity: number, since: number): boolean;
  /** Everything told so far is void: Redis was lost. */
  forget(): void;
  /** What is there now is where the telling goes on from. */
  adopt(
    partition: number,
    seq: number,
    purchases: readonly Purchase[],
    loads: readonly (readonly [saleId: string, sku: string, loaded: number])[],
    now: number,
  ): void;
}

export interface TrailOptions {
  readonly limitOf: (saleId: string) => number;
  /** Whether the provider has the money. */
  readonly isPaid: (purchase: PurchaseRecord) => boolean;
}

const placeOf = (status: PurchaseStatus | undefined): 'held' | 'sold' | undefined =>
  status === undefined ? undefined : isHolding(status) ? 'held' : status === 'CONFIRMED' ? 'sold' : undefined;

/** What a change of status must have moved. */
function dueMovement(before: PurchaseStatus | undefined, after: PurchaseStatus, quantity: number): Movement {
  const due = { available: 0, held: 0, sold: 0, loaded: 0 };
  const [from, to] = [placeOf(before), placeOf(after)];
  if (from === to) return due;
  if (from === undefined) due.available -= quantity;
  else due[from] -= quantity;
  if (to === undefined) due.available += quantity;
  else due[to] += quantity;
  return due;
}

const show = (p: PurchaseRecord): string =>
  `${p.purchaseId} (ticket ${p.ticket}, ${p.quantity} × ${p.sku}, ${p.buyer})`;

export function createTrail({ limitOf, isPaid }: TrailOptions): Trail {
  const purchases = new Map<string, PurchaseRecord>();
  const skus = new Map<string, SkuTrail>();
  const seqs = new Map<number, number>();
  const statuses = new Map<string, PurchaseStatus[]>();
  const movements = new Set<string>();
  const moves = new Map<number, number[]>();
  /** When the last change of each purchase was seen. */
  const seenAt = new Map<string, number>();

  function skuOf(saleId: string, sku: string): SkuTrail {
    const key = `${saleId} ${sku}`;
    const known = skus.get(key);
    if (known !== undefined) return known;
    const fresh = { saleId, sku, loaded: 0, available: 0, held: 0, sold: 0, lastTicket: 0, remaining: [] };
    skus.set(key, fresh);
    return fresh;
  }

  const ofSku = (trail: SkuTrail): PurchaseRecord[] =>
    [...purchases.values()].filter((p) => p.saleId === trail.saleId && p.sku === trail.sku);
  const waitingIn = (trail: SkuTrail): PurchaseRecord[] => ofSku(trail).filter((p) => p.status === 'WAITING');

  function judgePurchase(record: PurchaseRecord, wasWaiting: readonly PurchaseRecord[]): void {
    const before = purchases.get(record.purchaseId);
    const trail = skuOf(record.saleId, record.sku);
    mustHold(
      record.version === (before?.version ?? 0) + 1,
      'records',
      () => `${show(record)} has version ${record.version} after ${before?.version ?? 0}`,
    );
    if (before === undefined) {
      const isFirst = record.status === 'WAITING' || record.status === 'RESERVED' || record.status === 'SOLD_OUT';
      mustHold(isFirst, 'records', () => `${show(record)} begins as ${record.status}`);
      if (record.orderRef === '') {
        mustHold(
          record.ticket === trail.lastTicket + 1,
          'order',
          () => `${show(record)} follows ticket ${trail.lastTicket}`,
        );
        trail.lastTicket = record.ticket;
      }
    } else {
      const isLegal = before.status === record.status || canMovePurchase(before.status, record.status);
      mustHold(isLegal, 'records', () => `${show(record)} went from ${before.status} to ${record.status}`);
      const isSame =
        before.ticket === record.ticket && before.buyer === record.buyer && before.quantity === record.quantity;
      mustHold(isSame, 'records', () => `${show(record)} was ${show(before)}`);
    }
    const due = dueMovement(before?.status, record.status, record.quantity);
    const isDue =
      due.available === record.movement.available &&
      due.held === record.movement.held &&
      due.sold === record.movement.sold;
    mustHold(
      isDue,
      'conservation',
      () => `${show(record)}: ${before?.status ?? 'new'} → ${record.status} moved ${JSON.stringify(record.movement)}`,
    );
    judgeConfirm(before, record, wasWaiting);
    purchases.set(record.purchaseId, record);
    statuses.set(record.purchaseId, [...(statuses.get(record.purchaseId) ?? []), record.status]);
  }

  function judgeConfirm(
    before: PurchaseRecord | undefined,
    record: PurchaseRecord,
    wasWaiting: readonly PurchaseRecord[],
  ): void {
    if (record.status !== 'CONFIRMED' || before?.status === 'CONFIRMED') return;
    mustHold(isPaid(record), 'money', () => `${show(record)} is confirmed and nobody has paid`);
    const isLate = before?.status === 'EXPIRED' || before?.status === 'CANCELLED';
    if (!isLate) return;
    const first = wasWaiting[0];
    mustHold(
      first === undefined,
      'order',
      () => `${show(record)} took stock late, before ${first === undefined ? '' : show(first)}`,
    );
    mustHold(!before.isRefundDue, 'once', () => `${show(record)} is confirmed though its refund was decided`);
  }

  /** What must hold of a SKU when the script that wrote these records is done. */
  function judgeSku(
    trail: SkuTrail,
    records: readonly PurchaseRecord[],
    wasWaiting: readonly PurchaseRecord[],
    now: number,
  ): void {
    const { loaded, available, held, sold } = trail;
    const text = (): string => `${trail.sku}: loaded ${loaded}, available ${available}, held ${held}, sold ${sold}`;
    mustHold(Math.min(loaded, available, held, sold) >= 0, 'conservation', text);
    mustHold(available + held + sold === loaded, 'conservation', text);
    const remaining = loaded - sold;
    if (trail.remaining.at(-1)?.units !== remaining) trail.remaining.push({ at: now, units: remaining });
    const waiting = waitingIn(trail).sort((a, b) => a.ticket - b.ticket);
    const [head] = waiting;
    for (const record of records) {
      const now = purchases.get(record.purchaseId) ?? record;
      if (now.status === 'SOLD_OUT')
        mustHold(
          now.quantity > remaining,
          'sold-out',
          () => `${show(now)} is told sold out while ${remaining} may come`,
        );
      const isNewHold = now.status === 'RESERVED' && now.movement.held > 0;
      if (!isNewHold || head === undefined) continue;
      if (now.orderRef === '') mustHold(now.ticket < head.ticket, 'order', () => `${show(now)} overtook ${show(head)}`);
      else
        mustHold(
          !wasWaiting.some((p) => p.purchaseId === head.purchaseId),
          'order',
          () => `order ${now.orderRef} took stock before ${show(head)}`,
        );
    }
    const hopeless = waiting.find((p) => p.quantity > remaining);
    mustHold(
      hopeless === undefined || waiting.length > 256,
      'sold-out',
      () => `${hopeless === undefined ? '' : show(hopeless)} waits for more than can come`,
    );
  }

  function judgeLimit(saleId: string): void {
    const limit = limitOf(saleId);
    const units = new Map<string, number>();
    for (const p of purchases.values()) {
      if (p.saleId !== saleId || p.orderRef !== '' || !isLiving(p.status)) continue;
      const sum = (units.get(p.buyer) ?? 0) + p.quantity;
      units.set(p.buyer, sum);
      mustHold(sum <= limit, 'limit', () => `${p.buyer} has ${sum} units of ${saleId}, ${limit} are allowed`);
    }
  }

  return {
    ...{ purchases, skus, statuses, moves },
    read(partition, records, now) {
      const touched = new Map<SkuTrail, { records: PurchaseRecord[]; wasWaiting: PurchaseRecord[] }>();
      for (const record of records) {
        const seq = (seqs.get(partition) ?? 0) + 1;
        mustHold(record.seq === seq, 'records', () => `seq ${record.seq} of partition ${partition} follows ${seq - 1}`);
        seqs.set(partition, seq);
        if (record.kind === 'sale') continue;
        if (Object.values(record.movement).some((units) => units !== 0)) {
          moves.set(partition, [...(moves.get(partition) ?? []), seq]);
        }
        const trail = skuOf(record.saleId, record.sku);
        const touch = touched.get(trail) ?? { records: [], wasWaiting: waitingIn(trail) };
        touched.set(trail, touch);
        for (const name of ['loaded', 'available', 'held', 'sold'] as const) trail[name] += record.movement[name];
        if (record.kind === 'stock') {
          mustHold(!movements.has(record.movementId), 'once', () => `the stock moved twice by ${record.movementId}`);
          movements.add(record.movementId);
        }
        if (record.kind !== 'purchase') continue;
        mustHold(
          !touch.records.some((other) => other.purchaseId === record.purchaseId),
          'records',
          () => `${show(record)} is told twice by one script`,
        );
        judgePurchase(record, touch.wasWaiting);
        seenAt.set(record.purchaseId, now);
        touch.records.push(record);
      }
      for (const [trail, touch] of touched) judgeSku(trail, touch.records, touch.wasWaiting, now);
      for (const saleId of new Set([...touched.keys()].map((trail) => trail.saleId))) judgeLimit(saleId);
    },
    couldExceed(saleId, buyer, quantity, since) {
      const own = [...purchases.values()].filter((p) => p.saleId === saleId && p.buyer === buyer && p.orderRef === '');
      const counted = own.filter((p) => isLiving(p.status) || (seenAt.get(p.purchaseId) ?? 0) >= since);
      return counted.reduce((total, p) => total + p.quantity, quantity) > limitOf(saleId);
    },
    forget() {
      for (const memory of [skus, purchases, statuses, seqs, movements, moves]) memory.clear();
    },
    adopt(partition, seq, found, loads, now) {
      seqs.set(partition, seq);
      const movement = { available: 0, held: 0, sold: 0, loaded: 0 };
      for (const p of found) {
        purchases.set(p.purchaseId, { ...p, kind: 'purchase', seq, movement });
        const known: PurchaseStatus[] = [];
        known[p.version - 1] = p.status;
        statuses.set(p.purchaseId, known);
      }
      for (const [saleId, sku, loaded] of loads) {
        const trail = skuOf(saleId, sku);
        const own = ofSku(trail);
        const units = (is: (status: PurchaseStatus) => boolean): number =>
          own.filter((p) => is(p.status)).reduce((total, p) => total + p.quantity, 0);
        const [held, sold] = [units(isHolding), units((status) => status === 'CONFIRMED')];
        Object.assign(trail, { loaded, held, sold, available: loaded - held - sold });
        trail.lastTicket = Math.max(0, ...own.map((p) => p.ticket));
        trail.remaining.push({ at: now, units: loaded - sold });
        mustHold(
          trail.available >= 0,
          'conservation',
          () => `${sku} was built again with ${held} held and ${sold} sold of ${loaded}`,
        );
      }
    },
  };
}
