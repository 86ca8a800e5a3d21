// The sums of a SKU out of pages and records: whichever order they come in, the newest version of each purchase counts.
import { describe, expect, it } from 'vitest';
import type { AuditSlice, SlicePurchase } from '../../actors/block-verbs.ts';
import type { PurchaseRecord, PurchaseStatus } from '../../actors/records.ts';
import { createSkuBook } from '../../shop/admin/sku-book.ts';

type Row = [ticket: number, version: number, status: PurchaseStatus, quantity?: number];

const purchase = ([ticket, version, status, quantity = 1]: Row): SlicePurchase => ({
  purchaseId: `pur_${ticket}`,
  version,
  status,
  quantity,
  ticket,
  expiresAt: 0,
  sweptAt: 0,
  linePlace: 0,
});
// A book reads of a page and of a record no more than this.
const page = (...rows: Row[]) => ({ purchases: rows.map(purchase) }) as unknown as AuditSlice;
const record = (row: Row) => purchase(row) as unknown as PurchaseRecord;

describe('the book of a SKU', () => {
  it('sums units by what the status means, and finds the head', () => {
    const book = createSkuBook(5);
    book.addPage(page([1, 2, 'CONFIRMED', 2], [2, 1, 'RESERVED', 3], [3, 3, 'PAYMENT_FAILED'], [4, 2, 'EXPIRED', 9]));
    book.addPage(page([5, 1, 'WAITING', 4], [6, 1, 'WAITING']));
    expect(book.sum(6)).toEqual({ held: 4, sold: 2, waiting: 5, holders: 2, waiters: 2, head: 5, gaps: 0 });
  });

  it('keeps the newest version, whether a page or a record told of it', () => {
    const book = createSkuBook(2);
    book.addRecord(record([2, 4, 'CONFIRMED']));
    book.addPage(page([1, 1, 'WAITING'], [2, 3, 'RESERVED']));
    book.addRecord(record([1, 2, 'RESERVED']));
    book.addRecord(record([1, 1, 'WAITING']));
    expect(book.sum(2)).toMatchObject({ held: 1, sold: 1, waiting: 0, gaps: 0 });
    expect(book.twice).toEqual([]);
  });

  it('grows with the tickets, and counts those that nobody has', () => {
    const book = createSkuBook(0);
    book.addRecord(record([5_000, 1, 'WAITING', 7]));
    expect(book.sum(5_000)).toMatchObject({ waiting: 7, gaps: 4_999, head: 5_000 });
    expect(book.sum(9_000)).toMatchObject({ gaps: 8_999 });
  });

  it('tells of a ticket that two purchases of the pages have', () => {
    const book = createSkuBook(2);
    book.addPage(page([1, 1, 'WAITING'], [1, 2, 'RESERVED']));
    expect(book.twice).toEqual([{ purchaseId: 'pur_1', ticket: 1 }]);
    expect(book.sum(2)).toMatchObject({ gaps: 1 });
  });

  it('knows the holds of orders by their ids: they have no ticket', () => {
    const book = createSkuBook(0);
    const hold = (id: string, version: number, status: PurchaseStatus) => ({
      ...record([0, version, status, 2]),
      purchaseId: id,
    });
    book.addRecord(hold('a', 2, 'CONFIRMED'));
    book.addRecord(hold('a', 1, 'RESERVED'));
    book.addRecord(hold('b', 1, 'RESERVED'));
    expect(book.sum(0)).toMatchObject({ held: 2, sold: 2, holders: 1, gaps: 0 });
  });
});
