// The continuous audit over the audited sale of a test: rounds without waiting, and what it told.
import { afterAll, beforeEach } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { createOnlineAudit, type OnlineAudit } from '../../shop/admin/admin.ts';
import { type CheckEntry, listChecks } from '../../shop/admin/audit-store.ts';
import { listFindings } from '../../shop/admin/finding-store.ts';
import { type AuditStand, useAuditStand } from './audit-stand.ts';
import { quietLog } from './outbox.ts';

export const FAST = { slicesPerSecond: 10_000, timeShare: 0.9, confirmPauseMs: 10 };

type Choices = Partial<Parameters<typeof createOnlineAudit>[0]>;

export interface OnlineStand {
  readonly stand: AuditStand;
  readonly audit: OnlineAudit;
  /** Another one in its place. */
  replace(choices?: Choices): Promise<OnlineAudit>;
  /** Codes of the open findings, and the SKUs that are blocked. */
  told(): Promise<{ codes: string[]; blocked: string[] }>;
  /** The last check of the sale's shirt, or of another SKU. */
  checkOf(sku?: string): Promise<CheckEntry | undefined>;
}

export function useOnlineAudit(): OnlineStand {
  let audit: OnlineAudit | undefined;
  // Only the sale of this test is looked at.
  const stand = useAuditStand(async ({ outbox: { postgres } }) => {
    await audit?.stop();
    await postgres.query("UPDATE sales SET status = 'CLOSED', updated_at = now() - interval '2 days'");
    await postgres.query('UPDATE sale_items SET is_live = false');
    await postgres.query('DELETE FROM audit_findings');
  });
  const open = (choices: Choices = {}): OnlineAudit => {
    const { outbox } = stand.shop;
    const usual = { redisUrl: outbox.testRedis.url, clock: systemClock, log: quietLog, pace: FAST };
    return createOnlineAudit({ ...outbox, ...usual, ...choices });
  };
  beforeEach(() => {
    audit = open();
  });
  // Registered after the stand's, so it comes before: the audit ends while the shop is still there.
  afterAll(() => audit?.stop());

  return {
    stand,
    get audit() {
      if (audit === undefined) throw new Error('an audit is there within tests only');
      return audit;
    },
    async replace(choices) {
      await audit?.stop();
      audit = open(choices);
      return audit;
    },
    async told() {
      const { saleId } = stand.sale;
      const { postgres, stock } = stand.shop.outbox;
      const left = (await listFindings(postgres, saleId)).filter((finding) => finding.resolvedAt === null);
      const blocked = (await stock.blocksOf(saleId)).map(({ sku, reason }) => `${sku} ${reason}`);
      return { codes: [...new Set(left.map((finding) => finding.code))].sort(), blocked };
    },
    async checkOf(sku = stand.sale.shirt) {
      const checks = await listChecks(stand.shop.outbox.postgres, stand.sale.saleId);
      return checks.find((entry) => entry.sku === sku);
    },
  };
}
