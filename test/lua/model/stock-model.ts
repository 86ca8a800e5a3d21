// The stock as the design tells it, in plain objects: what the scripts must do, not how. Counts are never stored here, they
// are summed up from the purchases each time. Slices are left out: histories are short. The verbs of orders and the checks
// of histories are in the files beside it.
export type Status =
  | 'WAITING'
  | 'RESERVED'
  | 'PAYMENT_PENDING'
  | 'PAYMENT_FAILED'
  | 'CONFIRMED'
  | 'EXPIRED'
  | 'CANCELLED'
  | 'SOLD_OUT'
  | 'REFUNDED';

export interface ModelPurchase {
  readonly id: string;
  readonly sale: ModelSale;
  readonly sku: ModelSku;
  readonly buyer: string;
  readonly quantity: number;
  readonly ticket: number;
  readonly orderRef: string;
  status: Status;
  expiresAt: number;
  isRefundDue: boolean;
  hadHold: boolean;
}

export interface ModelSku {
  readonly name: string;
  loaded: number;
  lastTicket: number;
  readonly line: ModelPurchase[];
}

export interface ModelSale {
  readonly id: string;
  status: 'SCHEDULED' | 'OPEN' | 'PAUSED' | 'CLOSED';
  readonly opensAt: number;
  readonly closesAt: number;
  readonly holdMs: number;
  readonly limit: number;
  readonly lineLimit: number | null;
  readonly rate: number;
  readonly backlogLimit: number;
  tokens: number;
  tokensAt: number;
  readonly skus: ModelSku[];
}

export interface World {
  now: number;
  readonly sales: ModelSale[];
  readonly purchases: Map<string, ModelPurchase>;
}

export const isHeld = (p: ModelPurchase): boolean =>
  p.status === 'RESERVED' || p.status === 'PAYMENT_PENDING' || p.status === 'PAYMENT_FAILED';
export const isLive = (p: ModelPurchase): boolean => isHeld(p) || p.status === 'WAITING' || p.status === 'CONFIRMED';

const all = (world: World): ModelPurchase[] => [...world.purchases.values()];
const units = (purchases: readonly ModelPurchase[]): number => purchases.reduce((sum, p) => sum + p.quantity, 0);

export function countsOf(world: World, sku: ModelSku) {
  const own = all(world).filter((p) => p.sku === sku);
  const held = units(own.filter(isHeld));
  const sold = units(own.filter((p) => p.status === 'CONFIRMED'));
  const available = sku.loaded - held - sold;
  const head = sku.line[0]?.ticket ?? sku.lastTicket + 1;
  return { loaded: sku.loaded, available, held, sold, waiting: units(sku.line), head, lastTicket: sku.lastTicket };
}

/** Waiting, held and sold units of a buyer in a sale; a checkout's holds count for nobody. */
export const unitsOf = (world: World, sale: ModelSale, buyer: string): number =>
  units(all(world).filter((p) => p.sale === sale && p.buyer === buyer && p.orderRef === '' && isLive(p)));

// --- time ---

/** A sale moves by the clock when a script meets it. True when it did. */
export function meet(world: World, sale: ModelSale): boolean {
  const before = sale.status;
  if (sale.status === 'SCHEDULED' && sale.opensAt > 0 && world.now >= sale.opensAt) open(world, sale);
  if (sale.status !== 'CLOSED' && sale.closesAt > 0 && world.now >= sale.closesAt) sale.status = 'CLOSED';
  return sale.status !== before;
}

export function open(world: World, sale: ModelSale): void {
  sale.status = 'OPEN';
  sale.tokensAt = world.now;
}

/** A token of the throttle, and room in the payment backlog. */
export function admits(world: World, sale: ModelSale): boolean {
  const unstarted = all(world).filter((p) => p.sale === sale && p.orderRef === '' && p.status === 'RESERVED').length;
  if (sale.backlogLimit > 0 && unstarted >= sale.backlogLimit) return false;
  if (sale.rate === 0) return true;
  const burst = Math.max(1, sale.rate / 2);
  const tokens = Math.min(burst, sale.tokens + ((world.now - sale.tokensAt) * sale.rate) / 1000);
  if (tokens < 1 - 1e-9) return false;
  sale.tokens = Math.max(0, tokens - 1);
  sale.tokensAt = world.now;
  return true;
}

// --- the line ---

export function hold(world: World, p: ModelPurchase): void {
  p.status = 'RESERVED';
  p.expiresAt = world.now + p.sale.holdMs;
  p.hadHold = true;
}

export function leave(p: ModelPurchase, status: Status): void {
  p.sku.line.splice(p.sku.line.indexOf(p), 1);
  p.status = status;
}

/** Whoever can no longer be served is told so; then the head gets what is free, and blocks while it may still come. */
export function offer(world: World, sale: ModelSale, sku: ModelSku): void {
  const remaining = sku.loaded - countsOf(world, sku).sold;
  for (const p of sku.line.filter((waiting) => waiting.quantity > remaining)) leave(p, 'SOLD_OUT');
  if (sale.status !== 'OPEN') return;
  for (let head = sku.line[0]; head; head = sku.line[0]) {
    if (head.quantity > countsOf(world, sku).available || !admits(world, sale)) return;
    leave(head, 'WAITING');
    hold(world, head);
  }
}

export function expireDue(world: World, sku: ModelSku): number {
  const due = all(world).filter((p) => p.sku === sku && isHeld(p) && p.expiresAt <= world.now);
  for (const p of due) p.status = 'EXPIRED';
  return due.length;
}

// --- verbs of a buyer ---

export interface ModelWish {
  readonly id: string;
  readonly buyer: string;
  readonly quantity: number;
}

/** One batch; per wish `STATUS ticket` or the refusal. */
export function reserve(world: World, sale: ModelSale, sku: ModelSku, wishes: readonly ModelWish[]): string[] {
  meet(world, sale);
  expireDue(world, sku);
  offer(world, sale, sku);
  return wishes.map((wish) => {
    const known = world.purchases.get(wish.id);
    if (known) {
      const isSame = known.sku === sku && known.buyer === wish.buyer && known.quantity === wish.quantity;
      return isSame ? `${known.status} ${known.ticket}` : 'KEY_REUSED';
    }
    return decide(world, sale, sku, wish);
  });
}

function decide(world: World, sale: ModelSale, sku: ModelSku, wish: ModelWish): string {
  const counts = countsOf(world, sku);
  if (sale.status === 'CLOSED') return 'SALE_CLOSED';
  if (sale.status === 'PAUSED') return 'SALE_PAUSED';
  if (sale.limit > 0 && unitsOf(world, sale, wish.buyer) + wish.quantity > sale.limit) return 'LIMIT_EXCEEDED';
  if (wish.quantity > counts.loaded - counts.sold) return 'SOLD_OUT';
  const isFree = sale.status === 'OPEN' && sku.line.length === 0 && wish.quantity <= counts.available;
  const isReserved = isFree && admits(world, sale);
  const places = sale.lineLimit ?? 2 * sku.loaded;
  if (!isReserved && sale.status === 'OPEN' && counts.waiting + wish.quantity > places) return 'LINE_FULL';
  sku.lastTicket += 1;
  const p: ModelPurchase = {
    ...{ id: wish.id, sale, sku, buyer: wish.buyer, quantity: wish.quantity, ticket: sku.lastTicket, orderRef: '' },
    ...{ status: 'WAITING', expiresAt: 0, isRefundDue: false, hadHold: false },
  };
  world.purchases.set(p.id, p);
  if (isReserved) hold(world, p);
  else sku.line.push(p);
  return `${p.status} ${p.ticket}`;
}
