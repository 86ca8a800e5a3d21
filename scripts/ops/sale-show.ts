// `ops sale show|list`: sales and their live counts, as the API tells them.
import { type Command, Option } from 'commander';
import type { SaleReply } from '../../shop/sales/wire.ts';
import { openApi } from './api-client.ts';
import { wholeNumber } from './sale-terms.ts';
import { drawSale, drawSales, readSale, readSales } from './sale-view.ts';
import { type CommonOptions, type Outcome, perform, verb } from './verb.ts';

interface ListOptions extends CommonOptions {
  readonly status?: string;
  readonly limit: number;
}

const PAGE = 100;

export function registerSaleViews(sale: Command): void {
  verb(sale, 'show <saleId>', 'Shows a sale with its counts.', true).action((saleId: string, options: CommonOptions) =>
    perform(options, async () => {
      const api = await openApi(options.url);
      const shown = readSale((await api.get(`/sales/${encodeURIComponent(saleId)}`)).body);
      return { json: shown, text: drawSale(shown) };
    }),
  );
  verb(sale, 'list', 'Lists sales, newest first.', true)
    .addOption(new Option('--status <status>', 'only these').choices(['SCHEDULED', 'OPEN', 'PAUSED', 'CLOSED']))
    .option('--limit <n>', 'how many at most', wholeNumber, 50)
    .action((options: ListOptions) => perform(options, () => listSales(options)));
}

async function listSales({ url, status, limit }: ListOptions): Promise<Outcome> {
  const api = await openApi(url);
  const sales: SaleReply[] = [];
  let after: string | null = null;
  do {
    const query = new URLSearchParams({ limit: String(Math.min(PAGE, Math.max(1, limit - sales.length))) });
    if (status !== undefined) query.set('status', status);
    if (after !== null) query.set('after', after);
    const page = readSales((await api.get(`/sales?${query.toString()}`)).body);
    sales.push(...page.items);
    after = page.next;
  } while (after !== null && sales.length < limit);
  return { json: { items: sales }, text: drawSales(sales) };
}
