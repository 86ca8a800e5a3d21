// The verbs by which one SKU of a sale is stopped and released, and by which the audit reads it. Part of the stock store.
import { partitionOf } from '../core/ids.ts';
import { type PurchaseStatus, type SkuCounters, toCounters, type WireCounters } from './records.ts';
import { bodyOf, type ScriptCaller } from './script-call.ts';
import { scripts } from './scripts.ts';

/** Who stopped a SKU: the audit, an operator, or a script that met a key it could not write (FAULT). */
export type BlockReason = 'AUDIT' | 'OPERATOR' | 'FAULT';

export interface SkuBlock {
  readonly sku: string;
  readonly reason: BlockReason;
  /** Words of whoever blocked it; '' when there are none. */
  readonly note: string;
  /** Milliseconds of Redis' clock; 0 when it is not known. */
  readonly since: number;
}

export interface BlockOutcome {
  readonly outcome: 'OK' | 'REPLAY' | 'SALE_NOT_FOUND' | 'SKU_NOT_FOUND';
  readonly counters?: SkuCounters;
  /** Why the SKU is blocked now; undefined when it sells. */
  readonly reason?: BlockReason;
}

/** A purchase as the audit compares it. */
export interface SlicePurchase {
  readonly purchaseId: string;
  readonly version: number;
  readonly status: PurchaseStatus;
  readonly quantity: number;
  readonly ticket: number;
  /** When its hold ends; 0 when it never had one. */
  readonly expiresAt: number;
  /** When the sweep comes for it, by what is kept of holds; 0 when it is not there. */
  readonly sweptAt: number;
  /** Its place in the list of tickets, from the head of the line on; 0 when it is not there. */
  readonly linePlace: number;
}

/** Where in a SKU's two lists of purchases a reader is. What is added behind the ends while it reads is not for it. */
export interface SliceCursor {
  readonly ticket: number;
  readonly lastTicket: number;
  readonly order: number;
  readonly lastOrder: number;
}

export interface AuditSlice {
  /** Outbox position of the partition at which all of this was read. */
  readonly seq: number;
  readonly counters: SkuCounters;
  readonly isBlocked: boolean;
  /** Purchases that are held and that wait, as they are counted; ids in the SKU's lists. */
  readonly sizes: { readonly holds: number; readonly line: number; readonly tickets: number; readonly orders: number };
  readonly purchases: readonly SlicePurchase[];
  /** Ids that have a place and no readable record. */
  readonly missing: readonly string[];
  /** Where the next page begins; undefined at the end of what was there at the first page. */
  readonly next: SliceCursor | undefined;
}

export interface BlockVerbs {
  /** Idempotent; a block that stands keeps its reason. */
  blockSku(saleId: string, sku: string, reason: BlockReason, note: string): Promise<BlockOutcome>;
  /** Idempotent. The line is offered its stock by the next sweep. */
  unblockSku(saleId: string, sku: string): Promise<BlockOutcome>;
  /** The SKUs of a sale that are blocked. */
  blocksOf(saleId: string): Promise<SkuBlock[]>;
  /** At most 256 purchases, by ticket, then the holds of orders; undefined where the SKU is unknown. */
  auditSlice(saleId: string, sku: string, from?: SliceCursor): Promise<AuditSlice | undefined>;
}

type WireRow =
  | readonly [string, number, PurchaseStatus, number, number, expiresAt: number, sweptAt: number, linePlace: number]
  | readonly [string];
type WireSlice = readonly [
  WireCounters,
  BlockReason | '',
  readonly [number, number, number, number],
  WireRow[],
  number,
];

const BEGIN: SliceCursor = { ticket: 1, lastTicket: -1, order: 1, lastOrder: -1 };

function toSlice(seq: number, from: SliceCursor, [counters, reason, sizes, rows, ofTickets]: WireSlice): AuditSlice {
  const [holds, line, tickets, orders] = sizes;
  const cursor: SliceCursor = {
    ticket: from.ticket + ofTickets,
    lastTicket: from.lastTicket < 0 ? tickets : from.lastTicket,
    order: from.order + rows.length - ofTickets,
    lastOrder: from.lastOrder < 0 ? orders : from.lastOrder,
  };
  const isLast = rows.length === 0 || (cursor.ticket > cursor.lastTicket && cursor.order > cursor.lastOrder);
  const purchases = rows.flatMap((row) => {
    if (row.length === 1) return [];
    const [purchaseId, version, status, quantity, ticket, expiresAt, sweptAt, linePlace] = row;
    return [{ purchaseId, version, status, quantity, ticket, expiresAt, sweptAt, linePlace }];
  });
  const missing = rows.flatMap((row) => (row.length === 1 ? [row[0]] : []));
  const isBlocked = reason !== '';
  return {
    seq,
    counters: toCounters(counters),
    isBlocked,
    sizes: { holds, line, tickets, orders },
    purchases,
    missing,
    next: isLast ? undefined : cursor,
  };
}

export function createBlockVerbs(caller: ScriptCaller): BlockVerbs {
  async function setBlock(saleId: string, sku: string, ...words: readonly string[]): Promise<BlockOutcome> {
    const partition = partitionOf(saleId);
    if (partition === undefined) return { outcome: 'SALE_NOT_FOUND' };
    const body = bodyOf(await caller.call(partition, scripts.skuBlock, [saleId, sku, ...words]));
    const [outcome, counters, reason] = body as [BlockOutcome['outcome'], WireCounters | false, BlockReason | ''];
    return {
      outcome,
      ...(counters ? { counters: toCounters(counters) } : {}),
      ...(reason === '' ? {} : { reason }),
    };
  }

  return {
    blockSku: (saleId, sku, reason, note) => setBlock(saleId, sku, 'block', reason, note),
    unblockSku: (saleId, sku) => setBlock(saleId, sku, 'unblock', '', ''),
    async blocksOf(saleId) {
      const partition = partitionOf(saleId);
      if (partition === undefined) return [];
      const rows = bodyOf(await caller.call(partition, scripts.skuBlocks, [saleId]));
      return (rows as [string, BlockReason, string, number][]).map(([sku, reason, note, since]) => ({
        sku,
        reason,
        note,
        since,
      }));
    },
    async auditSlice(saleId, sku, from = BEGIN) {
      const partition = partitionOf(saleId);
      if (partition === undefined) return undefined;
      const reply = await caller.call(partition, scripts.auditSlice, [
        saleId,
        sku,
        from.ticket,
        from.lastTicket,
        from.order,
        from.lastOrder,
      ]);
      const body = bodyOf(reply) as WireSlice | false;
      return body ? toSlice(reply.seq, from, body) : undefined;
    },
  };
}
