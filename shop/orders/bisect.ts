// Applies records so that one bad record costs only itself: on a data error the batch is halved until the unit that
// Postgres refuses stands alone. A unit is all records of one purchase, or one other record. Infrastructure errors are thrown.
import type { OutboxRecord } from '../../actors/records.ts';
import { SYSTEMIC_REFUSALS_MIN } from '../../core/constants.ts';
import { fault, messageOf } from '../../core/errors.ts';
import type { ReadEntry } from './batch.ts';

export interface PlacedRecord {
  readonly entryId: string;
  readonly index: number;
  readonly record: OutboxRecord;
}

export interface Refused {
  readonly unit: readonly PlacedRecord[];
  readonly error: string;
}

/** `apply` does all that it is given, or nothing. Returns what was refused; everything else is done. */
export async function applyBisecting(
  entries: readonly ReadEntry[],
  apply: (records: readonly OutboxRecord[]) => Promise<void>,
): Promise<Refused[]> {
  const units = unitsOf(entries);
  const refused: Refused[] = [];
  await applyUnits(units, apply, refused);
  if (refused.length >= SYSTEMIC_REFUSALS_MIN && refused.length * 2 > units.length) {
    throw fault('UNAVAILABLE', `Postgres refuses ${refused.length} of ${units.length} purchases: ${refused[0]?.error}`);
  }
  return refused;
}

async function applyUnits(
  units: readonly (readonly PlacedRecord[])[],
  apply: (records: readonly OutboxRecord[]) => Promise<void>,
  refused: Refused[],
): Promise<void> {
  if (units.length === 0) return;
  try {
    await apply(units.flat().map((placed) => placed.record));
  } catch (error) {
    if (!isDataError(error)) throw error;
    const [only] = units;
    if (units.length === 1 && only !== undefined) {
      refused.push({ unit: only, error: messageOf(error) });
      return;
    }
    const middle = units.length >> 1;
    await applyUnits(units.slice(0, middle), apply, refused);
    await applyUnits(units.slice(middle), apply, refused);
  }
}

/** SQLSTATE classes that blame the values: data exception, integrity constraint, program limit (a key too long for its index). */
const DATA_CLASSES = new Set(['22', '23', '54']);

/**
 * Deliberately narrow. A missing table, a missing right or a bug of ours is not the purchase's fault, and ending
 * purchases for it would empty a sale; such an error stops the outbox and is seen.
 */
export function isDataError(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return false;
  return error.code.length === 5 && DATA_CLASSES.has(error.code.slice(0, 2));
}

function unitsOf(entries: readonly ReadEntry[]): PlacedRecord[][] {
  const units = new Map<string, PlacedRecord[]>();
  for (const { id: entryId, records } of entries) {
    for (const [index, record] of records.entries()) {
      const key = record.kind === 'purchase' ? `p ${record.purchaseId}` : `${record.kind} ${entryId} ${index}`;
      const unit = units.get(key);
      if (unit) unit.push({ entryId, index, record });
      else units.set(key, [{ entryId, index, record }]);
    }
  }
  return [...units.values()];
}
