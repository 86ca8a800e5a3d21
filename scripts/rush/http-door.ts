// The way in over HTTP: a pool of kept-alive connections that the buyers share, as browsers behind a proxy do.
// A call never throws: what gets lost on the way is an answer like any other, namely none.
import { Pool } from 'undici';
import { systemClock } from '../../core/clock.ts';
import { LOST, type Pressed, type Purchase, readPurchase, readRefusal } from './answers.ts';
import type { Buyer } from './crowd.ts';
import type { Heard, Traffic } from './traffic.ts';

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
  /** Undefined when no answer came that says anything; 'gone' when there is no such purchase. */
  look(buyer: Buyer, purchaseId: string): Promise<Purchase | 'gone' | undefined>;
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
    const sentAtMs = systemClock.now();
    const question = request.method === 'POST' ? 'buy' : 'look';
    const note = (told: Pick<Heard, 'status' | 'code' | 'hasRetryAfter'>): void =>
      traffic.heard({ ...told, question, door: 'http', sentAtMs, heardAtMs: systemClock.now() });
    try {
      const answer = await pool.request(request);
      const body: unknown = JSON.parse(await answer.body.text());
      const status = answer.statusCode;
      note({ status, code: wordOf(body), hasRetryAfter: answer.headers['retry-after'] !== undefined });
      return { status, body };
    } catch {
      traffic.lost();
      note({ status: 0, code: '', hasRetryAfter: false });
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
      if (answer?.status === 404) return 'gone';
      return answer?.status === 200 ? readPurchase(answer.body) : undefined;
    },

    async close() {
      await Promise.all([pressing.destroy(), looking.destroy()]);
    },
  };
}

/** What an answer says in one word: a purchase's status, or the code of a refusal. */
function wordOf(body: unknown): string {
  const members: { status?: unknown; code?: unknown } = typeof body === 'object' && body !== null ? body : {};
  if (typeof members.code === 'string') return members.code;
  return typeof members.status === 'string' ? members.status : '';
}
