// One SKU, read for the continuous audit: its purchases page by page at the audit's pace, each page held against Postgres,
// and all of them brought to one position of the outbox. Changes nothing.
import type { AuditSlice } from '../../actors/block-verbs.ts';
import { fault } from '../../core/errors.ts';
import type { Difference } from './differences.ts';
import { judgeMissing, judgePlaces, judgeTwice, type SkuReading } from './judge-online.ts';
import type { OnlineDependencies, SkuPlace } from './online-dependencies.ts';
import type { RecordWatch } from './record-watch.ts';
import { untilApplied } from './relay-position.ts';
import { createSkuBook } from './sku-book.ts';
import { createSliceComparison } from './slice-comparison.ts';

export interface OnlineSku {
  readonly reading: SkuReading;
  readonly differences: readonly Difference[];
}

async function readPages(deps: OnlineDependencies, place: SkuPlace, first: AuditSlice, watch: RecordWatch | undefined) {
  const { saleId, sku } = place;
  const book = createSkuBook(first.counters.lastTicket);
  const comparison = createSliceComparison(deps, place);
  const places: Difference[] = [];
  const missing: string[] = [];
  const catchUp = (seq: number): void => {
    for (const record of watch?.take(seq) ?? []) book.addRecord(record);
  };
  let slice = first;
  for (;;) {
    book.addPage(slice);
    catchUp(slice.seq);
    places.push(...judgePlaces(saleId, sku, slice.purchases));
    missing.push(...slice.missing);
    await comparison.add(slice);
    const from = slice.next;
    if (from === undefined) break;
    const page = await deps.pace.rest(() => deps.stock.auditSlice(saleId, sku, from), deps.pace.sliceMs);
    if (page === undefined || deps.signal.aborted) throw fault('UNAVAILABLE', 'the audit was interrupted');
    slice = page;
  }
  await watch?.until(first.seq, slice.seq);
  catchUp(slice.seq);
  const differences = await comparison.finish(first, slice);
  return { book, last: slice, missing, differences: [...places, ...differences] };
}

/** Undefined where Redis does not know the SKU. Throws UNAVAILABLE where nothing can be said at present. */
export async function readOnlineSku(deps: OnlineDependencies, place: SkuPlace): Promise<OnlineSku | undefined> {
  const { saleId, sku, partition } = place;
  const read = () => deps.pace.rest(() => deps.stock.auditSlice(saleId, sku), deps.pace.sliceMs);
  let first = await read();
  if (first === undefined) return undefined;
  // More than one page: they will be of different moments. Read again, now that nothing is missed.
  const watch = first.next !== undefined ? await deps.watcher.open(partition, saleId, sku) : undefined;
  try {
    if (watch !== undefined) first = await read();
    if (first === undefined) return undefined;
    const { book, last, missing, differences } = await readPages(deps, place, first, watch);
    const { counters, seq, sizes } = last;
    await untilApplied(deps, partition, seq);
    return {
      reading: { counters, seq, sizes, sums: book.sum(counters.lastTicket), missing: missing.length },
      differences: [...differences, ...judgeTwice(saleId, sku, book.twice), ...judgeMissing(saleId, sku, missing)],
    };
  } finally {
    await watch?.close();
  }
}
