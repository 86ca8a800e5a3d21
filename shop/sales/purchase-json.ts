// A purchase's answer as JSON, put together from pieces: what JSON.stringify would write, member for member and in the same
// order, at a fraction of its cost. What is rare (a payment, a reason) is left to it.
import type { PurchaseReply } from './wire-purchase.ts';

/** Every member that a reply may have: one that is added there must be written here, or be left to JSON.stringify. */
type Written =
  | ('purchaseId' | 'saleId' | 'sku' | 'quantity' | 'status' | 'version' | 'ticket' | 'unitPrice' | 'totalAmount')
  | ('currency' | 'ahead' | 'estimatedWaitSeconds' | 'expiresAt' | 'bucket' | 'orderId');
type LeftToStringify = 'payment' | 'reason';
type Forgotten = Exclude<keyof PurchaseReply, Written | LeftToStringify>;

/** What purchases of one SKU have in common: put together for the last one, which the next one is mostly like. */
let last = { saleId: '', sku: '', quantity: -1, unitPrice: -1, totalAmount: -1, currency: '', wish: '', price: '' };

function commonOf({ saleId, sku, quantity, unitPrice, totalAmount, currency }: PurchaseReply): typeof last {
  if (
    last.saleId !== saleId ||
    last.sku !== sku ||
    last.quantity !== quantity ||
    last.unitPrice !== unitPrice ||
    last.totalAmount !== totalAmount ||
    last.currency !== currency
  ) {
    const wish = JSON.stringify({ saleId, sku, quantity }).slice(1, -1);
    const price = JSON.stringify({ unitPrice, totalAmount, currency }).slice(1, -1);
    last = { saleId, sku, quantity, unitPrice, totalAmount, currency, wish, price };
  }
  return last;
}

/** Ids, states and instants are ours, and have no character that JSON would escape; an order of /inventory/reserve may have. */
const PLAIN = /^[\w:.-]*$/;

export function writePurchase(purchase: PurchaseReply & Record<Forgotten, never>): string {
  const { purchaseId, status, version, ticket, ahead, estimatedWaitSeconds, expiresAt, bucket, orderId } = purchase;
  if (purchase.payment !== undefined || purchase.reason !== undefined) return JSON.stringify(purchase);
  if (orderId !== undefined && !PLAIN.test(orderId)) return JSON.stringify(purchase);
  const { wish, price } = commonOf(purchase);
  let text = `{"purchaseId":"${purchaseId}",${wish},"status":"${status}","version":${version},"ticket":${ticket},${price}`;
  if (ahead !== undefined) text += `,"ahead":${ahead}`;
  if (estimatedWaitSeconds !== undefined) text += `,"estimatedWaitSeconds":${estimatedWaitSeconds}`;
  if (expiresAt !== undefined) text += `,"expiresAt":"${expiresAt}"`;
  if (bucket !== undefined) text += `,"bucket":${bucket}`;
  if (orderId !== undefined) text += `,"orderId":"${orderId}"`;
  return `${text}}`;
}
