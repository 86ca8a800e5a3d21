// The endpoints of the audit and of blocked SKUs, for administrators. They translate; nothing is decided here.
import { defineRoute, type Route } from '../route.ts';
import type { AuditView } from './audit-view.ts';
import type { SkuBlocks } from './sku-blocks.ts';
import { auditParams, auditReplySchema, blockBodySchema, blockParams, blockReplySchema } from './wire.ts';

const TAG = 'Audit';

export function auditRoutes({ audits, blocks }: { audits: AuditView; blocks: SkuBlocks }): Route[] {
  const all = defineRoute({
    method: 'GET',
    path: '/api/v1/admin/audit',
    summary: 'What the continuous audit says of every live SKU, and its open findings',
    tag: TAG,
    access: 'admin',
    replies: { 200: { description: 'The last check of each live SKU', schema: auditReplySchema } },
    async handle() {
      return { status: 200, body: await audits.all() };
    },
  });

  const one = defineRoute({
    method: 'GET',
    path: '/api/v1/admin/audit/{saleId}',
    summary: 'The same of one sale, with the findings of the past',
    tag: TAG,
    access: 'admin',
    params: auditParams,
    replies: { 200: { description: 'The last check of each SKU of the sale', schema: auditReplySchema } },
    errors: ['SALE_NOT_FOUND'],
    async handle({ params }) {
      return { status: 200, body: await audits.of(params.saleId) };
    },
  });

  const block = defineRoute({
    method: 'POST',
    path: '/api/v1/admin/sales/{saleId}/skus/{sku}/block',
    summary: 'Stops one SKU of a sale; payments and expiries go on. Repeating it changes nothing',
    tag: TAG,
    access: 'admin',
    params: blockParams,
    body: blockBodySchema,
    isBodyOptional: true,
    replies: { 200: { description: 'How the SKU is blocked', schema: blockReplySchema } },
    errors: ['SALE_NOT_FOUND', 'SKU_NOT_FOUND', 'FENCED'],
    async handle({ params: { saleId, sku }, body, caller }) {
      const note = body.reason ?? `by ${caller.userId}`;
      const blocked = await blocks.block(saleId, sku, { userId: caller.userId, note });
      return { status: 200, body: { saleId, sku, blocked } };
    },
  });

  const unblock = defineRoute({
    method: 'POST',
    path: '/api/v1/admin/sales/{saleId}/skus/{sku}/unblock',
    summary: 'Lets a SKU sell again and resolves its findings; what is still wrong is found and stopped again',
    tag: TAG,
    access: 'admin',
    params: blockParams,
    replies: { 200: { description: 'How the SKU is blocked: null where it sells', schema: blockReplySchema } },
    errors: ['SALE_NOT_FOUND', 'SKU_NOT_FOUND', 'FENCED'],
    async handle({ params: { saleId, sku }, caller }) {
      const blocked = await blocks.unblock(saleId, sku, { userId: caller.userId });
      return { status: 200, body: { saleId, sku, blocked } };
    },
  });

  return [all, one, block, unblock];
}
