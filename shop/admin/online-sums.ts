// What each independent record of a SKU adds up to, as the audit's result keeps it and the API shows it.
import type { SkuEvidence } from './judge-online.ts';

export interface SkuSums {
  /** The counts by which the scripts decide. */
  readonly redis: {
    loaded: number;
    available: number;
    held: number;
    sold: number;
    waiting: number;
    lastTicket: number;
  };
  /** Summed from the purchases themselves. */
  readonly purchases: { held: number; sold: number; waiting: number; tickets: number };
  /** Purchases that are held and that wait: as they are counted, and how many there should be. */
  readonly sets: { holds: number; holders: number; line: number; waiters: number };
  readonly ledger: { loaded: number; available: number; held: number; sold: number };
  readonly orders: { sold: number };
}

export function toSums({ counters: c, sums, sizes, ledger, paidOrders }: SkuEvidence): SkuSums {
  return {
    redis: {
      loaded: c.loaded,
      available: c.available,
      held: c.held,
      sold: c.sold,
      waiting: c.waiting,
      lastTicket: c.lastTicket,
    },
    purchases: { held: sums.held, sold: sums.sold, waiting: sums.waiting, tickets: c.lastTicket - sums.gaps },
    sets: { holds: sizes.holds, holders: sums.holders, line: sizes.line, waiters: sums.waiters },
    ledger: { loaded: ledger.loaded, available: ledger.available, held: ledger.held, sold: ledger.sold },
    orders: { sold: paidOrders },
  };
}
