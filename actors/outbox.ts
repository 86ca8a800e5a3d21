// The outbox on the wire: what a script call told of itself (scripts/lua/include/outbox.lua), as bytes and as records. The feed
// carries the same bytes. Owns their positions; what a record means is in records.ts.
import { pack, unpack } from '../core/redis/msgpack.ts';
import {
  type Movement,
  type OutboxRecord,
  type PurchaseRecord,
  type PurchaseStatus,
  type SaleStatus,
  toPurchase,
  toWirePurchase,
  type WirePurchase,
} from './records.ts';

type WireMovement = readonly [available: number, held: number, sold: number, loaded: number];
type WireRecord =
  | readonly ['p', number, string, WireMovement, WirePurchase]
  | readonly ['s', number, string, string, string, WireMovement, string, number]
  | readonly ['e', number, string, SaleStatus, number, number];

/** What purchases of one script call have in common. */
type WireShape = readonly [
  saleId: string,
  sku: string,
  unitPrice: number,
  currency: string,
  version: number,
  status: PurchaseStatus,
  quantity: number,
  expiresAt: number,
  createdAt: number,
  updatedAt: number,
  reason: string,
  orderRef: string,
  fingerprint: string,
  isRefundDue: number,
  hadHold: number,
  available: number,
  held: number,
  sold: number,
];
/** An entry as the scripts write it (scripts/lua/include/outbox.lua), or a list of single records. */
export type WireEntry =
  | readonly [
      form: 2,
      others: readonly WireRecord[],
      firstSeq: number,
      shapes: readonly WireShape[],
      /** Four a purchase: the place of its shape, id, buyer, ticket. */
      rows: readonly (number | string)[],
    ]
  | readonly WireRecord[];

const isShaped = (entry: WireEntry): entry is Extract<WireEntry, readonly [2, ...unknown[]]> => entry[0] === 2;

const toMovement = ([available, held, sold, loaded]: WireMovement): Movement => ({ available, held, sold, loaded });
const toWireMovement = (m: Movement): WireMovement => [m.available, m.held, m.sold, m.loaded];

function toRecord(wire: WireRecord): OutboxRecord {
  if (wire[0] === 'p') {
    return { kind: 'purchase', seq: wire[1], movement: toMovement(wire[3]), ...toPurchase(wire[2], wire[4]) };
  }
  if (wire[0] === 's') {
    const [, seq, movementId, saleId, sku, movement, reason, at] = wire;
    return { kind: 'stock', seq, movementId, saleId, sku, movement: toMovement(movement), reason, at };
  }
  const [, seq, saleId, status, version, at] = wire;
  return { kind: 'sale', seq, saleId, status, version, at };
}

function toPurchaseRecord(
  shape: WireShape,
  movement: Movement,
  seq: number,
  purchaseId: string,
  buyer: string,
  ticket: number,
): PurchaseRecord {
  // One literal, so that all records are of one hidden class: thousands a second are made of it.
  return {
    kind: 'purchase',
    seq,
    movement,
    purchaseId,
    version: shape[4],
    status: shape[5],
    buyer,
    saleId: shape[0],
    sku: shape[1],
    quantity: shape[6],
    ticket,
    expiresAt: shape[7],
    unitPrice: shape[2],
    currency: shape[3],
    createdAt: shape[8],
    updatedAt: shape[9],
    reason: shape[10],
    orderRef: shape[11],
    fingerprint: shape[12],
    isRefundDue: shape[13] === 1,
    hadHold: shape[14] === 1,
  };
}

/** Says of a purchase whether anybody wants to read it: thousands a second are passed over before they are objects. */
export type IsWanted = (buyer: string, purchaseId: string, version: number) => boolean;

/** The purchases of an entry that are wanted, in the order of their seq. */
export function toWantedPurchases(entry: WireEntry, isWanted: IsWanted): PurchaseRecord[] {
  const isOne = (record: OutboxRecord): record is PurchaseRecord =>
    record.kind === 'purchase' && isWanted(record.buyer, record.purchaseId, record.version);
  return toRecords(entry, isWanted).filter(isOne);
}

/** The records of an entry, in the order of their seq; without purchases of a shaped one that are not wanted. */
function toRecords(entry: WireEntry, isWanted?: IsWanted): OutboxRecord[] {
  if (!isShaped(entry)) return entry.map(toRecord);
  const [, others, firstSeq, shapes, rows] = entry;
  const records = others.map(toRecord);
  const movements = shapes.map((s): Movement => ({ available: s[15], held: s[16], sold: s[17], loaded: 0 }));
  for (let at = 0; at < rows.length; at += 4) {
    // Four values a row, as the type above says; a shape that is not there is a fault of the script.
    const [place, id, buyer, ticket] = [rows[at] as number, rows[at + 1], rows[at + 2], rows[at + 3]];
    const [shape, movement] = [shapes[place], movements[place]];
    if (shape === undefined || movement === undefined) throw new RangeError('an outbox entry names no shape');
    if (isWanted !== undefined && !isWanted(buyer as string, id as string, shape[4])) continue;
    records.push(toPurchaseRecord(shape, movement, firstSeq + at / 4, id as string, buyer as string, ticket as number));
  }
  return records;
}

/** Decodes an outbox entry's field `b`. Throws on bytes that no script wrote. */
export function decodeOutbox(blob: Uint8Array): OutboxRecord[] {
  // The scripts are the only writers; a foreign blob fails in toRecords or at its first use as a data error.
  return toRecords(unpack(blob) as WireEntry);
}

/** The inverse of `decodeOutbox`, for tools and tests that write an outbox by hand. */
export function encodeOutbox(records: readonly OutboxRecord[]): Buffer {
  return pack(
    records.map((r): WireRecord => {
      if (r.kind === 'purchase') return ['p', r.seq, r.purchaseId, toWireMovement(r.movement), toWirePurchase(r)];
      if (r.kind === 'stock') {
        return ['s', r.seq, r.movementId, r.saleId, r.sku, toWireMovement(r.movement), r.reason, r.at];
      }
      return ['e', r.seq, r.saleId, r.status, r.version, r.at];
    }),
  );
}

/** An entry's id is `<seq of its last record>-<number of its records>`. */
export const lastSeqOf = (entryId: string): number => Number.parseInt(entryId, 10);
export const recordsIn = (entryId: string): number => Number(entryId.slice(entryId.indexOf('-') + 1));
