// Redis against Postgres, at one outbox position: the counts against the ledger's sums, each purchase against its row.
// Whoever calls has waited until the relay was at that position, so what is missing now is lost and not late.
import type { SaleSnapshot } from '../../actors/sale-verbs.ts';
import type { Postgres, Queryable } from '../../core/postgres/postgres.ts';
import type { SkuCensus } from './census.ts';
import { type CensusRow, findUnequalRows, findUnknownToRedis, loadCensus } from './census-store.ts';
import { type Difference, rebuildOf, toDifferences } from './differences.ts';
import { findSaleStatus, type LedgerSums, type RowSums, withPatience } from './store.ts';

export function judgeLedger(saleId: string, { sku, counters, seq }: SkuCensus, ledger: LedgerSums): Difference[] {
  const names = (['loaded', 'available', 'held', 'sold'] as const).filter((name) => counters[name] !== ledger[name]);
  if (names.length === 0) return [];
  const list = names.map((name) => `${name}: Redis ${counters[name]}, ledger ${ledger[name]}`).join('; ');
  const message = `${sku}: at outbox position ${seq} the counts are not what the ledger adds up to (${list}). Look at "ops dead list" first; if nothing is there, ${rebuildOf(saleId)}.`;
  return [{ code: 'LEDGER_MISMATCH', saleId, sku, message }];
}

export function judgeRowSums(saleId: string, sku: string, loaded: number, rows: RowSums | undefined): Difference[] {
  if (rows === undefined || rows.confirmed <= loaded) return [];
  const over = rows.confirmed - loaded;
  const message = `${sku}: ${rows.confirmed} units are sold by purchases in Postgres, only ${loaded} were loaded. Pause the sale, then restock ${over} or refund the latest orders.`;
  return [{ code: 'OVERSOLD', saleId, sku, message }];
}

/** For a sale that Redis has forgotten: tickets without a gap, counted in Postgres alone. */
export function judgeRowTickets(saleId: string, sku: string, rows: RowSums | undefined): Difference[] {
  if (rows === undefined || rows.tickets === rows.lastTicket) return [];
  const lost = rows.lastTicket - rows.tickets;
  const message = `${sku}: the last ticket is ${rows.lastTicket}, but ${lost} before it belong to no purchase. Rows were deleted; restore them from a backup.`;
  return [{ code: 'TICKET_MISSING', saleId, sku, message, count: lost }];
}

function sayUnequal(row: CensusRow): string {
  const redis = `Redis has it as ${row.redisStatus} (version ${row.redisVersion})`;
  if (row.kind === 'missing') {
    return `${row.purchaseId}: ${redis}, Postgres has no row of it. Look for its record under "ops dead list" and replay it; else its row was deleted.`;
  }
  const rows = `Postgres as ${row.rowStatus} (version ${row.rowVersion})`;
  if (row.kind === 'behind') {
    return `${row.purchaseId}: ${redis}, ${rows}, and nothing in the outbox will change that. Look for its record under "ops dead list" and replay it.`;
  }
  return `${row.purchaseId}: ${redis}, ${rows}: they differ in ${row.columns}. One of them was changed by hand; the buyer was told what Redis says.`;
}

async function compareRows(tx: Queryable, saleId: string, census: readonly SkuCensus[]): Promise<Difference[]> {
  await loadCensus(
    tx,
    census.flatMap((sku) => sku.purchases),
  );
  const unequal = await findUnequalRows(tx);
  const of = (kind: CensusRow['kind']): CensusRow[] => unequal.filter((row) => row.kind === kind);
  const unreadable = census.flatMap((sku) => sku.missing);
  const unknown = await findUnknownToRedis(tx, saleId, census, unreadable);
  return [
    ...toDifferences('ROW_MISSING', saleId, of('missing'), sayUnequal),
    ...toDifferences('ROW_BEHIND', saleId, of('behind'), sayUnequal),
    ...toDifferences('ROW_DIFFERS', saleId, of('differs'), sayUnequal),
    ...toDifferences(
      'UNKNOWN_TO_REDIS',
      saleId,
      unknown,
      (row) =>
        `${row.purchaseId}: Postgres has it as ${row.status} with ticket ${row.ticket} of ${row.sku}, Redis does not know it. Redis has lost what it acknowledged: ${rebuildOf(saleId)}.`,
    ),
  ];
}

export async function judgeRows(
  postgres: Postgres,
  saleId: string,
  census: readonly SkuCensus[],
): Promise<Difference[]> {
  return withPatience(postgres, (tx) => compareRows(tx, saleId, census));
}

export async function judgeStatus(db: Queryable, snapshot: SaleSnapshot): Promise<Difference[]> {
  const row = await findSaleStatus(db, snapshot.saleId);
  if (row === undefined || row.version > snapshot.version) return [];
  if (row.version === snapshot.version && row.status === snapshot.status) return [];
  const message = `The sale is ${snapshot.status} in Redis (version ${snapshot.version}) and ${row.status} in Postgres (version ${row.version}). Look at "ops dead list"; what buyers see is what Redis says.`;
  return [{ code: 'SALE_STATUS', saleId: snapshot.saleId, message }];
}
