// One run of `stock seed`: checks all of the file, decides, then calls the API. The checking is in seed-file.ts, the
// decision in seed-plan.ts, the calls in seed-apply.ts, the words in seed-report.ts.
import { basename } from 'node:path';
import { fingerprint } from '../../core/ids.ts';
import { findLiveSkus, findLoadedFor } from '../../shop/admin/admin.ts';
import { MAX_ITEMS } from '../../shop/sales/wire.ts';
import { openApi } from './api-client.ts';
import type { Progress } from './progress.ts';
import { withSystem } from './running-system.ts';
import { termsOf } from './sale-terms.ts';
import { applySeed, loadReason } from './seed-apply.ts';
import { readSeedFile } from './seed-file.ts';
import { planSeed } from './seed-plan.ts';
import { badFile, reportSeed } from './seed-report.ts';
import type { SeedOptions } from './stock-seed.ts';
import type { Outcome } from './verb.ts';

export async function seedStock(file: string, options: SeedOptions, progress: Progress): Promise<Outcome> {
  const content = await readSeedFile(file, {
    defaultCurrency: options.currency,
    onProgress: (done, of) => progress.update(done, of, 'checking the file'),
  });
  if (content.errors.length > 0 && options.skipBad !== true) throw badFile(file, content);
  const seedId = fingerprint([options.id ?? content.hash]);
  const seeder = `u_seed-${seedId}`;
  const plan = await withSystem(async ({ postgres }) => {
    const skus = content.rows.map((row) => row.sku);
    const live = await findLiveSkus(postgres, skus);
    const loadedBefore = await findLoadedFor(postgres, [...live.keys()], loadReason(seedId));
    const saleName = options.saleName ?? basename(file).replace(/\.(csv|json)$/i, '');
    return planSeed(
      content.rows,
      { live, loadedBefore, seeder },
      { saleName, itemsPerSale: MAX_ITEMS, isAdding: options.add === true },
    );
  });
  if (options.dryRun) return reportSeed({ file, seedId, content, plan, result: undefined });
  const api = await openApi(options.url, seeder);
  const terms = { seedId, terms: termsOf(options), isOpening: options.open === true };
  const result = await applySeed(api, plan, terms, (done, of) => progress.update(done, of, 'calling the API'));
  return reportSeed({ file, seedId, content, plan, result });
}
