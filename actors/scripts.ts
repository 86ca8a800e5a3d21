// Every Lua script, bound once. Its contract (keys, input, body) is the header of the file it is loaded from.
import { loadScript } from '../core/redis/scripts.ts';

const directory = new URL('../scripts/lua/', import.meta.url);
const load = (name: string) => loadScript(directory, name);

export const scripts = {
  attach: load('attach'),
  doubt: load('doubt'),
  pulse: load('pulse'),
  rebuildBegin: load('rebuild-begin'),
  rebuildSale: load('rebuild-sale'),
  rebuildPurchases: load('rebuild-purchases'),
  rebuildOrders: load('rebuild-orders'),
  rebuildEnd: load('rebuild-end'),
  reserve: load('reserve'),
  admit: load('admit'),
  confirm: load('confirm'),
  release: load('release'),
  mark: load('mark'),
  expire: load('expire'),
  restock: load('restock'),
  saleCreate: load('sale-create'),
  saleState: load('sale-state'),
  saleTick: load('sale-tick'),
  bucketMove: load('bucket-move'),
  bucketTell: load('bucket-tell'),
  snapshot: load('snapshot'),
  look: load('look'),
  census: load('census'),
  reserveOrder: load('reserve-order'),
  releaseOrder: load('release-order'),
  acknowledge: load('acknowledge'),
  skuBlock: load('sku-block'),
  skuBlocks: load('sku-blocks'),
  auditSlice: load('audit-slice'),
} as const;

/** How these scripts lay out keys and purchases (scripts/lua/include/form.lua): what a fence names as its `form`. */
export const LAYOUT_FORM = /^local FORM = '(\d+)'$/m.exec(scripts.attach.source)?.[1] ?? '';
