// What of the servers' records of a sale contradicts what the crowd has seen. Independent of the audit: it knows nothing
// of Redis and trusts only rows and answers.
import type { Records } from './record-store.ts';
import type { Witness } from './witness.ts';

export interface Verdict {
  oversold: number;
  lost: number;
  outOfOrder: number;
}

/** All three are 0 when the system kept its word. */
export function judge(records: Records, witness: Witness, stock: number, headSteppedBack: number): Verdict {
  const confirmed = [...witness.acknowledged].filter(([, { latest }]) => latest.status === 'CONFIRMED');
  const known = new Map(records.purchases.map((row) => [row.purchaseId, row]));
  const isLost = ([purchaseId, { latest }]: (typeof confirmed)[number]): boolean => {
    const row = known.get(purchaseId);
    if (row === undefined || row.ticket !== latest.ticket) return true;
    return latest.status === 'CONFIRMED' && (row.status !== 'CONFIRMED' || !records.paidOrders.has(purchaseId));
  };
  return {
    oversold: Math.max(0, confirmed.length - stock, records.sold - stock, records.paidOrders.size - stock),
    lost: [...witness.acknowledged].filter(isLost).length + witness.lost.size,
    // Tickets that were lost with a store are given out again: what buyers saw of the line before does not count then.
    outOfOrder: overtakings(records) + (witness.lost.size > 0 ? 0 : witness.overtaken.size + headSteppedBack),
  };
}

/** Pairs of tickets where the later one got its hold while the earlier one still waited for its own. */
export function overtakings({ purchases, admittedTickets }: Pick<Records, 'purchases' | 'admittedTickets'>): number {
  const seen: number[] = [];
  let pairs = 0;
  for (const ticket of admittedTickets) {
    const place = placeOf(seen, ticket);
    pairs += seen.length - place;
    seen.splice(place, 0, ticket);
  }
  // Who never got a hold and did not leave either was passed over by every later one that did.
  for (const { hadHold, status, ticket } of purchases) {
    const isPassedOver = !hadHold && (status === 'WAITING' || status === 'SOLD_OUT');
    if (isPassedOver) pairs += seen.length - placeOf(seen, ticket);
  }
  return pairs;
}

/** How many of the sorted numbers are smaller. */
function placeOf(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
