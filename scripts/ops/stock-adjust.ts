// `ops stock add|show`: the stock of one SKU, through the API's inventory.
import type { Command } from 'commander';
import { randomId } from '../../core/ids.ts';
import { type InventoryReply, inventoryReplySchema } from '../../shop/sales/wire-inventory.ts';
import { openApi } from './api-client.ts';
import { wholeNumber } from './sale-terms.ts';
import { drawBar, drawTable, LEGEND } from './table.ts';
import { type CommonOptions, OpsFailure, perform, verb } from './verb.ts';

interface AddOptions extends CommonOptions {
  readonly reason?: string;
  readonly id?: string;
}

function readInventory(body: unknown): InventoryReply {
  const parsed = inventoryReplySchema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new OpsFailure('the API answered something that is not an inventory: is it of the same version?');
}

function drawInventory(counts: InventoryReply): string {
  const { sku, saleId, status, loaded, sold, held, available, waiting } = counts;
  const row = [sku, drawBar(counts), loaded, sold, held, available, waiting, status, saleId];
  return `${drawTable(['SKU', '', 'loaded', 'sold', 'held', 'available', 'waiting', 'status', 'sale'], [row])}\n${LEGEND}`;
}

export function registerStockCounts(stock: Command): void {
  verb(
    stock,
    'add <sku> <quantity>',
    'Adds stock to the sale a SKU is in; what comes is offered to the line first.',
    true,
  )
    .option('--reason <text>', 'what the ledger says about it')
    .option('--id <operationId>', 'the same id again changes nothing')
    .addHelpText('after', '\nTo take stock away write the number after two dashes: stock add SKU -- -5')
    .action((sku: string, quantity: string, options: AddOptions) =>
      perform(options, async () => {
        const api = await openApi(options.url);
        const body = {
          sku,
          quantity: wholeNumber(quantity),
          ...(options.reason === undefined ? {} : { reason: options.reason }),
        };
        const counts = readInventory((await api.post('/inventory/adjust', body, options.id ?? randomId('ops'))).body);
        return { json: counts, text: drawInventory(counts) };
      }),
    );
  verb(stock, 'show <sku>', 'Shows the counts of a SKU in the sale it is in.', true).action(
    (sku: string, options: CommonOptions) =>
      perform(options, async () => {
        const api = await openApi(options.url);
        const counts = readInventory((await api.get(`/inventory/${encodeURIComponent(sku)}`)).body);
        return { json: counts, text: drawInventory(counts) };
      }),
  );
}
