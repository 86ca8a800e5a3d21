// What `stock seed` says: the outcome for people and for machines, and the errors of a file. It does nothing.
import { SEED_ERRORS_MAX } from '../constants.ts';
import type { SeedResult } from './seed-apply.ts';
import type { SeedFile } from './seed-file.ts';
import type { SeedPlan } from './seed-plan.ts';
import type { SeedRow } from './seed-rows.worker.ts';
import { OpsFailure, type Outcome } from './verb.ts';

function listErrors({ errors }: SeedFile): string[] {
  const listed = errors
    .slice(0, SEED_ERRORS_MAX)
    .map(({ line, field, message }) => `  line ${line}: ${field === '' ? '' : `${field} `}${message}`);
  return errors.length > listed.length ? [...listed, `  … and ${errors.length - listed.length} more`] : listed;
}

export function badFile(file: string, content: SeedFile): OpsFailure {
  const count = content.errors.length;
  const message = [
    `${file}: ${count} ${count === 1 ? 'error' : 'errors'}, nothing was applied`,
    ...listErrors(content),
  ].join('\n');
  return new OpsFailure(message, { file, errorCount: count, errors: content.errors.slice(0, SEED_ERRORS_MAX) });
}

const units = (rows: readonly SeedRow[]): number => rows.reduce((sum, row) => sum + row.stock, 0);
const SALES_SHOWN = 20;

export interface SeedRun {
  readonly file: string;
  readonly seedId: string;
  readonly content: SeedFile;
  readonly plan: SeedPlan;
  /** Undefined after --dry-run. */
  readonly result: SeedResult | undefined;
}

export function reportSeed({ file, seedId, content, plan, result }: SeedRun): Outcome {
  const planned = plan.sales.flatMap((sale) => sale.rows);
  const skipped = {
    seededBefore: plan.seededBefore.length,
    addedBefore: plan.addedBefore.length,
    inAnotherSale: plan.inAnotherSale.length,
    bad: new Set(content.errors.map((error) => error.line)).size,
  };
  const json = {
    file,
    seedId,
    isDryRun: result === undefined,
    rows: content.rows.length,
    planned: {
      sales: plan.sales.length,
      skus: planned.length,
      units: units(planned),
      additions: plan.additions.length,
    },
    created: result?.created ?? [],
    closed: result?.closed ?? [],
    added: result?.added ?? { skus: 0, units: 0 },
    skipped,
    errorCount: content.errors.length,
    errors: content.errors.slice(0, SEED_ERRORS_MAX),
  };
  const closed = result?.closed ?? [];
  return {
    json,
    text: [
      ...sayDone(plan, planned, result),
      ...saySkipped(skipped),
      ...listErrors(content),
      ...sayClosed(closed),
    ].join('\n'),
    ok: closed.length === 0,
  };
}

function sayDone(plan: SeedPlan, planned: readonly SeedRow[], result: SeedResult | undefined): string[] {
  if (result === undefined) {
    const additions = `, stock would be added to ${plan.additions.length} SKUs (${units(plan.additions)} units)`;
    return [
      `nothing was changed (--dry-run): ${plan.sales.length} sales with ${planned.length} SKUs and ${units(planned)} units would be made${additions}`,
    ];
  }
  const { created, added } = result;
  const skus = created.reduce((sum, sale) => sum + sale.skus, 0);
  const lines = created
    .slice(0, SALES_SHOWN)
    .map((sale) => `  ${sale.saleId}  ${sale.name}  ${sale.skus} SKUs  ${sale.units} units  ${sale.status}`);
  const hidden = created.length > lines.length ? [`  … and ${created.length - lines.length} more`] : [];
  const total = created.reduce((sum, sale) => sum + sale.units, 0);
  return [
    `${created.length} sales made with ${skus} SKUs and ${total} units; stock added to ${added.skus} SKUs (${added.units} units)`,
    ...lines,
    ...hidden,
  ];
}

function saySkipped(skipped: {
  seededBefore: number;
  addedBefore: number;
  inAnotherSale: number;
  bad: number;
}): string[] {
  const { seededBefore, addedBefore, inAnotherSale, bad } = skipped;
  return [
    ...(seededBefore > 0 ? [`${seededBefore} SKUs left alone: this file put them on sale before`] : []),
    ...(addedBefore > 0 ? [`${addedBefore} SKUs left alone: this file added to them before`] : []),
    ...(inAnotherSale > 0 ? [`${inAnotherSale} SKUs left alone: they are in a live sale (--add adds to it)`] : []),
    ...(bad > 0 ? [`${bad} bad rows left out`] : []),
  ];
}

function sayClosed(closed: readonly { saleId: string; name: string }[]): string[] {
  if (closed.length === 0) return [];
  const ids = closed.slice(0, SALES_SHOWN).map((sale) => `  ${sale.saleId}  ${sale.name}`);
  return [
    `${closed.length} sales were made from this file before and are closed; to sell it again give another --id`,
    ...ids,
  ];
}
