// `ops stock`: its verbs.
import type { Command } from 'commander';
import { registerStockCounts } from './stock-adjust.ts';
import { registerStockBlocks } from './stock-block.ts';
import { registerStockSeed } from './stock-seed.ts';

export function registerStock(stock: Command): void {
  registerStockSeed(stock);
  registerStockCounts(stock);
  registerStockBlocks(stock);
}
