// Purchases as a buyer sees them: buy, look, give back. Redis decides and answers; Postgres answers for what Redis has
// forgotten (24 h after the sale closed). Nobody is told anything about another's purchase, not even that it exists.
import { bucketFor } from '../../actors/buckets.ts';
import { newPurchaseId, olderPurchaseId } from '../../actors/purchase-ids.ts';
import type { Purchase } from '../../actors/records.ts';
import type { Counter } from '../../actors/sku-actor.ts';
import type { BuyOutcome, PurchaseView, StockStore } from '../../actors/stock-store.ts';
import { fault, hasCode, messageOf } from '../../core/errors.ts';
import { partitionOf } from '../../core/ids.ts';
import { keepLast } from '../../core/last-made.ts';
import type { Later } from '../../core/later.ts';
import { createWishPrints } from './wish-prints.ts';
import type { Log } from '../../core/log.ts';
import { isInfrastructureError, type Postgres } from '../../core/postgres/postgres.ts';
import { findPurchase, findPurchases } from './purchase-store.ts';
import { isHolding } from './purchase-states.ts';
import { findSale } from './store.ts';
import { isSaleId } from './wire.ts';
import { isPurchaseId, type PaymentView, type PurchaseReply, toPurchaseReply } from './wire-purchase.ts';

/** Implemented by the payments, the floor above. Undefined while no payment was started. */
export type PaymentLookup = (purchaseId: string) => Promise<PaymentView | undefined>;
/** A buyer looks at a hold that is to be paid: where a sale starts payments on demand, this is the demand. */
export type PaymentWanted = (purchaseId: string) => Promise<void>;

export interface BuyInput {
  saleId: string;
  sku: string;
  quantity: number;
  buyer: string;
  key: string | undefined;
}

export type Bought =
  | { kind: 'purchase'; purchase: PurchaseReply; isReplay: boolean }
  | Extract<BuyOutcome, { kind: 'refused' }>;

export interface Purchases {
  /** `isAbandoned`: the buyer has gone away, and what is not begun is not done. */
  buy(input: BuyInput, deadlineAt: number, isAbandoned?: () => boolean): Bought | Later<Bought>;
  /** Throws PURCHASE_NOT_FOUND for another's. */
  get(purchaseId: string, buyer: string): Promise<PurchaseReply>;
  /** Those of the buyer's that exist, without their payments. */
  getAll(purchaseIds: readonly string[], buyer: string): Promise<PurchaseReply[]>;
  release(purchaseId: string, buyer: string): Promise<PurchaseReply>;
}

export interface PurchasesDependencies {
  postgres: Postgres;
  stock: StockStore;
  counter: Counter;
  paymentOf: PaymentLookup;
  onPaymentWanted: PaymentWanted;
  log: Log;
}

type Found = PurchaseView | (Purchase & { ahead?: never; estimatedWaitSeconds?: never });

const SOLD_OUT: Bought = { kind: 'refused', code: 'SOLD_OUT' };

const salePartition = keepLast((saleId: string) => (isSaleId(saleId) ? partitionOf(saleId) : undefined));

const notFound = () => fault('PURCHASE_NOT_FOUND', 'there is no such purchase');

function show(found: Found, payment?: PaymentView): PurchaseReply {
  const { ahead, estimatedWaitSeconds } = found;
  return toPurchaseReply(found, { ahead, estimatedWaitSeconds, payment });
}

export function createPurchases(dependencies: PurchasesDependencies): Purchases {
  const { postgres, stock, counter, log } = dependencies;
  const printOf = createWishPrints();
  let lastBlindness = '';

  async function find(purchaseId: string, buyer: string): Promise<Found> {
    if (!isPurchaseId(purchaseId)) throw notFound();
    const [live] = await stock.look([purchaseId]);
    const found = live ?? (await findPurchase(postgres, purchaseId));
    // A hold that /inventory/reserve made belongs to its order, not to a buyer.
    if (found === undefined || found.buyer !== buyer || found.orderRef !== '') throw notFound();
    return found;
  }

  /** The payment, if it can be told: a purchase is shown even while Postgres is away. */
  async function paymentFor(purchase: Purchase): Promise<PaymentView | undefined> {
    if (!purchase.hadHold) return undefined;
    try {
      if (purchase.status === 'RESERVED') await dependencies.onPaymentWanted(purchase.purchaseId);
      const payment = await dependencies.paymentOf(purchase.purchaseId);
      lastBlindness = '';
      return payment;
    } catch (error) {
      if (!isInfrastructureError(error)) throw error;
      const reason = messageOf(error);
      // One line when the trouble begins or changes, not one for everybody who looks meanwhile.
      if (reason !== lastBlindness) log.warn({ reason }, 'purchases are shown without their payments');
      lastBlindness = reason;
      return undefined;
    }
  }

  /** A secret is of use only while the hold lives; afterwards only the payment's state is shown. */
  async function showWithPayment(purchase: Found): Promise<PurchaseReply> {
    const payment = await paymentFor(purchase);
    if (payment === undefined || isHolding(purchase.status)) return show(purchase, payment);
    return show(purchase, { status: payment.status, clientSecret: null });
  }

  /** What Redis refuses because it has forgotten, Postgres may remember: the retry's own purchase, or at least the sale. */
  async function recall(input: BuyInput, purchaseId: string, print: string, code: 'SALE_CLOSED' | 'SALE_NOT_FOUND') {
    const past =
      input.key === undefined
        ? undefined
        : ((await findPurchase(postgres, purchaseId)) ??
          (await findPurchase(postgres, olderPurchaseId(input.saleId, input.buyer, input.key))));
    if (past !== undefined && past.buyer === input.buyer) {
      if (past.fingerprint !== print) return { kind: 'refused', code: 'KEY_REUSED' } as const;
      return { kind: 'purchase', purchase: show(past), isReplay: true } as const;
    }
    if (code === 'SALE_CLOSED') return { kind: 'refused', code } as const;
    const sale = await findSale(postgres, input.saleId);
    if (sale === undefined) return { kind: 'refused', code } as const;
    if (sale.isInstalled) return { kind: 'refused', code: 'SALE_CLOSED' } as const;
    throw fault('UNAVAILABLE', 'the sale is being prepared', { retryAfterSeconds: 1 });
  }

  return {
    buy(input, deadlineAt, isAbandoned) {
      const { sku, quantity, buyer, key } = input;
      const saleId = bucketFor(input.saleId, buyer);
      const partition = salePartition(saleId);
      if (partition === undefined) return { kind: 'refused', code: 'SALE_NOT_FOUND' };
      // First of all, since it is what most of a crowd is told: without a promise, an id or a hash.
      if (key === undefined && counter.isSoldOut(saleId, sku, quantity)) return SOLD_OUT;
      const purchaseId = newPurchaseId(saleId, buyer, key);
      const print = printOf(sku, quantity);
      const wish = { saleId, sku, buyer, quantity, purchaseId, fingerprint: print, hasKey: key !== undefined };
      return counter.buy(wish, deadlineAt, isAbandoned).map<Bought>((outcome) => {
        if (outcome.kind === 'purchase') {
          return { kind: 'purchase', purchase: show(outcome.purchase), isReplay: outcome.isReplay };
        }
        const { code } = outcome;
        const isForgotten = code === 'SALE_NOT_FOUND' || (code === 'SALE_CLOSED' && key !== undefined);
        return isForgotten ? recall({ ...input, saleId }, purchaseId, print, code) : outcome;
      });
    },

    async get(purchaseId, buyer) {
      return showWithPayment(await find(purchaseId, buyer));
    },

    async getAll(purchaseIds, buyer) {
      const ids = [...new Set(purchaseIds.filter(isPurchaseId))];
      const live = await stock.look(ids);
      const forgotten = ids.filter((_, i) => live[i] === undefined);
      const past: Found[] = forgotten.length === 0 ? [] : await findPast(forgotten);
      const all: Found[] = [...live.filter((view) => view !== undefined), ...past];
      return all.filter((found) => found.buyer === buyer && found.orderRef === '').map((found) => show(found));
    },

    async release(purchaseId, buyer) {
      const before = await find(purchaseId, buyer);
      const [answer] = await stock.release([{ purchaseId, buyer, reason: 'BUYER' }]);
      if (answer === undefined || answer.outcome === 'NOT_FOUND') {
        // Redis has forgotten it, so it ended long ago: giving it back once more changes nothing.
        if (before.status === 'CONFIRMED') throw confirmed(before.purchaseId);
        return show(before);
      }
      if (answer.outcome === 'CONFIRMED') throw confirmed(purchaseId);
      return show(answer.purchase ?? before);
    },
  };

  async function findPast(purchaseIds: readonly string[]): Promise<Purchase[]> {
    try {
      return await findPurchases(postgres, purchaseIds);
    } catch (error) {
      if (hasCode(error, 'UNAVAILABLE') || isInfrastructureError(error)) return [];
      throw error;
    }
  }
}

const confirmed = (purchaseId: string) =>
  fault('ILLEGAL_TRANSITION', 'a purchase that is paid is not given back, it is refunded', {
    members: { purchaseId, purchaseStatus: 'CONFIRMED' },
  });
