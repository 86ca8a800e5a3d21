// One sale under a crowd, from the first request to the last order row: everybody sends for some seconds in a closed loop,
// then the clock goes on until the backlog is empty, then the books are held together. The same for all contenders.
import { sleep } from '../../core/clock.ts';
import type { Contender } from '../contender.ts';
import type { Offer } from '../stage.ts';
import { gatherCrowd, purchaseWishes, type Wish } from './crowd.ts';
import type { Generator } from './generator.ts';
import { watchProcessorTime } from './processor-time.ts';
import type { Latencies } from './tally.ts';

export interface SaleOrder {
  readonly title: string;
  readonly generator: Generator;
  readonly connections: number;
  readonly seconds: number;
  /** Buyers, each with a token of its own and one purchase: more than can be served in the time. */
  readonly buyers: number;
  readonly terms?: Readonly<Record<string, unknown>>;
}

export interface SaleRun {
  readonly accepted: number;
  readonly refused: Readonly<Record<string, number>>;
  /** Accepted a second while the crowd sent. */
  readonly burst: number;
  /** Accepted a second until the last of them was an order in Postgres. */
  readonly sustained: number;
  /** When the crowd stopped: how many were not orders yet, and how long that took. */
  readonly backlog: number;
  readonly drainMs: number;
  readonly latencies: Latencies;
  /** Milliseconds of processor time until the last order, by process. */
  readonly spent: Readonly<Record<string, number>>;
  readonly problems: readonly string[];
}

const POLL_MS = 10;
const STILL_POLL_MS = 50;
const STILL_POLLS = 5;
const DRAIN_LIMIT_MS = 120_000;
/** More than are sold, so that "nobody was refused" and "nothing was sold twice" are two findings. */
const SPARE_UNITS = 100;

export async function runSale(contender: Contender, order: SaleOrder): Promise<SaleRun> {
  const { generator, connections, seconds, buyers, title } = order;
  const tokens = await gatherCrowd(buyers, contender.jwtSecret);
  const offer = await contender.openSale(title, buyers + SPARE_UNITS, order.terms);
  const [first, ...wishes] = purchaseWishes(tokens, offer);
  // One alone, which shows the kind of answer that not every generator tells.
  const kind = first === undefined ? 0 : await askOnce(contender.url, first);
  const watch = watchProcessorTime(contender.processes());
  const outcome = await generator.run({ url: contender.url, connections, seconds, wishes });
  const endedAt = performance.now();
  const backlog = await contender.backlog(offer);
  await whenWritten(contender, offer, 1);
  const drainMs = performance.now() - endedAt;
  const spent = { ...watch.spent(), [generator.name]: outcome.generatorMs };
  // Who was cut off when the time was up may still be served; that ends before anybody else is measured.
  await whenWritten(contender, offer, STILL_POLLS);
  const problems = await contender.inspect(offer, outcome.accepted + (kind === 201 ? 1 : 0), outcome.openAtEnd);
  if (kind !== 201) problems.push(`${title}: the first purchase was answered ${kind}`);
  const isCrowdSpent = outcome.accepted + outcome.refused > wishes.length;
  if (isCrowdSpent) problems.push(`${title}: ${buyers} buyers were too few, some sent twice`);
  else if (outcome.refused > 0 || outcome.lost > 0)
    problems.push(`${title}: with stock for all, ${outcome.refused} were refused and ${outcome.lost} lost`);
  return {
    ...{ accepted: outcome.accepted, latencies: outcome.latencies, backlog, drainMs, spent, problems },
    refused: refusals(outcome),
    burst: outcome.accepted / outcome.seconds,
    sustained: outcome.accepted / (outcome.seconds + drainMs / 1_000),
  };
}

async function askOnce(url: string, { path, headers, body }: Wish): Promise<number> {
  const answer = await fetch(`${url}${path}`, { method: 'POST', headers, body });
  await answer.arrayBuffer();
  return answer.status;
}

/** Nothing is on its way to Postgres, as often as it is asked in a row. */
async function whenWritten(contender: Contender, offer: Offer, times: number): Promise<void> {
  const until = performance.now() + DRAIN_LIMIT_MS;
  for (let still = 0; still < times; ) {
    const left = await contender.backlog(offer);
    still = left > 0 ? 0 : still + 1;
    if (still < times) await sleep(left > 0 ? POLL_MS : STILL_POLL_MS);
    if (performance.now() > until) throw new Error(`${contender.name}: ${left} accepted purchases are no orders yet`);
  }
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
