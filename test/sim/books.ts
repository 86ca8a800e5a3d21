// When everything has come to rest: the provider's books against ours, and Postgres against Redis, row by row. What is not
// right yet is a sentence; once the time is over, it is a violation.
import type { PurchaseStatus } from '../../actors/records.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import { isHolding } from '../../shop/sales/purchase-states.ts';
import type { Provider } from './provider.ts';
import type { Trail } from './stock-trail.ts';
import { mustHold, type Rule } from './violation.ts';

export interface Problem {
  readonly rule: Rule;
  readonly text: string;
}

interface Rows {
  purchases:
    | {
        purchase_id: string;
        version: number;
        status: PurchaseStatus;
        ticket: number;
        buyer_id: string;
        quantity: number;
      }[]
    | null;
  orders: { order_id: string; purchase_id: string | null; status: string; version: number; lines: number }[] | null;
  ledger: { sale_id: string; sku: string; available: number; held: number; sold: number; loaded: number }[] | null;
  items: { sale_id: string; sku: string; loaded: number }[] | null;
  payments: { purchase_id: string; status: string; provider_payment_id: string | null }[] | null;
  refunds: { purchase_id: string; provider_refund_id: string | null; status: string }[] | null;
  unsettled: number;
  dead: number;
}

const READ_ALL = `
  SELECT (SELECT json_agg(p) FROM (SELECT purchase_id, version, status, ticket, buyer_id, quantity FROM purchases) p) AS purchases,
         (SELECT json_agg(o) FROM (SELECT order_id, purchase_id, status, version,
            (SELECT count(*) FROM order_items i WHERE i.order_id = orders.order_id) AS lines FROM orders) o) AS orders,
         (SELECT json_agg(l) FROM (SELECT sale_id, sku, sum(d_available) AS available, sum(d_held) AS held, sum(d_sold) AS sold,
            sum(d_loaded) AS loaded FROM ledger GROUP BY sale_id, sku) l) AS ledger,
         (SELECT json_agg(i) FROM (SELECT sale_id, sku, loaded FROM sale_items) i) AS items,
         (SELECT json_agg(p) FROM (SELECT purchase_id, status, provider_payment_id FROM payments) p) AS payments,
         (SELECT json_agg(r) FROM (SELECT purchase_id, provider_refund_id, status FROM refunds) r) AS refunds,
         (SELECT count(*)::int FROM payment_events WHERE settled_at IS NULL) AS unsettled,
         (SELECT count(*)::int FROM dead_records) AS dead`;

/** At every moment: nobody is charged twice for a purchase, no more is returned than was taken. */
export function checkOnce(provider: Provider): void {
  const charged = new Set<string>();
  for (const { key, status } of provider.intents.values()) {
    if (status !== 'succeeded') continue;
    mustHold(!charged.has(key), 'once', () => `${key} was charged twice`);
    charged.add(key);
  }
  const returned = new Set<string>();
  for (const { purchaseId } of provider.refunds) {
    mustHold(!returned.has(purchaseId), 'once', () => `${purchaseId} was refunded twice`);
    returned.add(purchaseId);
  }
}

/** What the provider and the stock do not agree on yet. */
export function openMoney(trail: Trail, provider: Provider): Problem[] {
  const problems: Problem[] = [];
  const say = (text: string): void => void problems.push({ rule: 'money', text });
  const returned = new Set(provider.refunds.map((refund) => refund.purchaseId));
  const charged = new Set<string>();
  for (const { id, key, status } of provider.intents.values()) {
    if (status === 'processing') say(`${id} is being processed`);
    if (status === 'succeeded') charged.add(key);
  }
  for (const key of charged) {
    const status = trail.purchases.get(key)?.status;
    if (status === 'CONFIRMED' && returned.has(key)) say(`${key} is confirmed and its money was returned`);
    if (status !== 'CONFIRMED' && !returned.has(key)) say(`${key} is ${status ?? 'unknown'}, and its money was kept`);
    if (status === 'EXPIRED' || status === 'CANCELLED') say(`${key} was paid and is ${status}`);
  }
  for (const p of trail.purchases.values()) {
    if (p.status === 'CONFIRMED' && !charged.has(p.purchaseId)) say(`${p.purchaseId} is confirmed and was never paid`);
    if (p.status === 'REFUNDED' && charged.has(p.purchaseId) !== returned.has(p.purchaseId))
      say(`${p.purchaseId} is refunded without money`);
  }
  return problems;
}

/** Every purchase has come to an end. */
export function openPurchases(trail: Trail): Problem[] {
  return [...trail.purchases.values()]
    .filter((p) => p.status === 'WAITING' || isHolding(p.status))
    .map((p) => ({ rule: 'rest', text: `${p.purchaseId}, ticket ${p.ticket} of ${p.sku}, is still ${p.status}` }));
}

const ORDER_STATUS: Partial<Record<PurchaseStatus, readonly string[]>> = {
  CONFIRMED: ['CONFIRMED'],
  EXPIRED: ['EXPIRED'],
  CANCELLED: ['CANCELLED', 'FAILED'],
  REFUNDED: ['REFUNDED'],
};

function compareOrders(rows: Rows, trail: Trail, say: (text: string) => void): void {
  const orders = new Map((rows.orders ?? []).map((row) => [row.purchase_id, row]));
  if (orders.size !== (rows.orders ?? []).length) say('a purchase has two orders');
  for (const p of trail.purchases.values()) {
    const order = orders.get(p.purchaseId);
    const needsOne = p.hadHold && p.orderRef === '';
    if (needsOne !== (order !== undefined))
      say(`${p.purchaseId} had ${needsOne ? 'a' : 'no'} hold, and has ${order === undefined ? 'no' : 'an'} order`);
    if (order === undefined) continue;
    if (!(ORDER_STATUS[p.status] ?? []).includes(order.status))
      say(`${order.order_id} is ${order.status}, its purchase ${p.status}`);
    if (order.lines !== 1) say(`${order.order_id} has ${order.lines} lines`);
  }
}

function comparePayments(rows: Rows, provider: Provider, say: (text: string) => void): void {
  const payments = new Map((rows.payments ?? []).map((row) => [row.purchase_id, row]));
  const refunds = new Map((rows.refunds ?? []).map((row) => [row.purchase_id, row]));
  const returned = new Map(provider.refunds.map((one) => [one.purchaseId, one]));
  for (const intent of provider.intents.values()) {
    if (intent.status !== 'succeeded') continue;
    const payment = payments.get(intent.key);
    const due = returned.has(intent.key) ? 'refunded' : 'succeeded';
    if (payment?.provider_payment_id !== intent.id)
      say(`${intent.id} was paid, our row has ${payment?.provider_payment_id ?? 'nothing'}`);
    if (payment?.status !== due)
      say(`the payment of ${intent.key} is ${payment?.status}, the provider's books say ${due}`);
  }
  for (const [id, row] of refunds) {
    if (row.provider_refund_id !== returned.get(id)?.id)
      say(`our refund of ${id} is ${row.provider_refund_id}, the provider's ${returned.get(id)?.id ?? 'none'}`);
  }
  for (const id of returned.keys()) if (!refunds.has(id)) say(`${id} was refunded and we have no row of it`);
  for (const [id, row] of payments) {
    if (row.status === 'requires_payment_method' || row.status === 'processing' || row.status === 'failed')
      say(`the payment of ${id} is still ${row.status}`);
  }
}

/** Postgres against what the outbox told and what the provider did. */
export async function compareRows(postgres: Postgres, trail: Trail, provider: Provider): Promise<Problem[]> {
  const { rows: answer } = await postgres.query<Rows>(READ_ALL);
  const [rows] = answer;
  const problems: Problem[] = [];
  if (rows === undefined) return problems;
  const say = (text: string): void => void problems.push({ rule: 'postgres', text });
  const stored = new Map((rows.purchases ?? []).map((row) => [row.purchase_id, row]));
  for (const p of trail.purchases.values()) {
    const row = stored.get(p.purchaseId);
    const isSame =
      row !== undefined &&
      row.version === p.version &&
      row.status === p.status &&
      row.ticket === p.ticket &&
      row.buyer_id === p.buyer &&
      row.quantity === p.quantity;
    if (!isSame)
      say(
        `${p.purchaseId} is ${p.status} version ${p.version} in Redis, ${row?.status ?? 'unknown'} ${row?.version ?? ''} in Postgres`,
      );
  }
  for (const id of stored.keys()) if (!trail.purchases.has(id)) say(`${id} is in Postgres alone`);
  for (const sku of trail.skus.values()) {
    const sums = (rows.ledger ?? []).find((row) => row.sale_id === sku.saleId && row.sku === sku.sku);
    const isSame =
      sums?.loaded === sku.loaded &&
      sums.available === sku.available &&
      sums.held === sku.held &&
      sums.sold === sku.sold;
    if (!isSame)
      say(`the ledger of ${sku.sku} adds up to ${JSON.stringify(sums)}, not to loaded ${sku.loaded}, sold ${sku.sold}`);
    const item = (rows.items ?? []).find((row) => row.sale_id === sku.saleId && row.sku === sku.sku);
    if (item?.loaded !== sku.loaded) say(`the item ${sku.sku} says loaded ${item?.loaded}, not ${sku.loaded}`);
  }
  compareOrders(rows, trail, say);
  comparePayments(rows, provider, say);
  if (rows.unsettled > 0) say(`${rows.unsettled} events of the provider are not settled`);
  if (rows.dead > 0) say(`${rows.dead} records were refused by Postgres`);
  return problems;
}
