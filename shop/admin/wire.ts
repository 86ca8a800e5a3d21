/**
 * The audit over the wire: what it says of each live SKU, the findings, and the blocking of a SKU by an operator.
 */
import { z } from 'zod';
import { instantSchema, printable, saleIdSchema, saleStatusSchema, skuSchema } from '../sales/sales.ts';
import type { CheckEntry } from './audit-store.ts';
import type { FindingEntry } from './finding-store.ts';

const units = z.int();

export const sumsSchema = z.object({
  redis: z.object({
    loaded: units,
    available: units,
    held: units,
    sold: units,
    waiting: units,
    lastTicket: units,
  }),
  purchases: z.object({ held: units, sold: units, waiting: units, tickets: units }),
  sets: z.object({ holds: units, holders: units, line: units, waiters: units }),
  ledger: z.object({ loaded: units, available: units, held: units, sold: units }),
  orders: z.object({ sold: units }),
});

export const findingSchema = z.object({
  sku: z.string().nullable(),
  code: z.string(),
  purchaseId: z.string().nullable(),
  message: z.string(),
  /** How many things of the kind it stands for. */
  count: z.int(),
  firstSeenAt: instantSchema,
  lastSeenAt: instantSchema,
  resolvedAt: instantSchema.nullable(),
  resolution: z.string(),
});

export const blockSchema = z.object({
  reason: z.enum(['AUDIT', 'OPERATOR', 'FAULT']),
  note: z.string(),
  since: instantSchema.nullable(),
});

const skuAuditSchema = z.object({
  sku: z.string(),
  /** UNKNOWN: nothing can be said at present, and `reason` says why; what stands beside it is the last result. */
  state: z.enum(['AGREES', 'DIFFERS', 'UNKNOWN']),
  checkedAt: instantSchema.nullable(),
  /** The outbox position of the sums. */
  position: z.int().nullable(),
  unknownSince: instantSchema.nullable(),
  reason: z.string().nullable(),
  blocked: blockSchema.nullable(),
  sums: sumsSchema.nullable(),
});

export const saleAuditSchema = z.object({
  saleId: z.string(),
  name: z.string(),
  status: saleStatusSchema,
  skus: z.array(skuAuditSchema),
  findings: z.array(findingSchema),
});

export const auditReplySchema = z.object({
  /** False where Postgres cannot be asked: then all of this is what was known before. */
  isCurrent: z.boolean(),
  readAt: instantSchema,
  /** No live SKU is known to differ. */
  ok: z.boolean(),
  sales: z.array(saleAuditSchema),
});

export const auditParams = z.object({ saleId: saleIdSchema });
export const blockParams = z.object({ saleId: saleIdSchema, sku: skuSchema });
export const blockBodySchema = z.object({ reason: printable(300).optional() });
export const blockReplySchema = z.object({ saleId: z.string(), sku: z.string(), blocked: blockSchema.nullable() });

export type SaleAudit = z.output<typeof saleAuditSchema>;
export type SkuAudit = z.output<typeof skuAuditSchema>;
export type BlockView = z.output<typeof blockSchema>;
export type AuditReply = z.output<typeof auditReplySchema>;

const instant = (at: Date | null): string | null => at?.toISOString() ?? null;

export function toBlockView(block: { reason: BlockView['reason']; note: string; since: number }): BlockView {
  const { reason, note, since } = block;
  return { reason, note, since: since === 0 ? null : new Date(since).toISOString() };
}

export function toSkuAudit(entry: CheckEntry, blocked: BlockView | null): SkuAudit {
  const { sku, state, checkedAt, position, unknownSince, reason, sums } = entry;
  // Written by this slice as JSON; should an older version have written it otherwise, it is not shown.
  const parsed = sumsSchema.safeParse(sums);
  return {
    sku,
    state: state ?? 'UNKNOWN',
    checkedAt: instant(checkedAt),
    position,
    unknownSince: instant(unknownSince),
    reason: reason === '' ? null : (reason ?? 'not checked yet'),
    blocked,
    sums: parsed.success ? parsed.data : null,
  };
}

export function toFinding(entry: FindingEntry): SaleAudit['findings'][number] {
  const { sku, code, purchaseId, message, count, firstSeenAt, lastSeenAt, resolvedAt, resolution } = entry;
  return {
    sku: sku === '' ? null : sku,
    code,
    purchaseId: purchaseId === '' ? null : purchaseId,
    message,
    count,
    firstSeenAt: firstSeenAt.toISOString(),
    lastSeenAt: lastSeenAt.toISOString(),
    resolvedAt: instant(resolvedAt),
    resolution,
  };
}
