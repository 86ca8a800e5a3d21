// The way in over HTTP: a pool of kept-alive connections that the buyers share, as browsers behind a proxy do.
// A call never throws: what gets lost on the way is an answer like any other, namely none.
import { Pool } from 'undici';
import { LOST, type Pressed, type Purchase, readPurchase, readRefusal } from './answers.ts';
import type { Buyer } from './crowd.ts';
import type { Traffic } from './traffic.ts';

/** Longer than the server's own deadline, so that its word is heard if it has one. */
const ANSWER_LIMIT_MS = 15_000;
/** Looks have connections of their own: who holds a unit must not stand behind those who are pressing for one. */
const LOOKING_SHARE = 0.25;

export interface Offer {
  saleId: string;
  sku: string;
}

export interface HttpDoor {
  buy(buyer: Buyer): Promise<Pressed>;
  /** Undefined when no answer came. */
  look(buyer: Buyer, purchaseId: string): Promise<Purchase | undefined>;
  close(): Promise<void>;
}

interface Call {
  method: 'GET' | 'POST';
  path: string;
  headers: Record<string, string>;
  body?: string;
}

export function createHttpDoor(url: string, connections: number, offer: Offer, traffic: Traffic): HttpDoor {
  const open = (share: number): Pool =>
    new Pool(url, {
      connections: Math.max(1, Math.round(connections * share)),
      headersTimeout: ANSWER_LIMIT_MS,
      bodyTimeout: ANSWER_LIMIT_MS,
    });
  const pressing = open(1 - LOOKING_SHARE);
  const looking = open(LOOKING_SHARE);
  const wish = JSON.stringify({ sku: offer.sku, quantity: 1 });
  const buyPath = `/api/v1/sales/${offer.saleId}/purchases`;

  async function call(pool: Pool, request: Call): Promise<{ status: number; body: unknown } | undefined> {
    traffic.sent();
    try {
      const answer = await pool.request(request);
      const text = await answer.body.text();
      return { status: answer.statusCode, body: JSON.parse(text) };
    } catch {
      traffic.lost();
      return undefined;
    }
  }

  return {
    async buy(buyer) {
      const headers = {
        authorization: `Bearer ${buyer.token}`,
        'content-type': 'application/json',
        'idempotency-key': buyer.key,
      };
      const answer = await call(pressing, { method: 'POST', path: buyPath, headers, body: wish });
      if (answer === undefined) return LOST;
      const purchase = answer.status < 300 ? readPurchase(answer.body) : undefined;
      return purchase === undefined ? readRefusal(answer.body, answer.status) : { kind: 'purchase', purchase };
    },

    async look(buyer, purchaseId) {
      const headers = { authorization: `Bearer ${buyer.token}` };
      const answer = await call(looking, { method: 'GET', path: `/api/v1/purchases/${purchaseId}`, headers });
      return answer?.status === 200 ? readPurchase(answer.body) : undefined;
    },

    async close() {
      await Promise.all([pressing.destroy(), looking.destroy()]);
    },
  };
}
