// What becomes of records that Postgres does not take: the purchase is ended and only it, its records are kept for an operator,
// and nothing follows from them.
import { encodeOutbox } from '../../actors/outbox.ts';
import type { OutboxRecord } from '../../actors/records.ts';
import type { StockStore } from '../../actors/stock-store.ts';
import type { Log } from '../../core/log.ts';
import { counter } from '../../core/metrics.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import type { Batch, ReadEntry } from './batch.ts';
import type { PlacedRecord, Refused } from './bisect.ts';
import type { Committed } from './commit.ts';
import { insertDeadRecords } from './dead-store.ts';
import { DATA_ERROR } from './order-states.ts';

export interface BuryDependencies {
  readonly postgres: Postgres;
  readonly stock: Pick<StockStore, 'release'>;
  readonly log: Log;
}

const recordsRefused = counter('doorbuster_outbox_refused_records', 'Outbox records that Postgres refused as data');

/** Answers the entries that live on. */
export async function buryRefused(
  deps: BuryDependencies,
  { batch, refused }: Committed,
): Promise<readonly ReadEntry[]> {
  for (const dead of refused) await bury(deps, batch.partition, dead);
  if (batch.unreadable.length > 0) await keepUnreadable(deps, batch);
  return livingOf(batch.entries, refused);
}

async function keepUnreadable({ postgres, log }: BuryDependencies, { partition, unreadable }: Batch): Promise<void> {
  log.error({ partition, entryIds: unreadable.map((dead) => dead.entryId) }, 'outbox entries cannot be read');
  await insertDeadRecords(postgres, unreadable);
}

async function bury(deps: BuryDependencies, partition: number, { unit, error }: Refused): Promise<void> {
  const purchaseId = purchaseIdOf(unit);
  const outcome = purchaseId === null ? '' : await endPurchase(deps, purchaseId);
  deps.log.error({ partition, purchaseId, outcome, reason: error }, 'a record was refused by Postgres');
  recordsRefused.inc(unit.length);
  await insertDeadRecords(
    deps.postgres,
    unit.map(({ entryId, index, record }) => {
      const bytes = encodeOutbox([record]);
      return { partition, entryId, index, kind: record.kind, purchaseId, bytes, error, outcome };
    }),
  );
}

async function endPurchase(deps: BuryDependencies, purchaseId: string): Promise<string> {
  const [released] = await deps.stock.release([{ purchaseId, reason: DATA_ERROR }]);
  return released?.outcome ?? 'NOT_FOUND';
}

function purchaseIdOf(unit: readonly PlacedRecord[]): string | null {
  const record = unit[0]?.record;
  return record?.kind === 'purchase' ? record.purchaseId : null;
}

/** The entries without the records of purchases that were ended instead. */
function livingOf(entries: readonly ReadEntry[], refused: readonly Refused[]): readonly ReadEntry[] {
  if (refused.length === 0) return entries;
  const gone = new Set(refused.map(({ unit }) => purchaseIdOf(unit)));
  const isAlive = (record: OutboxRecord): boolean => record.kind !== 'purchase' || !gone.has(record.purchaseId);
  return entries.map(({ id, records }) => ({ id, records: records.filter(isAlive) }));
}
