// `ops stock seed`: its options and its words on the command line. The work is in seed-run.ts, loaded when it is wanted.
import type { Command } from 'commander';
import { MAX_ITEMS } from '../../shop/sales/wire.ts';
import { startProgress } from './progress.ts';
import { addTerms, type TermOptions } from './sale-terms.ts';
import { type CommonOptions, perform, verb } from './verb.ts';

export interface SeedOptions extends CommonOptions, TermOptions {
  readonly saleName?: string;
  readonly currency: string;
  readonly add?: boolean;
  readonly skipBad?: boolean;
  readonly dryRun?: boolean;
  readonly open?: boolean;
  readonly id?: string;
}

const HELP = `
The file is CSV with a header, or a JSON array of objects: sku, stock, price, and if you like currency and sale (the name of
the sale that the SKU goes into). Every row is checked first; if one is bad nothing is applied and all errors are listed
with their lines (--skip-bad leaves bad rows out instead).

  a SKU in no live sale              goes into a new sale with the options below; ${MAX_ITEMS} SKUs a sale, then another one
  a SKU in a live sale               is left alone; with --add its stock is added to that sale
  a SKU of this same file, again     is left alone in any case: running the same file twice counts nothing twice

A file is known by its content. To load the same content once more, give it another --id.`;

export function registerStockSeed(stock: Command): void {
  const seed = verb(
    stock,
    'seed <file>',
    'Fills sales with the stock of a CSV or JSON file, of 100,000 rows and more.',
    true,
  )
    .option('--sale-name <name>', 'of the new sales, where the file does not name one (the name of the file)')
    .option('--currency <code>', 'where the file does not say', 'INR')
    .option('--add', 'adds stock to SKUs that are on sale already')
    .option('--skip-bad', 'applies the good rows though there are bad ones')
    .option('--dry-run', 'checks and says what would be done')
    .option('--open', 'opens the new sales at once')
    .option('--id <label>', 'names this delivery; the same label is applied once');
  addTerms(seed)
    .addHelpText('after', HELP)
    .action((file: string, options: SeedOptions) => {
      const progress = startProgress();
      return perform(options, async () => {
        const { seedStock } = await import('./seed-run.ts');
        return seedStock(file, options, progress).finally(() => progress.stop());
      });
    });
}
