// Money in a race: buying until there is something to pay, paying as a buyer's page does, and what the provider's books must say of
// a purchase when everything has come to rest.
import { expect } from 'vitest';
import { newBuyer } from './api.ts';
import type { Door, LiveShop } from './live-shop.ts';
import { buy, type Buyer, type Sale } from './race.ts';

/** A worker on a busy machine may take its time; what never comes to rest is found all the same. */
const REST = { timeout: 120_000, interval: 50 };

export interface Payable {
  buyer: Buyer;
  purchaseId: string;
  clientSecret: string;
  expiresAt: number;
}

/** Buys, and waits until there is something to pay; the secret is empty where the hold was too short for that. */
export async function buyPayable(door: Door, sale: Sale): Promise<Payable> {
  const buyer = await newBuyer();
  const { status, body } = await buy(door, sale, buyer);
  expect(status).toBe(201);
  let clientSecret = '';
  const look = async (): Promise<string> => {
    const mine = (await door.call('GET', `/api/v1/purchases/${body.purchaseId}`, { token: buyer.token })).body;
    clientSecret = mine.payment?.clientSecret ?? '';
    return clientSecret === '' ? mine.status : 'payable';
  };
  // A short hold may end on a slow machine before there is anything to pay.
  await expect.poll(look, REST).toMatch(/^(payable|EXPIRED)$/);
  return { buyer, purchaseId: body.purchaseId, clientSecret, expiresAt: Date.parse(body.expiresAt) };
}

/** Pays as the buyer's page does: at the provider, past the shop. Answers whether the provider took it. */
export async function pay({ sandbox }: LiveShop, { clientSecret }: Pick<Payable, 'clientSecret'>): Promise<boolean> {
  if (clientSecret === '') return false;
  const [intentId = ''] = clientSecret.split('_secret_');
  const form = { payment_method: 'pm_card_visa', client_secret: clientSecret, key: 'pk_test_race' };
  const answer = await fetch(`${sandbox.url}/v1/payment_intents/${intentId}/confirm`, {
    method: 'POST',
    body: new URLSearchParams(form),
  });
  return answer.ok;
}

export interface Books {
  /** Units of money that the buyer has paid and not got back. */
  kept: number;
  charges: number;
  refunds: number;
}

export function booksOf({ sandbox }: LiveShop, purchaseId: string): Books {
  const intents = sandbox.intents().filter(({ metadata }) => metadata['purchase_id'] === purchaseId);
  const paid = intents.filter(({ status }) => status === 'succeeded');
  const refunds = sandbox.refunds().filter(({ payment_intent: of }) => paid.some(({ id }) => id === of));
  const sum = (amounts: readonly number[]): number => amounts.reduce((total, amount) => total + amount, 0);
  return {
    kept: sum(paid.map((intent) => intent.amount_received)) - sum(refunds.map(({ amount }) => amount)),
    charges: paid.length,
    refunds: refunds.length,
  };
}

/** Waits until a purchase is paid or over and its money is where it belongs; answers how it ended. */
export async function comesToRest(shop: LiveShop, purchaseId: string): Promise<string> {
  let status = '';
  const look = async (): Promise<string> => {
    const [purchase] = await shop.stock.look([purchaseId]);
    status = purchase?.status ?? 'unknown';
    const { kept, charges, refunds } = booksOf(shop, purchaseId);
    const price = (purchase?.unitPrice ?? 0) * (purchase?.quantity ?? 0);
    if (charges > 1 || refunds > 1) return `${charges} charges and ${refunds} refunds of ${purchaseId}`;
    if (status === 'CONFIRMED' && kept === price) return 'at rest';
    const isOver = ['CANCELLED', 'EXPIRED', 'REFUNDED', 'SOLD_OUT'].includes(status);
    return isOver && kept === 0 ? 'at rest' : `${status} with ${kept} of ${price} kept`;
  };
  await expect.poll(look, REST).toBe('at rest');
  return status;
}
