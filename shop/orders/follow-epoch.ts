// Keeps a process attached to its partitions: at the start, and again after a rebuild has raised an epoch. Only an epoch
// that moved in Postgres is a reason to attach again: to attach because Redis answers FENCED would be to accept an old copy.
import type { StockStore } from '../../actors/stock-store.ts';
import { PARTITIONS } from '../../core/constants.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';
import { createEpochRecord } from './partition-store.ts';

/** Answers whether it attached. Throws FENCED while Redis is behind Postgres; to be called every second or so. */
export function createEpochFollower(deps: {
  postgres: Queryable;
  stock: Pick<StockStore, 'attach'>;
}): () => Promise<boolean> {
  const record = createEpochRecord(deps.postgres);
  let attachedTo: string | undefined;
  return async () => {
    const rows = await record.read();
    const known = rows.map(({ partition, epoch }) => `${partition}:${epoch}`).join(' ');
    if (known === attachedTo) return false;
    await deps.stock.attach(record);
    // The very first attachment writes the rows itself; the next look finds them and attaches once more.
    attachedTo = rows.length < PARTITIONS ? undefined : known;
    return true;
  };
}
