// Keeps a process attached to its partitions: at the start, after a rebuild has raised an epoch, and after Redis was
// restarted, when it must be compared with Postgres again. Writes down what this process was told of, once a second: what a
// Redis that lost it is found out by.
import type { StockStore } from '../../actors/stock-store.ts';
import { PARTITIONS } from '../../core/constants.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';
import { createEpochRecord } from './partition-store.ts';

/** Answers whether it attached. Throws FENCED while Redis is behind Postgres; to be called every second or so. */
export function createEpochFollower(deps: {
  postgres: Queryable;
  stock: Pick<StockStore, 'attach' | 'witness' | 'isDoubted'>;
}): () => Promise<boolean> {
  const { stock } = deps;
  const record = createEpochRecord(deps.postgres);
  let attachedTo: string | undefined;
  return async () => {
    await stock.witness();
    const rows = await record.read();
    const known = rows.map(({ partition, epoch }) => `${partition}:${epoch}`).join(' ');
    if (known === attachedTo && !stock.isDoubted) return false;
    await stock.attach(record);
    // The very first attachment writes the rows itself; the next look finds them and attaches once more.
    attachedTo = rows.length < PARTITIONS ? undefined : known;
    return true;
  };
}
