// The buyers of a bench: each with a token that is signed before the clock starts, and what a buyer sends.
import { closeSync, openSync, writeSync } from 'node:fs';
import { randomId } from '../../core/ids.ts';
import { mintTokens } from '../../scripts/tokens/mint.ts';

const WRITE_CHUNK = 5_000;

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

/** A wish as the bytes of its request. */
export function toRequest({ path, headers, body }: Wish, host: string): string {
  const all = { host, connection: 'keep-alive', ...headers, 'content-length': String(Buffer.byteLength(body)) };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return `POST ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`;
}

/** All of them in one file, NUL between them: some 350 bytes each, so that they are not put together in memory first. */
export function writeRequests(path: string, wishes: readonly Wish[], host: string): void {
  const file = openSync(path, 'w');
  for (let from = 0; from < wishes.length; from += WRITE_CHUNK) {
    const chunk = wishes.slice(from, from + WRITE_CHUNK).map((wish) => toRequest(wish, host));
    writeSync(file, `${chunk.join('\0')}\0`);
  }
  closeSync(file);
}
