// People who do not just buy: they retry, change their minds, pay with a card that is refused, or vanish with an open socket;
// people who only look; and somebody who knocks with bad requests. Every answer is counted; no call throws.
import { WebSocket } from 'ws';
import { sleep } from '../../core/clock.ts';
import type { Dice } from '../../scripts/rush/seeded.ts';

export interface Shop {
  readonly url: string;
  readonly sandboxUrl: string;
  readonly saleId: string;
  readonly sku: string;
  /** Told of every answer's status; 0 where none came. */
  heard(status: number, what: string): void;
}

interface Answer {
  status: number;
  // What a client reads of it: the members that the contract names, each of which may be missing.
  body: { purchaseId?: string; status?: string; payment?: { clientSecret?: string | null } };
}

const ANSWER_LIMIT_MS = 10_000;
const LOOK_PAUSE_MS = 300;
const SECRET_LOOKS = 15;
const REFUSED_CARD = 'pm_card_chargeDeclined';
const GOOD_CARD = 'pm_card_visa';

export async function behave(shop: Shop, token: string, dice: Dice): Promise<void> {
  const acts = [changesMind, paysAtSecondTry, vanishes, looksAround, knocksBadly];
  await acts[Math.floor(dice.next() * acts.length)]?.(shop, token, dice);
}

/** The same press several times, then no more interest. */
async function changesMind(shop: Shop, token: string, dice: Dice): Promise<void> {
  const key = `soak-${Math.floor(dice.next() * 1e9)}`;
  const presses = await Promise.all([buy(shop, token, key), buy(shop, token, key)]);
  const id = presses.find(({ body }) => body.purchaseId !== undefined)?.body.purchaseId;
  if (id === undefined) return;
  await call(shop, 'GET', `/api/v1/purchases/${id}`, token);
  await sleep(dice.between(0, 800));
  for (let i = 0; i < 2; i += 1) await call(shop, 'DELETE', `/api/v1/purchases/${id}`, token);
}

async function paysAtSecondTry(shop: Shop, token: string, dice: Dice): Promise<void> {
  const { body } = await buy(shop, token, undefined);
  if (body.purchaseId === undefined) return;
  for (let look = 0; look < SECRET_LOOKS; look += 1) {
    const seen = await call(shop, 'GET', `/api/v1/purchases/${body.purchaseId}`, token);
    const secret = seen.body.payment?.clientSecret;
    if (typeof secret === 'string') {
      await confirm(shop, secret, REFUSED_CARD);
      if (dice.isLucky(0.6)) await confirm(shop, secret, GOOD_CARD);
      return;
    }
    await sleep(LOOK_PAUSE_MS);
  }
}

/** Subscribes, buys, and is gone without a word. */
function vanishes(shop: Shop, token: string, dice: Dice): Promise<void> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`${shop.url.replace('http', 'ws')}/ws`, {
      headers: { authorization: `Bearer ${token}` },
      handshakeTimeout: ANSWER_LIMIT_MS,
    });
    const { saleId, sku } = shop;
    socket.on('error', () => undefined);
    socket.on('close', () => resolve());
    socket.on('open', () => {
      socket.send(JSON.stringify({ type: 'subscribe', saleId, sku }));
      socket.send(JSON.stringify({ type: 'buy', id: 1, saleId, sku, quantity: 1 }));
      setTimeout(() => socket.terminate(), dice.between(0, 1_500));
    });
  });
}

async function looksAround(shop: Shop, token: string): Promise<void> {
  for (const path of ['/', '/api/v1/sales', `/api/v1/sales/${shop.saleId}`, `/api/v1/inventory/${shop.sku}`]) {
    await call(shop, 'GET', path, token);
  }
  await call(shop, 'GET', '/openapi.json', undefined);
}

async function knocksBadly(shop: Shop, token: string, dice: Dice): Promise<void> {
  const path = `/api/v1/sales/${shop.saleId}/purchases`;
  await call(shop, 'POST', path, `${token.slice(0, -4)}AAAA`, '{}');
  await call(shop, 'POST', path, token, '{"sku":');
  await call(shop, 'POST', path, token, JSON.stringify({ sku: shop.sku, quantity: -1 }));
  await call(shop, 'GET', `/api/v1/purchases/pur_${Math.floor(dice.next() * 1e12)}`, token);
  await call(shop, 'POST', '/api/v1/payments/webhook', undefined, '{"forged":true}');
}

function buy(shop: Shop, token: string, key: string | undefined): Promise<Answer> {
  const body = JSON.stringify({ sku: shop.sku, quantity: 1 });
  const path = `/api/v1/sales/${shop.saleId}/purchases`;
  return call(shop, 'POST', path, token, body, key === undefined ? {} : { 'idempotency-key': key });
}

async function call(
  shop: Shop,
  method: string,
  path: string,
  token: string | undefined,
  body?: string,
  more: Record<string, string> = {},
): Promise<Answer> {
  const headers: Record<string, string> = { ...more };
  if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  const what = `${method} ${path.replace(/(pur|sale)_[^/]+/, '{id}')}`;
  try {
    const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
    const answer = await fetch(`${shop.url}${path}`, {
      method,
      headers,
      signal,
      ...(body === undefined ? {} : { body }),
    });
    const text = await answer.text();
    shop.heard(answer.status, what);
    const isJson = answer.headers.get('content-type')?.includes('json') === true;
    return { status: answer.status, body: isJson ? JSON.parse(text) : {} };
  } catch {
    shop.heard(0, what);
    return { status: 0, body: {} };
  }
}

/** As a page with Stripe.js does; see scripts/rush/till.ts, which knows good cards only. */
async function confirm({ sandboxUrl }: Shop, secret: string, card: string): Promise<void> {
  const [intentId = ''] = secret.split('_secret_');
  const form = { payment_method: card, client_secret: secret, key: 'pk_test_soak' };
  const init = { method: 'POST', body: new URLSearchParams(form), signal: AbortSignal.timeout(ANSWER_LIMIT_MS) };
  await fetch(`${sandboxUrl}/v1/payment_intents/${intentId}/confirm`, init)
    .then((answer) => answer.text())
    .catch(() => undefined);
}
