// What an operator may do with records that Postgres refused: look at them, and try one again. A purchase that was ended
// meanwhile is not brought back: its units are with somebody else.
import { decodeOutbox } from '../../actors/outbox.ts';
import type { StockStore } from '../../actors/stock-store.ts';
import { messageOf } from '../../core/errors.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import { isLiving } from '../sales/sales.ts';
import { applyRecords } from './apply-store.ts';
import { isDataError } from './bisect.ts';
import { type DeadRecord, listDeadRecords, lockDeadRecord, markReplayed } from './dead-store.ts';

export type ReplayOutcome =
  | { kind: 'replayed' }
  | { kind: 'not_found' }
  | { kind: 'already_replayed' }
  /** The purchase no longer lives; `status` is what it became, undefined when Redis has forgotten it. */
  | { kind: 'ended'; status: string | undefined }
  /** Unreadable bytes, or Postgres refuses it still. */
  | { kind: 'refused'; error: string };

export interface DeadRecords {
  list(limit?: number): Promise<DeadRecord[]>;
  replay(deadId: string): Promise<ReplayOutcome>;
}

export function createDeadRecords(deps: { postgres: Postgres; stock: Pick<StockStore, 'look'> }): DeadRecords {
  const { postgres, stock } = deps;
  return {
    list: (limit = 100) => listDeadRecords(postgres, limit),
    async replay(deadId) {
      try {
        return await postgres.transaction(async (tx): Promise<ReplayOutcome> => {
          const dead = await lockDeadRecord(tx, deadId);
          if (dead === undefined) return { kind: 'not_found' };
          if (dead.replayedAt > 0) return { kind: 'already_replayed' };
          if (dead.kind === 'unreadable') return { kind: 'refused', error: 'the entry cannot be read' };
          const records = decodeOutbox(dead.bytes);
          for (const record of records) {
            if (record.kind !== 'purchase') continue;
            const [purchase] = await stock.look([record.purchaseId]);
            if (purchase === undefined || !isLiving(purchase.status))
              return { kind: 'ended', status: purchase?.status };
          }
          await applyRecords(tx, dead.partition, records);
          await markReplayed(tx, deadId);
          return { kind: 'replayed' };
        });
      } catch (error) {
        if (isDataError(error)) return { kind: 'refused', error: messageOf(error) };
        throw error;
      }
    },
  };
}
