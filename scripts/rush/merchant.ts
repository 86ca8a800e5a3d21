// The merchant's side of a rush: makes the sale, opens it, and closes it in the end. Over the public API, with an
// administrator's token; a call that gets no answer is made again.
import { sleep } from '../../core/clock.ts';
import type { Offer } from './http-door.ts';
import type { RushOptions } from './options.ts';
import { mintTokens } from '../tokens/mint.ts';

export interface Merchant {
  readonly token: string;
  createSale(options: RushOptions): Promise<Offer>;
  open(saleId: string): Promise<void>;
  close(saleId: string): Promise<void>;
}

const TRIES = 20;
const PAUSE_MS = 500;
const PRICE = 499;

export async function createMerchant(url: string, jwtSecret: string, runId: string): Promise<Merchant> {
  const [token = ''] = await mintTokens(['u_rush-merchant'], 'ADMIN', jwtSecret);
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };

  async function post(path: string, body: unknown, key: string): Promise<unknown> {
    let last = 'no answer';
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      try {
        const init = { method: 'POST', headers: { ...headers, 'idempotency-key': key }, body: JSON.stringify(body) };
        const answer = await fetch(`${url}/api/v1${path}`, init);
        if (answer.ok) return await answer.json();
        last = `${answer.status} ${await answer.text()}`;
        if (answer.status < 500 && answer.status !== 429) break;
      } catch (error) {
        last = error instanceof Error ? error.message : String(error);
      }
      await sleep(PAUSE_MS);
    }
    throw new Error(`POST ${path} was not done: ${last}`);
  }

  return {
    token,
    async createSale({ stock, holdSeconds, rate }) {
      const sku = `RUSH-${runId.toUpperCase()}`;
      const sale = {
        name: `Rush ${runId}`,
        opensAt: null,
        holdSeconds,
        perBuyerLimit: 1,
        admissionPerSecond: rate,
        items: [{ sku, stock, price: PRICE, currency: 'INR' }],
      };
      // As documented; anything else shows in the next call.
      const { saleId } = (await post('/sales', sale, `rush-${runId}`)) as { saleId: string };
      return { saleId, sku };
    },
    async open(saleId) {
      await post(`/sales/${saleId}/open`, {}, `open-${saleId}`);
    },
    async close(saleId) {
      await post(`/sales/${saleId}/close`, {}, `close-${saleId}`);
    },
  };
}
