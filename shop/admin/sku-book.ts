// The purchases of one SKU at one position of the outbox, though they were read page by page while it was selling: what
// the pages say, brought up to date by the records of the outbox between the first page and the last. A purchase's version
// decides which is newer, so pages and records may come in any order. Bytes, not objects: a sale may have a million of them.
import type { AuditSlice, SlicePurchase } from '../../actors/block-verbs.ts';
import type { PurchaseRecord, PurchaseStatus } from '../../actors/records.ts';
import { isHolding } from '../sales/sales.ts';

export interface PurchaseSums {
  /** Units. */
  readonly held: number;
  readonly sold: number;
  readonly waiting: number;
  /** Purchases. */
  readonly holders: number;
  readonly waiters: number;
  /** Lowest ticket that waits; undefined when nobody does. */
  readonly head: number | undefined;
  /** Tickets from 1 to the last that belong to no purchase that can be read. */
  readonly gaps: number;
}

export interface SkuBook {
  addPage(slice: AuditSlice): void;
  /** A change that was told by the outbox. */
  addRecord(record: PurchaseRecord): void;
  sum(lastTicket: number): PurchaseSums;
  /** Pairs of purchases that have one ticket: the later one, and the ticket. */
  readonly twice: readonly { readonly purchaseId: string; readonly ticket: number }[];
}

const CLASSES = { other: 1, held: 2, sold: 3, waiting: 4 } as const;
const FROM_PAGE = 8;

function classOf(status: PurchaseStatus): number {
  if (isHolding(status)) return CLASSES.held;
  if (status === 'CONFIRMED') return CLASSES.sold;
  return status === 'WAITING' ? CLASSES.waiting : CLASSES.other;
}

type Known = Pick<SlicePurchase, 'purchaseId' | 'version' | 'status' | 'quantity' | 'ticket'>;

export function createSkuBook(expectedTickets: number): SkuBook {
  // By ticket: a class (with a bit that says whether a page had it), a version, a quantity. 0 is "nobody yet".
  let classes = new Uint8Array(expectedTickets + 257);
  let versions = new Uint32Array(classes.length);
  let quantities = new Uint32Array(classes.length);
  const orderHolds = new Map<string, Known>();
  const twice: { purchaseId: string; ticket: number }[] = [];

  function grow(ticket: number): void {
    const size = Math.max(ticket + 1, classes.length * 2);
    const [oldClasses, oldVersions, oldQuantities] = [classes, versions, quantities];
    classes = new Uint8Array(size);
    versions = new Uint32Array(size);
    quantities = new Uint32Array(size);
    classes.set(oldClasses);
    versions.set(oldVersions);
    quantities.set(oldQuantities);
  }

  function put(purchase: Known, isPage: boolean): void {
    const { ticket, version, purchaseId } = purchase;
    if (ticket === 0) {
      if ((orderHolds.get(purchaseId)?.version ?? 0) <= version) orderHolds.set(purchaseId, purchase);
      return;
    }
    if (ticket >= classes.length) grow(ticket);
    const before = classes[ticket] ?? 0;
    if (isPage && (before & FROM_PAGE) !== 0) twice.push({ purchaseId, ticket });
    const mark = isPage ? FROM_PAGE : before & FROM_PAGE;
    const isNewer = version >= (versions[ticket] ?? 0);
    classes[ticket] = mark | (isNewer ? classOf(purchase.status) : before & ~FROM_PAGE);
    if (!isNewer) return;
    versions[ticket] = version;
    quantities[ticket] = purchase.quantity;
  }

  return {
    twice,
    addPage(slice) {
      for (const purchase of slice.purchases) put(purchase, true);
    },
    addRecord: (record) => put(record, false),
    sum(lastTicket) {
      const units = [0, 0, 0, 0, 0];
      const counts = [0, 0, 0, 0, 0];
      let gaps = 0;
      let head: number | undefined;
      const count = (kind: number, quantity: number): void => {
        units[kind] = (units[kind] ?? 0) + quantity;
        counts[kind] = (counts[kind] ?? 0) + 1;
      };
      for (let ticket = 1; ticket < classes.length; ticket++) {
        const kind = (classes[ticket] ?? 0) & ~FROM_PAGE;
        if (kind === 0 && ticket <= lastTicket) gaps += 1;
        if (kind === 0) continue;
        count(kind, quantities[ticket] ?? 0);
        if (kind === CLASSES.waiting) head ??= ticket;
      }
      for (const { status, quantity } of orderHolds.values()) count(classOf(status), quantity);
      gaps += Math.max(0, lastTicket - classes.length + 1);
      return {
        held: units[CLASSES.held] ?? 0,
        sold: units[CLASSES.sold] ?? 0,
        waiting: units[CLASSES.waiting] ?? 0,
        holders: counts[CLASSES.held] ?? 0,
        waiters: counts[CLASSES.waiting] ?? 0,
        head,
        gaps,
      };
    },
  };
}
