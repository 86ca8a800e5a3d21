// A crowd over several sales of one system at once: buyers in turn to each sale, until the last order row. What it cost is told by
// process, each Redis by itself.
import type { Service } from '../../core/services/service.ts';
import { gatherCrowd, purchaseWishes } from '../load/crowd.ts';
import type { Generator } from '../load/generator.ts';
import { timeCrowd, type TimedRun } from '../load/timed-crowd.ts';
import type { Offer, Stage } from '../stage.ts';

export interface SpreadOrder {
  readonly title: string;
  readonly stage: Stage;
  readonly generator: Generator;
  readonly connections: number;
  readonly seconds: number;
  readonly buyers: number;
  readonly offers: readonly Offer[];
  /** Those that the stage did not start itself. */
  readonly masters: readonly Service[];
}

export interface SpreadRun extends TimedRun {
  readonly problems: readonly string[];
}

export async function runSpread(order: SpreadOrder): Promise<SpreadRun> {
  const { stage, generator, connections, seconds, buyers, offers, masters, title } = order;
  const tokens = await gatherCrowd(buyers, stage.config.jwtSecret);
  const queues = offers.map((offer) => purchaseWishes(tokens, offer));
  const wishes = tokens.flatMap((_, i) => queues[i % queues.length]?.[i] ?? []);
  const ordersBefore = await countOrders(stage, offers);
  const servers = masters.map(({ pid }, i) => ({ name: `redis-${i + 1}`, pid }));
  const processes = [...stage.processes(), ...servers];
  const backlog = (): Promise<number> => backlogOf(stage, offers);
  const crowd = { generator, url: stage.url, connections, seconds, wishes, processes, backlog };
  const { run, outcome } = await timeCrowd(crowd);
  const problems: string[] = [];
  if (outcome.refused + outcome.lost > 0)
    problems.push(`${title}: with stock for all, ${outcome.refused} were refused and ${outcome.lost} lost`);
  problems.push(...(await inspectAll(order, outcome, ordersBefore)));
  return { ...run, problems };
}

async function backlogOf(stage: Stage, offers: readonly Offer[]): Promise<number> {
  const lefts = await Promise.all(offers.map((offer) => stage.backlog(offer)));
  return lefts.reduce((sum, left) => sum + left, 0);
}

async function countOrders(stage: Stage, offers: readonly Offer[]): Promise<Map<string, number>> {
  const { rows } = await stage.postgres.query<{ sku: string; orders: number }>(
    'SELECT sku, count(*) AS orders FROM order_items WHERE sku = ANY($1::text[]) GROUP BY sku',
    [offers.map((offer) => offer.sku)],
  );
  return new Map(rows.map(({ sku, orders }) => [sku, orders]));
}

/** Each sale by itself, and all of them against what the crowd was told. */
async function inspectAll(
  { stage, offers, title }: SpreadOrder,
  { accepted, openAtEnd }: { accepted: number; openAtEnd: number },
  before: ReadonlyMap<string, number>,
): Promise<string[]> {
  const told = await countOrders(stage, offers);
  const problems: string[] = [];
  // What was sent at the end and not waited for may still become an order. Each inspection waits until it has.
  for (const offer of offers) problems.push(...(await stage.inspect(offer, told.get(offer.sku) ?? 0, openAtEnd)));
  const after = await countOrders(stage, offers);
  const ordered = offers.reduce((sum, { sku }) => sum + (after.get(sku) ?? 0) - (before.get(sku) ?? 0), 0);
  if (ordered < accepted || ordered > accepted + openAtEnd)
    problems.push(`${title}: ${accepted} to ${accepted + openAtEnd} were acknowledged, ${ordered} became orders`);
  return problems;
}
