/**
 * Sales over the wire: what a request must look like, what an answer looks like, and the types of both.
 * Prices are decimals here and integer minor units everywhere behind; identifiers that reach Redis keys are narrowed here.
 */
import { z } from 'zod';
import { PARTITIONS, PER_BUYER_LIMIT_MAX } from '../../core/constants.ts';
import { partitionOf } from '../../core/ids.ts';
import { toDecimal, toMinor } from '../../core/money.ts';
import type { SkuCounters } from '../../actors/records.ts';
import { bucketOf, bucketsOf, publicSaleId } from '../../actors/buckets.ts';
import type { LiveSale, SkuCounts } from './live-sales.ts';

/** Printable text only: Postgres refuses NUL in text, and operators read these in terminals. */
const PRINTABLE = /^[^\p{Cc}\p{Cs}]*$/u;

export const SKU_PATTERN = /^[A-Za-z0-9._-]{1,64}$/;
const MAX_STOCK = 10_000_000;
export const MAX_ITEMS = 100;
const MAX_HOLD_SECONDS = 86_400;
/** One purchase in a quarter of an hour: what is slower is a sale that stands still. */
const MIN_ADMISSION_PER_SECOND = 0.001;
/** Far beyond any price, and safely inside a double's integers in minor units, times the largest quantity. */
const MAX_PRICE = 1_000_000_000;

export const printable = (maxLength: number) =>
  z.string().min(1).max(maxLength).regex(PRINTABLE, 'must not contain control characters');

export const skuSchema = z.string().regex(SKU_PATTERN, 'must be 1 to 64 letters, digits, dots, dashes or underscores');
export const currencySchema = z.string().regex(/^[A-Z]{3}$/, 'must be an ISO 4217 code of three capital letters');
export const saleIdSchema = z.string().max(128);
export const instantSchema = z.iso.datetime({ offset: true });
/** In Redis 0 is "none" and an instant is milliseconds since 1970. */
const plannedInstant = instantSchema.refine((text) => !(Date.parse(text) <= 0), 'must be later than 1970');

/** Whether a text may name a sale at all; only such texts get near a Redis key. */
export function isSaleId(text: string): boolean {
  return text.startsWith('sale_') && partitionOf(text) !== undefined;
}

const itemSchema = z.object({
  sku: skuSchema,
  stock: z.int().min(0).max(MAX_STOCK),
  price: z.number().min(0).max(MAX_PRICE),
  currency: currencySchema.default('INR'),
});

const createSaleShape = z.object({
  name: printable(200),
  opensAt: plannedInstant.nullable().default(null),
  closesAt: plannedInstant.nullable().default(null),
  holdSeconds: z.int().min(1).max(MAX_HOLD_SECONDS).default(600),
  perBuyerLimit: z.int().min(1).max(PER_BUYER_LIMIT_MAX).default(1),
  lineLimit: z.int().min(0).max(MAX_STOCK).nullable().default(null),
  admissionPerSecond: z.number().min(MIN_ADMISSION_PER_SECOND).max(1_000_000).nullable().default(null),
  paymentStart: z.enum(['eager', 'on_demand']).default('eager'),
  buckets: z
    .int()
    .min(1)
    .max(PARTITIONS)
    .default(1)
    .describe(
      'splits the stock over so many partitions, for a SKU that outgrows one Redis; each bucket has its own line',
    ),
  items: z.array(itemSchema).min(1).max(MAX_ITEMS),
});

/** Reads instants as milliseconds and prices as minor units, and checks what no single field can tell. */
export const createSaleSchema = createSaleShape.transform((sale, context) => {
  const opensAt = sale.opensAt === null ? null : Date.parse(sale.opensAt);
  const closesAt = sale.closesAt === null ? null : Date.parse(sale.closesAt);
  if (opensAt !== null && closesAt !== null && closesAt <= opensAt) {
    context.addIssue({ code: 'custom', path: ['closesAt'], message: 'must be later than opensAt' });
  }
  const seen = new Set<string>();
  const items = sale.items.map((item, index) => {
    if (seen.has(item.sku)) {
      context.addIssue({ code: 'custom', path: ['items', index, 'sku'], message: 'is listed twice in this sale' });
    }
    seen.add(item.sku);
    const unitPrice = toMinor(item.price, item.currency);
    if (unitPrice === undefined) {
      const message = `has more decimals than ${item.currency} has`;
      context.addIssue({ code: 'custom', path: ['items', index, 'price'], message });
    }
    return { sku: item.sku, stock: item.stock, unitPrice: unitPrice ?? 0, currency: item.currency };
  });
  return { ...sale, opensAt, closesAt, items };
});

export type CreateSale = z.output<typeof createSaleSchema>;

export const saleStatusSchema = z.enum(['SCHEDULED', 'OPEN', 'PAUSED', 'CLOSED']);

export const listSalesQuery = z.object({
  after: z.string().max(128).optional(),
  limit: z.coerce.number().int().min(1).max(100).default(20),
  status: saleStatusSchema.optional(),
});

export const saleParams = z.object({ saleId: saleIdSchema });

const count = z.int().min(0);
/** As the scripts have it: below zero it is a violation, which must be seen and not hidden by a reader that refuses it. */
const liveCount = z.int();

export const saleReplySchema = z.object({
  saleId: z.string(),
  name: z.string(),
  status: saleStatusSchema,
  opensAt: instantSchema.nullable(),
  closesAt: instantSchema.nullable(),
  holdSeconds: z.int(),
  perBuyerLimit: z.int(),
  lineLimit: z.int().nullable(),
  admissionPerSecond: z.number().nullable(),
  paymentStart: z.enum(['eager', 'on_demand']),
  createdAt: instantSchema,
  buckets: z.int().optional().describe('absent where the stock is not split; tickets are numbered in each bucket'),
  items: z.array(
    z.object({
      sku: z.string(),
      stock: count,
      price: z.number(),
      currency: z.string(),
      loaded: liveCount,
      available: liveCount,
      held: liveCount,
      sold: liveCount,
      waiting: liveCount,
      /** Only where this SKU is stopped; AUDIT: its counts contradicted each other. */
      blocked: z.object({ reason: z.enum(['AUDIT', 'OPERATOR', 'FAULT']), since: instantSchema.nullable() }).optional(),
    }),
  ),
});

export type SaleReply = z.output<typeof saleReplySchema>;

export const saleListSchema = z.object({ items: z.array(saleReplySchema), next: z.string().nullable() });

const NO_COUNTS: SkuCounts = { loaded: 0, available: 0, held: 0, sold: 0, waiting: 0 };
const toInstant = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

export function toSaleReply({ row, status, counts, blocks }: LiveSale): SaleReply {
  return {
    saleId: row.saleId,
    name: row.name,
    status,
    opensAt: toInstant(row.opensAt),
    closesAt: toInstant(row.closesAt),
    holdSeconds: row.holdSeconds,
    perBuyerLimit: row.perBuyerLimit,
    lineLimit: row.lineLimit,
    admissionPerSecond: row.admissionPerSecond,
    paymentStart: row.paymentStart,
    createdAt: new Date(row.createdAt).toISOString(),
    ...(row.buckets === 1 ? {} : { buckets: row.buckets }),
    items: row.items.map((item) => {
      const { loaded, available, held, sold, waiting } = counts.get(item.sku) ?? NO_COUNTS;
      const price = toDecimal(item.unitPrice, item.currency);
      const block = blocks.get(item.sku);
      return {
        sku: item.sku,
        stock: item.totalStock,
        price,
        currency: item.currency,
        loaded,
        available,
        held,
        sold,
        waiting,
        ...(block === undefined ? {} : { blocked: { reason: block.reason, since: toInstant(block.since || null) } }),
      };
    }),
  };
}

/** A line, as the WebSocket and the live page show it: of a split sale, the line and the counts of one bucket. */
export function toLine(counters: SkuCounters): Record<string, unknown> {
  return {
    type: 'line',
    saleId: publicSaleId(counters.saleId),
    sku: counters.sku,
    ...(bucketsOf(counters.saleId) === 1 ? {} : { bucket: bucketOf(counters.saleId) }),
    status: counters.saleStatus,
    head: counters.head,
    waiting: counters.waiting,
    available: counters.available,
    held: counters.held,
    sold: counters.sold,
    version: counters.version,
  };
}
