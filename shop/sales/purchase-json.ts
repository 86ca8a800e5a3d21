// A purchase's answer as JSON, put together from pieces: what JSON.stringify would write, member for member and in the same
// order, at a fraction of its cost. What is rare (a payment, a reason) is left to it.
import { keepLast } from '../../core/last-made.ts';
import type { PurchaseReply } from './wire-purchase.ts';

/** Every member that a reply may have: one that is added there must be written here, or be left to JSON.stringify. */
type Written =
  | ('purchaseId' | 'saleId' | 'sku' | 'quantity' | 'status' | 'version' | 'ticket' | 'unitPrice' | 'totalAmount')
  | ('currency' | 'ahead' | 'estimatedWaitSeconds' | 'expiresAt' | 'bucket' | 'orderId');
type LeftToStringify = 'payment' | 'reason';
type Forgotten = Exclude<keyof PurchaseReply, Written | LeftToStringify>;

/**
 * What purchases of one SKU have in common: put together for the last one, which the next one is mostly like. Few pieces: each
 * one that is joined is an object, and a step more when the text is sent.
 */
let last = {
  ...{ saleId: '', sku: '', quantity: -1, status: '', version: -1, unitPrice: -1, totalAmount: -1, currency: '' },
  ...{ wish: '', price: '' },
};

function commonOf(purchase: PurchaseReply): typeof last {
  const { saleId, sku, quantity, status, version, unitPrice, totalAmount, currency } = purchase;
  if (
    last.saleId !== saleId ||
    last.sku !== sku ||
    last.quantity !== quantity ||
    last.status !== status ||
    last.version !== version ||
    last.unitPrice !== unitPrice ||
    last.totalAmount !== totalAmount ||
    last.currency !== currency
  ) {
    const wish = `",${JSON.stringify({ saleId, sku, quantity, status, version }).slice(1, -1)},"ticket":`;
    const price = `,${JSON.stringify({ unitPrice, totalAmount, currency }).slice(1, -1)}`;
    last = { saleId, sku, quantity, status, version, unitPrice, totalAmount, currency, wish, price };
  }
  return last;
}

/** The holds of one batch end at one instant. */
const deadlineOf = keepLast((expiresAt: string) => `,"expiresAt":"${expiresAt}"`);

/** Ids, states and instants are ours, and have no character that JSON would escape; an order of /inventory/reserve may have. */
const PLAIN = /^[\w:.-]*$/;

export function writePurchase(purchase: PurchaseReply & Record<Forgotten, never>): string {
  const { purchaseId, ticket, ahead, estimatedWaitSeconds, expiresAt, bucket, orderId } = purchase;
  if (purchase.payment !== undefined || purchase.reason !== undefined) return JSON.stringify(purchase);
  if (orderId !== undefined && !PLAIN.test(orderId)) return JSON.stringify(purchase);
  const { wish, price } = commonOf(purchase);
  let text = `{"purchaseId":"${purchaseId}${wish}${ticket}${price}`;
  if (ahead !== undefined) text += `,"ahead":${ahead}`;
  if (estimatedWaitSeconds !== undefined) text += `,"estimatedWaitSeconds":${estimatedWaitSeconds}`;
  if (expiresAt !== undefined) text += deadlineOf(expiresAt);
  if (bucket !== undefined) text += `,"bucket":${bucket}`;
  return orderId === undefined ? `${text}}` : `${text},"orderId":"${orderId}"}`;
}
