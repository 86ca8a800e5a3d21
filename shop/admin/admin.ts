// The admin slice, as those above the shop see it: the audit. It reads what all other slices have written and changes
// nothing; what an operator changes goes through the API like everybody's requests.
export { type AuditReport, type AuditStep, runAudit } from './audit.ts';
export { dropDeadRecord } from './dead-store.ts';
export type { Difference } from './differences.ts';
export { findLiveSkus, findLoadedFor, type LiveSku } from './live-sku-store.ts';
