// The jobs of the shop: name → payload. Talking to a slice above is one of these, so every slice may import this file
// and it imports nothing. Payloads carry ids and never state: the handler reads the truth when it runs.

export interface JobMap {
  /** Entries of a partition's outbox, to be written to Postgres, followed up and acknowledged. */
  'outbox.apply': { partition: number; entryIds: string[] };
  /** Purchases that got a hold in an eager sale and whose order is committed: create the payment intents. */
  'payment.start': { purchaseIds: string[] };
  /** Purchases whose hold ended unpaid: cancel the intent where there is one. */
  'payment.cancel': { purchaseIds: string[] };
  /** Stored provider events. */
  'payment.settle': { eventIds: string[] };
  /** Paid purchases that were given back, by purchase id, or by order id for a cart's: return the money. */
  'payment.refund': { keys: string[] };
  /** Payments that succeeded and of which something may be left to do, by key: settle them as their event would have. */
  'payment.resume': { keys: string[]; source: 'recovery' | 'rebuild' };
  /** The second mechanism behind the sweep: end the due holds of a partition. */
  'hold.expire': { partition: number };
}
