// `ops sale`: its verbs.
import type { Command } from 'commander';
import { registerSaleCreate } from './sale-create.ts';
import { registerSaleMoves } from './sale-move.ts';
import { registerSaleViews } from './sale-show.ts';

export function registerSale(sale: Command): void {
  registerSaleCreate(sale);
  registerSaleMoves(sale);
  registerSaleViews(sale);
}
