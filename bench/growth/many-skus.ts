// Sales of so many SKUs, a hundred a sale, which is what the door takes in one: a merchant's own calls.
import { mintTokens } from '../../scripts/tokens/mint.ts';
import type { Offer, Stage } from '../stage.ts';

/** The door takes no more in one sale. */
const SKUS_A_SALE_MAX = 100;
const TERMS = { opensAt: null, holdSeconds: 3_600, perBuyerLimit: 1, paymentStart: 'on_demand' };

export async function openSkus(stage: Stage, skus: number, stock: number): Promise<Offer[]> {
  const [token = ''] = await mintTokens(['u_bench-merchant'], 'ADMIN', stage.config.jwtSecret);
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const post = async (path: string, body: unknown): Promise<{ saleId: string }> => {
    const answer = await fetch(`${stage.url}/api/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`POST ${path}: ${answer.status} ${await answer.text()}`);
    // As the contract says.
    return (await answer.json()) as { saleId: string };
  };
  const offers: Offer[] = [];
  while (offers.length < skus) {
    const names = Array.from({ length: Math.min(SKUS_A_SALE_MAX, skus - offers.length) }, (_, i) => offers.length + i);
    const items = names.map((n) => ({ sku: `GROWTH-${skus}-${n}`, stock, price: 499, currency: 'INR' }));
    const { saleId } = await post('/sales', { name: `growth, ${skus}`, ...TERMS, items });
    await post(`/sales/${saleId}/open`, {});
    offers.push(...items.map(({ sku }) => ({ saleId, sku, stock })));
  }
  return offers;
}
