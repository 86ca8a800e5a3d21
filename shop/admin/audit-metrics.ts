// What the continuous audit tells to Prometheus. Only SKUs with an open finding have a line of their own.
import type { Clock } from '../../core/clock.ts';
import { counter, gauge } from '../../core/metrics.ts';
import type { AuditState } from './audit-store.ts';

export interface AuditMetrics {
  countRound(): void;
  /** Without a state, Postgres could not be asked: the age grows on. */
  tell(state: AuditState | undefined): void;
}

const violations = gauge(
  'doorbuster_conservation_violations_count',
  'Open findings of the continuous audit, by the SKU whose sale they stopped',
  ['sale', 'sku'],
);
const age = gauge('doorbuster_audit_age_seconds', 'Since the live SKU that was checked longest ago was checked');
const rounds = counter('doorbuster_audit_rounds_total', 'Rounds of this process over all live SKUs');

export function createAuditMetrics(clock: Clock): AuditMetrics {
  let known: { seconds: number; at: number } | undefined;
  return {
    countRound: () => rounds.inc(),
    tell(state) {
      if (state !== undefined) {
        known = { seconds: state.ageSeconds, at: clock.now() };
        violations.reset();
        for (const { saleId, sku, count } of state.open) violations.set({ sale: saleId, sku }, count);
      }
      if (known !== undefined) age.set(known.seconds + (clock.now() - known.at) / 1000);
    },
  };
}
