// One sale under a crowd, from the first request to the last order row, and then the books are held together. The same for all
// contenders.
import type { Contender } from '../contender.ts';
import { gatherCrowd, purchaseWishes, type Wish } from './crowd.ts';
import type { Generator } from './generator.ts';
import { timeCrowd, type TimedRun, whenWritten } from './timed-crowd.ts';

export interface SaleOrder {
  readonly title: string;
  readonly generator: Generator;
  readonly connections: number;
  readonly seconds: number;
  /** Buyers, each with a token of its own and one purchase: more than can be served in the time. */
  readonly buyers: number;
  readonly terms?: Readonly<Record<string, unknown>>;
}

export interface SaleRun extends TimedRun {
  readonly refused: Readonly<Record<string, number>>;
  readonly problems: readonly string[];
}

const STILL_POLLS = 5;
/** More than are sold, so that "nobody was refused" and "nothing was sold twice" are two findings. */
const SPARE_UNITS = 100;

export async function runSale(contender: Contender, order: SaleOrder): Promise<SaleRun> {
  const { generator, connections, seconds, buyers, title } = order;
  const tokens = await gatherCrowd(buyers, contender.jwtSecret);
  const offer = await contender.openSale(title, buyers + SPARE_UNITS, order.terms);
  const [first, ...wishes] = purchaseWishes(tokens, offer);
  // One alone, which shows the kind of answer that not every generator tells.
  const kind = first === undefined ? 0 : await askOnce(contender.url, first);
  const backlog = (): Promise<number> => contender.backlog(offer);
  const processes = contender.processes();
  const crowd = { generator, url: contender.url, connections, seconds, wishes, processes, backlog };
  const { run, outcome } = await timeCrowd(crowd);
  // Who was cut off when the time was up may still be served; that ends before anybody else is measured.
  await whenWritten(backlog, STILL_POLLS);
  const problems = await contender.inspect(offer, outcome.accepted + (kind === 201 ? 1 : 0), outcome.openAtEnd);
  if (kind !== 201) problems.push(`${title}: the first purchase was answered ${kind}`);
  const isCrowdSpent = outcome.accepted + outcome.refused > wishes.length;
  if (isCrowdSpent) problems.push(`${title}: ${buyers} buyers were too few, some sent twice`);
  else if (outcome.refused > 0 || outcome.lost > 0)
    problems.push(`${title}: with stock for all, ${outcome.refused} were refused and ${outcome.lost} lost`);
  return { ...run, refused: refusals(outcome), problems };
}

async function askOnce(url: string, { path, headers, body }: Wish): Promise<number> {
  const answer = await fetch(`${url}${path}`, { method: 'POST', headers, body });
  await answer.arrayBuffer();
  return answer.status;
}

function refusals({ refused, lost, statuses }: { refused: number; lost: number; statuses?: Record<string, number> }) {
  const kinds = statuses ?? { 'status ≥ 400': refused };
  const others = { ...kinds, lost, '201': 0 };
  return Object.fromEntries(Object.entries(others).filter(([, count]) => count > 0));
}

/** Half as many again as such a run could need. */
export function buyersFor(perSecond: number, seconds: number): number {
  return Math.ceil(perSecond * Math.ceil(seconds) * 1.5) + 2_000;
}
