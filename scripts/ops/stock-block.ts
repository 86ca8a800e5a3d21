// `ops stock block|unblock`: stops one SKU of the sale it is in, and lets it sell again, through the API.
import type { Command } from 'commander';
import { inventoryReplySchema } from '../../shop/sales/wire-inventory.ts';
import { type Api, openApi } from './api-client.ts';
import { type CommonOptions, OpsFailure, type Outcome, perform, verb } from './verb.ts';

interface BlockOptions extends CommonOptions {
  readonly reason?: string;
}

async function saleOf(api: Api, sku: string): Promise<string> {
  const parsed = inventoryReplySchema.safeParse((await api.get(`/inventory/${encodeURIComponent(sku)}`)).body);
  if (parsed.success) return parsed.data.saleId;
  throw new OpsFailure('the API answered something that is not an inventory: is it of the same version?');
}

/** How the SKU is blocked now, in words. */
function describeBlock(sku: string, body: unknown): string {
  const blocked = typeof body === 'object' && body !== null && 'blocked' in body ? body.blocked : null;
  if (typeof blocked !== 'object' || blocked === null || !('reason' in blocked)) return `${sku} is not blocked.`;
  const note = 'note' in blocked && typeof blocked.note === 'string' ? blocked.note : '';
  return `${sku} is blocked (${String(blocked.reason)}): ${note}`;
}

async function move(sku: string, verbName: 'block' | 'unblock', options: BlockOptions): Promise<Outcome> {
  const api = await openApi(options.url);
  const path = `/admin/sales/${await saleOf(api, sku)}/skus/${encodeURIComponent(sku)}/${verbName}`;
  const body = options.reason === undefined ? undefined : { reason: options.reason };
  // The move itself is idempotent, so any key will do to allow a repetition.
  const answer = (await api.post(path, body, sku)).body;
  return { json: answer, text: describeBlock(sku, answer) };
}

export function registerStockBlocks(stock: Command): void {
  verb(stock, 'block <sku>', 'Stops a SKU: nobody is admitted, payments and expiries go on.', true)
    .option('--reason <text>', 'what others are told who ask why')
    .action((sku: string, options: BlockOptions) => perform(options, () => move(sku, 'block', options)));
  verb(stock, 'unblock <sku>', 'Lets a SKU sell again and resolves its findings.', true)
    .addHelpText('after', '\nWhat is still wrong is found by the next round of the audit, and stopped again.')
    .action((sku: string, options: CommonOptions) => perform(options, () => move(sku, 'unblock', options)));
}
