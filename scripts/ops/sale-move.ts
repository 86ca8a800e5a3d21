// `ops sale open|pause|close`: moves a sale, through the API.
import type { Command } from 'commander';
import { openApi } from './api-client.ts';
import { drawSale, readSale } from './sale-view.ts';
import { type CommonOptions, perform, verb } from './verb.ts';

const MOVES = {
  open: 'Opens a sale, or goes on after a pause.',
  pause: 'Pauses a sale: nobody is admitted, payments and expiries go on.',
  close: 'Closes a sale for good: the line is cancelled, holds may still be paid.',
} as const;

export function registerSaleMoves(sale: Command): void {
  for (const [move, description] of Object.entries(MOVES)) {
    verb(sale, `${move} <saleId>`, description, true).action((saleId: string, options: CommonOptions) =>
      perform(options, async () => {
        const api = await openApi(options.url);
        // The move itself is idempotent, so any key will do to allow a repetition.
        const { body } = await api.post(`/sales/${encodeURIComponent(saleId)}/${move}`, undefined, saleId);
        const moved = readSale(body);
        return { json: moved, text: drawSale(moved) };
      }),
    );
  }
}
