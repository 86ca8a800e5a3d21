// The verbs over purchases by id, and those of a whole sale, of the model. Each batch decides item by item; what came free
// is offered to the line when the batch is through.
import {
  countsOf,
  expireDue,
  hold,
  isHeld,
  isLive,
  leave,
  meet,
  type ModelPurchase,
  type ModelSale,
  type ModelSku,
  offer,
  open,
  type Status,
  unitsOf,
  type World,
} from './stock-model.ts';

/** Decides each purchase; unknown ids are NOT_FOUND. Then the lines of all SKUs that something happened to. */
function batch<Item extends { id: string }>(
  world: World,
  items: readonly Item[],
  decide: (p: ModelPurchase, item: Item) => string,
): string[] {
  const changed = new Map<ModelSku, ModelSale>();
  const answers = items.map((item) => {
    const p = world.purchases.get(item.id);
    if (!p) return 'NOT_FOUND';
    if (meet(world, p.sale)) for (const sku of p.sale.skus) changed.set(sku, p.sale);
    const before = `${p.status} ${p.isRefundDue}`;
    const answer = decide(p, item);
    if (before !== `${p.status} ${p.isRefundDue}`) changed.set(p.sku, p.sale);
    return answer;
  });
  for (const [sku, sale] of changed) offer(world, sale, sku);
  return answers;
}

export const confirm = (world: World, ids: readonly string[]): string[] =>
  batch(
    world,
    ids.map((id) => ({ id })),
    (p) => {
      if (isHeld(p) || p.status === 'CONFIRMED') {
        p.status = 'CONFIRMED';
        return 'CONFIRMED';
      }
      if (p.status === 'REFUNDED') return 'REFUND';
      if (p.status !== 'EXPIRED' && p.status !== 'CANCELLED') return 'ILLEGAL';
      const { sale, sku } = p;
      const isWithinLimit =
        p.orderRef !== '' || sale.limit === 0 || unitsOf(world, sale, p.buyer) + p.quantity <= sale.limit;
      const hasStock = sku.line.length === 0 && countsOf(world, sku).available >= p.quantity;
      if (!p.isRefundDue && p.hadHold && hasStock && isWithinLimit) {
        p.status = 'CONFIRMED';
        return 'CONFIRMED';
      }
      p.isRefundDue = true;
      return 'REFUND';
    },
  );

export const release = (world: World, items: readonly { id: string; buyer: string; reason: string }[]): string[] =>
  batch(world, items, (p, { buyer, reason }) => {
    if (buyer !== '' && buyer !== p.buyer) return 'NOT_FOUND';
    if (!isLive(p)) return 'REPLAY';
    if (p.status === 'CONFIRMED') {
      if (reason !== 'REFUND') return 'CONFIRMED';
      p.status = 'REFUNDED';
    } else if (p.status === 'WAITING') leave(p, 'CANCELLED');
    else p.status = 'CANCELLED';
    return 'RELEASED';
  });

const MARKS: Readonly<Record<string, readonly Status[]>> = {
  PAYMENT_PENDING: ['RESERVED', 'PAYMENT_FAILED'],
  PAYMENT_FAILED: ['RESERVED', 'PAYMENT_PENDING'],
  REFUNDED: ['EXPIRED', 'CANCELLED'],
};

export const mark = (world: World, items: readonly { id: string; status: Status }[]): string[] =>
  batch(world, items, (p, { status }) => {
    if (p.status === status) return 'REPLAY';
    if (!MARKS[status]?.includes(p.status) || (status === 'REFUNDED' && !p.isRefundDue)) return 'ILLEGAL';
    p.status = status;
    return 'MARKED';
  });

// --- sweep ---

export function endLine(sale: ModelSale): void {
  for (const sku of sale.skus) for (const p of [...sku.line]) leave(p, 'CANCELLED');
}

/** Ends what is due, moves the sales by the clock, admits. Returns how many holds ended. */
export function sweep(world: World): number {
  let ended = 0;
  for (const sale of world.sales) {
    meet(world, sale);
    for (const sku of sale.skus) ended += expireDue(world, sku);
    if (sale.status === 'CLOSED') endLine(sale);
    for (const sku of sale.skus) offer(world, sale, sku);
  }
  return ended;
}

// --- verbs of an operator ---

export function setState(world: World, sale: ModelSale, verb: 'open' | 'pause' | 'close'): string {
  meet(world, sale);
  const target = { open: 'OPEN', pause: 'PAUSED', close: 'CLOSED' } as const;
  if (sale.status === target[verb]) return 'REPLAY';
  if (sale.status === 'CLOSED' || (verb === 'pause' && sale.status !== 'OPEN')) return 'ILLEGAL';
  if (verb === 'open') open(world, sale);
  else sale.status = target[verb];
  if (verb === 'close') endLine(sale);
  return 'OK';
}

export function restock(world: World, sale: ModelSale, sku: ModelSku, by: number): string {
  meet(world, sale);
  if (sale.status === 'CLOSED') return 'SALE_CLOSED';
  if (countsOf(world, sku).available + by < 0) return 'BELOW';
  sku.loaded += by;
  offer(world, sale, sku);
  return 'OK';
}

// --- a checkout ---

export interface ModelOrder {
  readonly body: string;
  purchases: ModelPurchase[];
}

export interface ModelLine {
  readonly sale: ModelSale;
  readonly sku: ModelSku;
  readonly quantity: number;
}

/** All or nothing; never while somebody waits; once per order id. */
export function reserveOrder(
  world: World,
  orders: Map<string, ModelOrder>,
  orderId: string,
  lines: readonly ModelLine[],
  nextId: (line: ModelLine) => string,
): string {
  const body = JSON.stringify(lines.map((l) => [l.sale.id, l.sku.name, l.quantity]));
  const known = orders.get(orderId);
  if (known && known.body !== body) return 'KEY_REUSED';
  if (known?.purchases.some((p) => isHeld(p) || p.status === 'CONFIRMED')) return 'REPLAY';
  for (const { sale, sku, quantity } of lines) {
    meet(world, sale);
    if (sale.status === 'CLOSED') return 'SALE_CLOSED';
    if (sale.status !== 'OPEN') return 'SALE_PAUSED';
    expireDue(world, sku);
    offer(world, sale, sku);
    if (sku.line.length > 0 || countsOf(world, sku).available < quantity) return 'INSUFFICIENT_STOCK';
  }
  const purchases = lines.map((line): ModelPurchase => {
    const { sale, sku, quantity } = line;
    const p: ModelPurchase = {
      ...{
        id: nextId(line),
        sale,
        sku,
        buyer: '',
        quantity,
        ticket: 0,
        orderRef: orderId,
        status: 'RESERVED' as const,
      },
      ...{ expiresAt: 0, isRefundDue: false, hadHold: true },
    };
    hold(world, p);
    return p;
  });
  orders.set(orderId, { body, purchases });
  return 'RESERVED';
}

export function releaseOrder(world: World, orders: Map<string, ModelOrder>, orderId: string): string {
  const known = orders.get(orderId);
  if (!known) return 'NOT_FOUND';
  const held = known.purchases.filter(isHeld);
  batch(world, known.purchases, (p) => {
    if (isHeld(p)) p.status = 'CANCELLED';
    return '';
  });
  return held.length > 0 ? 'RELEASED' : 'REPLAY';
}
