// The admin slice, as those above the shop see it: the audit on request, and the continuous one of the workers. They read
// what all other slices have written; the one thing that the continuous audit changes is that a SKU is sold no more.
export { type AuditReport, type AuditStep, runAudit } from './audit.ts';
export { createDeadLetters, type DeadLetters, type DeadMove } from './dead-letters.ts';
export type { Difference } from './differences.ts';
export { findLiveSkus, findLoadedFor, type LiveSku } from './live-sku-store.ts';
export { createOnlineAudit, type OnlineAudit } from './online-audit.ts';
export { createRebuild, type Rebuild, type RebuildProgress, type RebuiltPartition } from './rebuild.ts';
