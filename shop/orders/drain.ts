// Empties a partition's outbox into Postgres from here, without the relay: for a rebuild, which needs all that Redis still
// tells before it builds. What the records ask for (payments to start, money to return) becomes jobs as ever.
import { keys } from '../../actors/keys.ts';
import { recordsIn } from '../../actors/outbox.ts';
import { RELAY_READ_MAX_ENTRIES } from '../../core/constants.ts';
import { type ApplyDependencies, createApply } from './apply.ts';

/** Answers how many records there were. `stock` must be the one that may write to the partition. */
export function createDrain(
  deps: ApplyDependencies,
): (partition: number, onProgress: (done: number, of: number) => void) => Promise<number> {
  const apply = createApply({ ...deps, crossesGaps: true });
  return async (partition, onProgress) => {
    const stream = keys.outbox(partition);
    const of = await deps.redis.xlen(stream);
    let [entries, records] = [0, 0];
    for (;;) {
      const page = await deps.redis.xrange(stream, '-', '+', 'COUNT', RELAY_READ_MAX_ENTRIES);
      if (page.length === 0) return records;
      const entryIds = page.map(([id]) => id);
      await apply({ partition, entryIds });
      entries += entryIds.length;
      records += entryIds.reduce((sum, id) => sum + recordsIn(id), 0);
      onProgress(entries, Math.max(of, entries));
    }
  };
}
