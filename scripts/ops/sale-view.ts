// A sale as the API answers it, read and drawn for the operator.
import { saleListSchema, type SaleReply, saleReplySchema } from '../../shop/sales/wire.ts';
import { drawBar, drawTable, LEGEND } from './table.ts';
import { OpsFailure } from './verb.ts';

export function readSale(body: unknown): SaleReply {
  const parsed = saleReplySchema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new OpsFailure('the API answered something that is not a sale: is it of the same version?');
}

export function readSales(body: unknown): { items: SaleReply[]; next: string | null } {
  const parsed = saleListSchema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new OpsFailure('the API answered something that is not a list of sales: is it of the same version?');
}

const time = (instant: string | null): string => (instant === null ? '' : instant.replace(/\.\d+Z$/, 'Z'));

function describeTerms(sale: SaleReply): string {
  return [
    `${sale.holdSeconds} s hold`,
    `${sale.perBuyerLimit} a buyer`,
    ...(sale.lineLimit === null ? [] : [`line of ${sale.lineLimit}`]),
    ...(sale.admissionPerSecond === null ? [] : [`${sale.admissionPerSecond} admitted a second`]),
    `payments ${sale.paymentStart}`,
    ...(sale.opensAt === null ? [] : [`opens ${time(sale.opensAt)}`]),
    ...(sale.closesAt === null ? [] : [`closes ${time(sale.closesAt)}`]),
  ].join(', ');
}

const WHY = {
  AUDIT: 'its records contradict each other; look at "ops audit"',
  OPERATOR: 'by an operator',
  FAULT: 'Redis refused a write of it',
} as const;

function describeBlock({ sku, blocked }: SaleReply['items'][number]): string[] {
  if (blocked === undefined) return [];
  const since = blocked.since === null ? '' : ` since ${time(blocked.since)}`;
  return [`\n${sku} is not sold${since}: ${WHY[blocked.reason]}. "ops stock unblock ${sku}" lets it sell again.`];
}

export function drawSale(sale: SaleReply): string {
  const rows = sale.items.map((item) => [
    item.sku,
    drawBar(item),
    item.loaded,
    item.sold,
    item.held,
    item.available,
    item.waiting,
    `${item.price} ${item.currency}`,
  ]);
  return [
    `${sale.name}  ${sale.saleId}  ${sale.status}`,
    describeTerms(sale),
    '',
    drawTable(['SKU', '', 'loaded', 'sold', 'held', 'available', 'waiting', 'price'], rows),
    LEGEND,
    ...sale.items.flatMap(describeBlock),
  ].join('\n');
}

export function drawSales(sales: readonly SaleReply[]): string {
  if (sales.length === 0) return 'no sales';
  const sum = (sale: SaleReply, name: 'loaded' | 'sold' | 'held' | 'available' | 'waiting'): number =>
    sale.items.reduce((total, item) => total + item[name], 0);
  const rows = sales.map((sale) => {
    const counts = {
      loaded: sum(sale, 'loaded'),
      available: sum(sale, 'available'),
      held: sum(sale, 'held'),
      sold: sum(sale, 'sold'),
    };
    const { loaded, sold, held, available } = counts;
    return [
      sale.saleId,
      sale.name,
      sale.status,
      sale.items.length,
      drawBar(counts),
      loaded,
      sold,
      held,
      available,
      sum(sale, 'waiting'),
    ];
  });
  return drawTable(['sale', 'name', 'status', 'SKUs', '', 'loaded', 'sold', 'held', 'available', 'waiting'], rows);
}
