// A batch of the outbox as it was read: entries in their order, and those that nobody can read.
import { decodeOutbox } from '../../actors/outbox.ts';
import type { OutboxRecord } from '../../actors/records.ts';
import { messageOf } from '../../core/errors.ts';
import type { StreamEntry } from '../../core/redis/stream.ts';
import type { NewDeadRecord } from './dead-store.ts';

export interface ReadEntry {
  readonly id: string;
  readonly records: readonly OutboxRecord[];
}

export interface Batch {
  readonly partition: number;
  /** Of all its entries, also of those that cannot be read, in the outbox's order. */
  readonly ids: readonly string[];
  readonly entries: readonly ReadEntry[];
  readonly unreadable: readonly NewDeadRecord[];
}

export function readBatch(partition: number, raw: readonly StreamEntry[]): Batch {
  const entries: ReadEntry[] = [];
  const unreadable: NewDeadRecord[] = [];
  for (const { id, bytes } of raw) {
    try {
      entries.push({ id, records: decodeOutbox(bytes) });
    } catch (error) {
      const place = { partition, entryId: id, index: 0, purchaseId: null, outcome: '' };
      unreadable.push({ ...place, kind: 'unreadable', bytes, error: messageOf(error) });
    }
  }
  return { partition, ids: raw.map(({ id }) => id), entries, unreadable };
}

export function joinBatches(first: Batch, second: Batch): Batch {
  return {
    partition: second.partition,
    ids: [...first.ids, ...second.ids],
    entries: [...first.entries, ...second.entries],
    unreadable: [...first.unreadable, ...second.unreadable],
  };
}
