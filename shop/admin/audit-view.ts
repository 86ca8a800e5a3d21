// What the API tells of the continuous audit: the workers' results as they stand in Postgres, and Redis' blocks. While
// Postgres cannot be asked, what was known before is told as unknown, with the time since which it is.
import type { StockStore } from '../../actors/stock-store.ts';
import type { Clock } from '../../core/clock.ts';
import { fault } from '../../core/errors.ts';
import { isInfrastructureError, type Postgres } from '../../core/postgres/postgres.ts';
import { type CheckEntry, listChecks } from './audit-store.ts';
import { listFindings } from './finding-store.ts';
import { type AuditReply, type BlockView, type SaleAudit, toBlockView, toFinding, toSkuAudit } from './wire.ts';

export interface AuditView {
  all(): Promise<AuditReply>;
  /** With the findings of the past. Throws SALE_NOT_FOUND. */
  of(saleId: string): Promise<AuditReply>;
}

const ANSWERS_KEPT_MAX = 100;

export function createAuditView(deps: {
  postgres: Postgres;
  stock: Pick<StockStore, 'blocksOf'>;
  clock: Clock;
}): AuditView {
  const { postgres, stock, clock } = deps;
  const lastAnswers = new Map<string, AuditReply>();

  /** Redis may be away while Postgres is not: then nothing is said of blocks. */
  async function blocksOf(saleId: string): Promise<Map<string, BlockView>> {
    const blocks = await stock.blocksOf(saleId).catch((error: unknown) => {
      if (isInfrastructureError(error)) return [];
      throw error;
    });
    return new Map(blocks.map((block) => [block.sku, toBlockView(block)]));
  }

  async function read(saleId: string | undefined): Promise<AuditReply> {
    const checks = Map.groupBy(await listChecks(postgres, saleId), (entry) => entry.saleId);
    const findings = Map.groupBy(await listFindings(postgres, saleId), (entry) => entry.saleId);
    const sales: SaleAudit[] = [];
    for (const [id, entries] of checks) {
      const [first] = entries;
      if (first === undefined) continue;
      const own = (findings.get(id) ?? []).map(toFinding);
      const blocks = await blocksOf(id);
      const skus = entries.map((entry: CheckEntry) => toSkuAudit(entry, blocks.get(entry.sku) ?? null));
      sales.push({ saleId: id, name: first.name, status: first.status, skus, findings: own });
    }
    return { isCurrent: true, readAt: new Date(clock.now()).toISOString(), ok: sales.every(isSound), sales };
  }

  async function answer(saleId: string | undefined): Promise<AuditReply> {
    const key = saleId ?? '';
    try {
      const reply = await read(saleId);
      if (lastAnswers.size >= ANSWERS_KEPT_MAX) lastAnswers.clear();
      lastAnswers.set(key, reply);
      return reply;
    } catch (error) {
      const before = lastAnswers.get(key);
      if (before === undefined || !isInfrastructureError(error)) throw error;
      return toUnknown(before);
    }
  }

  return {
    all: () => answer(undefined),
    async of(saleId) {
      const reply = await answer(saleId);
      if (reply.sales.length === 0) throw fault('SALE_NOT_FOUND', 'there is no such sale');
      return reply;
    },
  };
}

const isSound = ({ skus, findings }: SaleAudit): boolean =>
  skus.every(({ state }) => state !== 'DIFFERS') && findings.every(({ resolvedAt }) => resolvedAt !== null);

/** Nobody can have checked anything since: the audit needs Postgres itself. */
function toUnknown(before: AuditReply): AuditReply {
  const { readAt } = before;
  const sales = before.sales.map((sale) => ({
    ...sale,
    skus: sale.skus.map((sku) => ({
      ...sku,
      state: 'UNKNOWN' as const,
      unknownSince: sku.unknownSince ?? sku.checkedAt ?? readAt,
      reason: 'Postgres cannot be asked',
    })),
  }));
  return { ...before, isCurrent: false, sales };
}
