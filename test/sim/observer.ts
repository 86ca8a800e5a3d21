// Looks at Redis from outside, after every script: in one call the fence, the agenda, what is new in the outbox and, where
// something is new, every key of the partition's sales as it is. The system under test knows nothing of it.
import { decodeOutbox } from '../../actors/outbox.ts';
import type { OutboxRecord, Purchase } from '../../actors/records.ts';
import { keys } from '../../actors/keys.ts';
import type { Redis } from '../../core/redis/redis.ts';
import { isLiving } from '../../shop/sales/purchase-states.ts';
import { printOfBuyer } from '../../actors/purchase-ids.ts';
import { placeOf, recordOf, recordsOf, type TailOf, toStoredPurchase } from '../support/stored-purchase.ts';

export interface SkuLook {
  readonly saleId: string;
  readonly sku: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly isBlocked: boolean;
  /** Runs of tickets whose holds end at one time, in the order of the list. */
  readonly runs: readonly { readonly ends: number; readonly first: number; readonly last: number }[];
  /** Holds that are in no run, by their end. */
  readonly ends: ReadonlyMap<string, number>;
  readonly big: ReadonlyMap<string, number>;
  readonly tickets: readonly string[];
  readonly orders: readonly string[];
}

export interface SaleLook {
  readonly saleId: string;
  readonly status: string;
  /** undefined where its terms ask for no number. */
  readonly unstarted: number | undefined;
  /** '<units> <id> …' by buyer: the live ones that stand where the limit looks. */
  readonly buyers: ReadonlyMap<string, string>;
  readonly skus: readonly SkuLook[];
}

export interface Light {
  readonly epoch: number;
  readonly seq: number;
  /** A call of the right epoch is answered: compared with Postgres, and not being rebuilt. */
  readonly isOpen: boolean;
  /** Entries that are not applied. */
  readonly outbox: number;
  /** When a sweep has something to do; Infinity when never. */
  readonly firstDue: number;
}

export interface Look extends Light {
  readonly partition: number;
  /** Absent where nothing is new. */
  readonly news?: {
    readonly entries: readonly { id: string; records: OutboxRecord[] }[];
    readonly sales: readonly SaleLook[];
    readonly purchases: ReadonlyMap<string, Purchase>;
    readonly deadlines: ReadonlyMap<string, number>;
  };
}

const LOOK = `
local tag = string.match(KEYS[1], '^(db:{p%d+}:)fence$')
local fence = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'run', 'rebuilding')
local run = string.match(redis.call('INFO', 'server'), '\\nrun_id:(%x%x%x%x%x%x%x%x%x%x%x%x)') or ''
local head = 'pur_0' .. string.match(tag, '%d')
local function first(name)
  local entry = redis.call('ZRANGE', tag .. name, 0, 0, 'WITHSCORES')
  return entry[2] or ''
end
local is_open = (fence[3] == run and not fence[4]) and 1 or 0
local light = { fence[1] or '0', fence[2] or '0', is_open, redis.call('XLEN', tag .. 'outbox'),
  first('deadlines'), first('admissions'), first('schedule') }
if (fence[1] or '0') == ARGV[1] and (fence[2] or '0') == ARGV[2] then return { light } end
local from = (fence[1] or '0') == ARGV[1] and ('(' .. ARGV[2] .. '-99999') or '-'
local sales, ids = {}, {}
for i = 3, #ARGV do
  local words = {}
  for word in string.gmatch(ARGV[i], '%S+') do words[#words + 1] = word end
  local skus = {}
  for j = 2, #words do
    local name = words[1] .. ':' .. words[j]
    local tickets, orders = redis.call('LRANGE', tag .. 'tickets:' .. name, 0, -1), redis.call('LRANGE', tag .. 'orders:' .. name, 0, -1)
    for i, short in ipairs(tickets) do
      tickets[i] = string.byte(short) == 47 and string.sub(short, 2) or head .. short
      ids[#ids + 1] = tickets[i]
    end
    for _, id in ipairs(orders) do ids[#ids + 1] = id end
    skus[#skus + 1] = { redis.call('HGETALL', tag .. 'stock:' .. name), redis.call('LRANGE', tag .. 'holds:' .. name, 0, -1),
      redis.call('ZRANGE', tag .. 'ends:' .. name, 0, -1, 'WITHSCORES'), redis.call('ZRANGE', tag .. 'big:' .. name, 0, -1, 'WITHSCORES'),
      tickets, orders, redis.call('HGETALL', tag .. 'lots:' .. name) }
  end
  sales[#sales + 1] = { redis.call('HMGET', tag .. 'sale:' .. words[1], 'status', 'unstarted', 'startBacklogLimit'),
    redis.call('HGETALL', tag .. 'strays:' .. words[1]), skus }
end
local raws = {}
for i, id in ipairs(ids) do
  local is_ours = #id == 30 and string.sub(id, 1, 6) == head
  local fields = is_ours and { string.sub(id, 7, 18), string.sub(id, 7) } or { '/' .. id, '' }
  raws[i] = redis.call('HMGET', tag .. 'purchases', unpack(fields))
end
return { light, redis.call('XRANGE', tag .. 'outbox', from, '+'), sales, ids, raws,
  redis.call('ZRANGE', tag .. 'deadlines', 0, -1, 'WITHSCORES'), redis.call('HGETALL', tag .. 'skus') }
`;

type RawSku = readonly [Buffer[], Buffer[], Buffer[], Buffer[], Buffer[], Buffer[], lots: Buffer[]];
type RawSale = readonly [(Buffer | null)[], Buffer[], RawSku[]];
type RawLook = readonly [
  light: readonly [Buffer, Buffer, number, number, Buffer, Buffer, Buffer],
  entries?: readonly (readonly [Buffer, readonly Buffer[]])[],
  sales?: readonly RawSale[],
  ids?: readonly Buffer[],
  raws?: readonly (readonly [folder: Buffer | null, own: Buffer | null])[],
  deadlines?: readonly Buffer[],
  names?: readonly Buffer[],
];

const pairs = (flat: readonly Buffer[]): [string, string][] =>
  Array.from({ length: flat.length / 2 }, (_, i) => [String(flat[2 * i]), String(flat[2 * i + 1])]);
const scores = (flat: readonly Buffer[]): Map<string, number> =>
  new Map(pairs(flat).map(([member, score]) => [member, Number(score)]));

function toRun(text: Buffer): SkuLook['runs'][number] {
  const [ends = 0, first = 0, last = 0] = String(text).split(' ').map(Number);
  return { ends, first, last };
}

/** What the lots of all SKUs keep for their purchases. */
function tailsOf(sales: readonly Observed[], rows: readonly RawSale[], names: ReadonlyMap<string, string>): TailOf {
  const tails = new Map<string, Buffer>();
  rows.forEach(([, , skus], i) =>
    skus.forEach(([, , , , , , lots], j) => {
      for (let at = 0; at < lots.length; at += 2) {
        const tail = lots[at + 1];
        if (tail) tails.set(`${sales[i]?.saleId} ${sales[i]?.skus[j]} ${lots[at]?.toString()}`, tail);
      }
    }),
  );
  return (skuNumber, lot) => {
    const [saleId, sku] = (names.get(String(skuNumber)) ?? '').split(' ');
    return tails.get(`${saleId} ${sku} ${lot}`);
  };
}

/** What the limit of a sale counts, from where it looks: the folder that the buyer's print names, and the strays. */
function countBuyers(
  saleId: string,
  found: readonly Found[],
  strays: ReadonlyMap<string, string>,
): Map<string, string> {
  const buyers = new Map<string, { units: number; ids: string[] }>();
  for (const { purchase, field, isInFolder } of found) {
    const { purchaseId, buyer, orderRef, status, quantity } = purchase;
    if (purchase.saleId !== saleId || orderRef !== '' || !isLiving(status)) continue;
    const isStray = (strays.get(buyer) ?? '').split(' ').includes(purchaseId);
    if (!isStray && !(isInFolder && field === printOfBuyer(saleId, buyer))) continue;
    const entry = buyers.get(buyer) ?? { units: 0, ids: [] };
    buyers.set(buyer, { units: entry.units + quantity, ids: [...entry.ids, purchaseId] });
  }
  return new Map([...buyers].map(([buyer, { units, ids }]) => [buyer, [units, ...ids].join(' ')]));
}

interface Found {
  readonly purchase: Purchase;
  readonly field: string;
  readonly isInFolder: boolean;
}

export interface Observed {
  readonly saleId: string;
  readonly skus: readonly string[];
}

export interface Observer {
  look(partition: number, sales: readonly Observed[]): Promise<Look>;
  /** The next look shows everything. */
  forget(partition: number): void;
}

let sha: string | undefined;

export function createObserver(redis: Redis): Observer {
  const known = new Map<number, { epoch: string; seq: string }>();
  const decoded = new Map<string, { raw: Buffer; purchase: Purchase }>();

  function decode(id: string, raw: Buffer, names: ReadonlyMap<string, string>, tailOf: TailOf): Purchase {
    const before = decoded.get(id);
    if (before !== undefined && before.raw.equals(raw)) return before.purchase;
    // The scripts wrote it; bytes of another kind make a purchase that no check accepts.
    const purchase = toStoredPurchase(id, raw, names, tailOf);
    decoded.set(id, { raw, purchase });
    return purchase;
  }

  function toSku(saleId: string, sku: string, [stock, holds, ends, big, tickets, orders]: RawSku): SkuLook {
    const fields = new Map(pairs(stock));
    const counts = Object.fromEntries(
      [...fields]
        .filter(([name]) => name !== 'currency' && name !== 'blocked' && name !== 'number')
        .map(([name, text]) => [name, Number(text)]),
    );
    const isBlocked = (fields.get('blocked') ?? '') !== '';
    return {
      ...{ saleId, sku, counts, isBlocked, runs: holds.map(toRun), ends: scores(ends), big: scores(big) },
      ...{ tickets: tickets.map(String), orders: orders.map(String) },
    };
  }

  return {
    forget: (partition) => void known.delete(partition),
    async look(partition, sales) {
      const before = known.get(partition) ?? { epoch: '-', seq: '-' };
      const words = sales.map(({ saleId, skus }) => [saleId, ...skus].join(' '));
      sha ??= String(await redis.script('LOAD', LOOK));
      const raw = await redis.callBuffer('EVALSHA', sha, 1, keys.fence(partition), before.epoch, before.seq, ...words);
      // The reply of the script above.
      const [light, entries, saleRows, ids, raws, deadlines, skus] = raw as RawLook;
      const [epoch, seq, isOpen, outbox, ...dues] = light;
      const due = dues.map((text) => (text.length === 0 ? Number.POSITIVE_INFINITY : Number(String(text))));
      const base = {
        ...{ partition, epoch: Number(String(epoch)), seq: Number(String(seq)), isOpen: isOpen === 1, outbox },
        firstDue: Math.min(...due),
      };
      if (entries === undefined) return base;
      known.set(partition, { epoch: String(epoch), seq: String(seq) });
      const purchases = new Map<string, Purchase>();
      const names = new Map(pairs(skus ?? []));
      const tailOf = tailsOf(sales, saleRows ?? [], names);
      const found: Found[] = [];
      ids?.forEach((name, i) => {
        const [folder, own] = raws?.[i] ?? [null, null];
        const [id, place] = [String(name), placeOf(`db:{p${partition}}:`, String(name))];
        const bytes = recordOf(place, folder, own);
        if (bytes === undefined) return;
        const purchase = decode(id, bytes, names, tailOf);
        purchases.set(id, purchase);
        const isInFolder = recordsOf(folder ?? Buffer.alloc(0)).some((record) => record.equals(bytes));
        found.push({ purchase, field: place.field, isInFolder });
      });
      const saleLooks = (saleRows ?? []).map(([fields, strays, skus], i): SaleLook => {
        const { saleId = '', skus: skuNames = [] } = sales[i] ?? {};
        return {
          ...{
            saleId,
            status: String(fields[0] ?? ''),
            unstarted: Number(String(fields[2] ?? 0)) > 0 ? Number(String(fields[1] ?? 0)) : undefined,
          },
          buyers: countBuyers(saleId, found, new Map(pairs(strays))),
          skus: skus.map((sku, j) => toSku(saleId, skuNames[j] ?? '', sku)),
        };
      });
      return {
        ...base,
        news: {
          entries: entries.map(([id, fields]) => ({
            id: String(id),
            records: decodeOutbox(fields[1] ?? Buffer.alloc(0)),
          })),
          ...{ sales: saleLooks, purchases, deadlines: scores(deadlines ?? []) },
        },
      };
    },
  };
}
