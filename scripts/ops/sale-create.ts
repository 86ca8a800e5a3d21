// `ops sale create`: a sale from options, or from a file with the body of `POST /sales`.
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { messageOf } from '../../core/errors.ts';
import { randomId } from '../../core/ids.ts';
import { openApi } from './api-client.ts';
import { addTerms, decimalNumber, type TermOptions, termsOf, wholeNumber } from './sale-terms.ts';
import { drawSale, readSale } from './sale-view.ts';
import { type CommonOptions, EXIT_USAGE, OpsFailure, type Outcome, perform, verb } from './verb.ts';

interface CreateOptions extends CommonOptions, TermOptions {
  readonly name?: string;
  readonly sku: string;
  readonly stock: number;
  readonly price: number;
  readonly currency: string;
  readonly file?: string;
  readonly key?: string;
  readonly open?: boolean;
  readonly buckets?: number;
}

export function registerSaleCreate(sale: Command): void {
  const create = verb(sale, 'create', 'Creates a sale of one SKU, or of those in a file.', true)
    .option('--name <name>', 'what it is called (Flash sale, or as in the file)')
    .option('--sku <sku>', 'what is sold', 'TSHIRT-RED-M')
    .option('--stock <units>', 'how many there are', wholeNumber, 500)
    .option('--price <amount>', 'of a unit, as a decimal', decimalNumber, 499)
    .option('--currency <code>', 'ISO 4217', 'INR')
    .option('--file <sale.json>', 'the sale as POST /sales takes it; options given besides win')
    .option('--buckets <n>', 'splits the stock over so many partitions (1)', wholeNumber)
    .option('--key <key>', 'idempotency key: the same key again gives the same sale')
    .option('--open', 'opens it at once');
  addTerms(create).action((options: CreateOptions) => perform(options, () => createSale(options)));
}

async function createSale(options: CreateOptions): Promise<Outcome> {
  const wanted = { ...(options.file === undefined ? ofOptions(options) : readFile(options.file)), ...termsOf(options) };
  const { name, buckets } = options;
  const body = { ...wanted, ...(name === undefined ? {} : { name }), ...(buckets === undefined ? {} : { buckets }) };
  const api = await openApi(options.url);
  // A key in any case: a call whose answer was lost may then be repeated.
  const answer = await api.post('/sales', body, options.key ?? randomId('ops'));
  let created = readSale(answer.body);
  if (options.open && created.status !== 'OPEN') {
    created = readSale((await api.post(`/sales/${created.saleId}/open`, undefined, created.saleId)).body);
  }
  const isScheduled = created.status === 'SCHEDULED' && created.opensAt === null;
  const next = isScheduled ? `\n\nopen it:  npm run ops -- sale open ${created.saleId}` : '';
  const before = answer.status === 200 ? 'this key created it before:\n' : '';
  return { json: created, text: `${before}${drawSale(created)}${next}` };
}

function ofOptions({ sku, stock, price, currency }: CreateOptions): Record<string, unknown> {
  return { name: 'Flash sale', items: [{ sku, stock, price, currency }] };
}

function readFile(file: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
    throw new Error('it must be a JSON object');
  } catch (error) {
    throw new OpsFailure(`${file} cannot be used: ${messageOf(error)}`, { file }, EXIT_USAGE);
  }
}
