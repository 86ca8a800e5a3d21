// What tests of both audits stand on: a shop, and for each test a new sale whose books are in order, with something of
// everything in it. They plant one difference at a time.
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { keys } from '../../actors/keys.ts';
import type { AuditReport } from '../../shop/admin/admin.ts';
import { openAuditedShop, type AuditedShop } from './audited-shop.ts';
import { changeStored, readStored, spoilStored, type StoredPurchase } from './stored-purchase.ts';

export interface AuditedSale {
  saleId: string;
  /** SHIRT: 7 units, of which 4 are paid and 3 held, 2 of them given back before; 2 wait. */
  shirt: string;
  /** CAP: 2 units, sold out. */
  cap: string;
  paid: string[];
  held: string[];
  waiting: string[];
}

export interface AuditStand {
  readonly shop: AuditedShop;
  /** The one of this test. */
  readonly sale: AuditedSale;
  /** How many sales there were, this one included: for names that no other has. */
  readonly count: number;
  sql(text: string, values?: unknown[]): Promise<unknown>;
  redisKey(what: string, ...rest: string[]): string;
  /** Changes a purchase in Redis behind everybody's back. */
  changeRecord(purchaseId: string, changes: Partial<StoredPurchase>): Promise<void>;
  readRecord(purchaseId: string): Promise<StoredPurchase>;
  loseRecord(purchaseId: string): Promise<void>;
}

/** `between`: before each new sale, what is left of the one before is put aside. */
export function useAuditStand(between: (shop: AuditedShop) => Promise<void> = async () => undefined): AuditStand {
  let shop: AuditedShop;
  let sale: AuditedSale;
  let count = 0;
  const redisKey = (what: string, ...rest: string[]): string =>
    [keys.fence(shop.partition).replace(/fence$/, what), ...rest].join(':');

  beforeAll(async () => {
    shop = await openAuditedShop();
  });
  beforeEach(async () => {
    await between(shop);
    count += 1;
    sale = await fillSale(shop, count);
  });
  afterAll(() => shop.outbox.close());

  return {
    get shop() {
      return shop;
    },
    get sale() {
      return sale;
    },
    get count() {
      return count;
    },
    sql: (text, values = []) => shop.outbox.postgres.query(text, values),
    redisKey,
    changeRecord: (purchaseId, changes) => changeStored(shop.outbox.redis, redisKey(''), purchaseId, changes),
    readRecord: (purchaseId) => readStored(shop.outbox.redis, redisKey(''), purchaseId),
    loseRecord: (purchaseId) => spoilStored(shop.outbox.redis, redisKey(''), purchaseId),
  };
}

/** What it found, by kind. */
export function codesOf({ differences }: AuditReport): string[] {
  return [...new Set(differences.map((difference) => difference.code))].sort();
}

async function fillSale(shop: AuditedShop, count: number): Promise<AuditedSale> {
  const [shirt, cap] = [`SHIRT-${count}`, `CAP-${count}`];
  const saleId = await shop.openSale({ [shirt]: 7, [cap]: 2 });
  const bought = await shop.buy(saleId, shirt, 11);
  const caps = await shop.buy(saleId, cap, 3);
  await shop.outbox.stock.release(bought.slice(5, 7).map((purchaseId) => ({ purchaseId, reason: 'BUYER' as const })));
  const paid = bought.slice(0, 4);
  const held = [...bought.slice(4, 5), ...bought.slice(7, 9)];
  await shop.pay([...paid, ...caps.slice(0, 2)]);
  await shop.relay();
  return { saleId, shirt, cap, paid, held, waiting: bought.slice(9) };
}
