// Carries out what a stock file comes to, through the API, a few calls at a time. Every call has a key made of the file, so
// whatever is done twice is done once; after a failure the same command goes on where it stopped.
import { SEED_PARALLEL_CALLS } from '../constants.ts';
import { messageOf } from '../../core/errors.ts';
import { hashedId } from '../../core/ids.ts';
import type { Api } from './api-client.ts';
import { readSale } from './sale-view.ts';
import type { PlannedSale, SeedPlan } from './seed-plan.ts';
import type { SeedRow } from './seed-rows.worker.ts';
import { OpsFailure } from './verb.ts';

export interface MadeSale {
  readonly saleId: string;
  readonly name: string;
  readonly status: string;
  readonly skus: number;
  readonly units: number;
}

export interface SeedResult {
  readonly created: MadeSale[];
  /** Made from this file by an earlier run and closed since: nothing was changed. */
  readonly closed: MadeSale[];
  readonly added: { skus: number; units: number };
}

export interface SeedTerms {
  readonly seedId: string;
  /** Members of `POST /sales` beside name and items. */
  readonly terms: Readonly<Record<string, unknown>>;
  readonly isOpening: boolean;
}

/** What the ledger calls stock that was added from this file. */
export const loadReason = (seedId: string): string => `seed ${seedId}`;

const unitsOf = (rows: readonly { stock: number }[]): number => rows.reduce((sum, row) => sum + row.stock, 0);

async function makeSale(
  api: Api,
  { name, rows }: PlannedSale,
  { seedId, terms, isOpening }: SeedTerms,
): Promise<MadeSale> {
  const items = rows.map(({ sku, stock, price, currency }) => ({ sku, stock, price, currency }));
  const key = hashedId('seed', undefined, [seedId, name, ...rows.map((row) => row.sku)]);
  let made = readSale((await api.post('/sales', { ...terms, name, items }, key)).body);
  if (isOpening && (made.status === 'SCHEDULED' || made.status === 'PAUSED')) {
    made = readSale((await api.post(`/sales/${made.saleId}/open`, undefined, key)).body);
  }
  return { saleId: made.saleId, name, status: made.status, skus: rows.length, units: unitsOf(rows) };
}

async function addStock(api: Api, row: SeedRow, seedId: string): Promise<void> {
  const body = { sku: row.sku, quantity: row.stock, reason: loadReason(seedId) };
  await api.post('/inventory/adjust', body, hashedId('seed', undefined, [seedId, row.sku]));
}

/** Runs all, a few at a time; after the first failure none is begun any more, and that failure is thrown. */
async function runAll(tasks: readonly (() => Promise<void>)[], onDone: () => void): Promise<void> {
  let next = 0;
  let failure: { error: unknown } | undefined;
  async function take(): Promise<void> {
    for (let task = tasks[next++]; task !== undefined && failure === undefined; task = tasks[next++]) {
      try {
        await task();
        onDone();
      } catch (error) {
        failure ??= { error };
      }
    }
  }
  await Promise.all(Array.from({ length: SEED_PARALLEL_CALLS }, take));
  if (failure) throw failure.error;
}

export async function applySeed(
  api: Api,
  plan: SeedPlan,
  terms: SeedTerms,
  onProgress: (done: number, of: number) => void,
): Promise<SeedResult> {
  const result: SeedResult = { created: [], closed: [], added: { skus: 0, units: 0 } };
  const inPlanOrder = (a: MadeSale, b: MadeSale): number => orderOf(a) - orderOf(b);
  const orderOf = ({ name }: MadeSale): number => plan.sales.findIndex((sale) => sale.name === name);
  const sales = plan.sales.map((sale) => async () => {
    const made = await makeSale(api, sale, terms);
    (made.status === 'CLOSED' ? result.closed : result.created).push(made);
  });
  const additions = plan.additions.map((row) => async () => {
    await addStock(api, row, terms.seedId);
    result.added.skus += 1;
    result.added.units += row.stock;
  });
  const tasks = [...sales, ...additions];
  let done = 0;
  try {
    await runAll(tasks, () => onProgress(++done, tasks.length));
  } catch (error) {
    const details = error instanceof OpsFailure ? error.details : {};
    const doneSoFar = `${result.created.length} of ${plan.sales.length} sales were made, stock was added to ${result.added.skus} of ${plan.additions.length} SKUs`;
    throw new OpsFailure(
      `${messageOf(error)}\n${doneSoFar}. Run the same command again: it goes on there, and does nothing twice.`,
      {
        ...details,
        ...result,
      },
    );
  }
  // They were made at the same time; told in the order of the file.
  result.created.sort(inPlanOrder);
  return result;
}
