// The buyers of a bench: each with a token that is signed before the clock starts, and what a buyer sends.
import { randomId } from '../../core/ids.ts';
import { mintTokens } from '../../scripts/tokens/mint.ts';

export interface Wish {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Buyers that nobody has seen before. The same tokens may be used in another sale: a limit counts within one. */
export function gatherCrowd(count: number, jwtSecret: string): Promise<string[]> {
  const run = randomId('u_bench').slice(-8);
  return mintTokens(
    Array.from({ length: count }, (_, i) => `u_bench-${run}-${i}`),
    'USER',
    jwtSecret,
  );
}

export function purchaseWishes(
  tokens: readonly string[],
  offer: { saleId: string; sku: string },
  { hasKey = false } = {},
): Wish[] {
  const path = `/api/v1/sales/${offer.saleId}/purchases`;
  const body = JSON.stringify({ sku: offer.sku, quantity: 1 });
  return tokens.map((token, i) => ({
    path,
    body,
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      ...(hasKey ? { 'idempotency-key': `bench-${i}` } : {}),
    },
  }));
}
