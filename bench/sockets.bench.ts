// How many purchases a second are accepted over WebSockets, in binary frames, each answered when it is on the disk and an
// order in Postgres soon after? A socket belongs to one buyer, so a crowd of buyers is a crowd of sockets; each buys several
// times, which its sale allows. Bare uWebSockets.js is driven beside each round.
import { sleep } from '../core/clock.ts';
import type { Bench, Finding, Row } from './bench.ts';
import { gatherCrowd } from './load/crowd.ts';
import { describeSpent, watchProcessorTime } from './load/processor-time.ts';
import { type Bought, openSocketCrowd } from './sockets/crowd.ts';
import { median } from './spread.ts';
import type { Offer, Stage } from './stage.ts';

/** More than are sold, so that "nobody was refused" and "nothing was sold twice" are two findings. */
const SPARE_UNITS = 100;
const BACKLOG_POLL_MS = 20;

interface Size {
  readonly sockets: number;
  /** Of each socket: a burst that the door lets one socket send. */
  readonly purchases: number;
  /** Sent by a socket in one piece. */
  readonly depth: number;
  /** Of all sockets together: who waits for more than that is measured elsewhere (overload). */
  readonly underWay: number;
}

interface Run {
  readonly bought: Bought;
  readonly accepted: number;
  readonly burst: number;
  /** Until the last order is in Postgres. */
  readonly sustained: number;
  readonly spent: Readonly<Record<string, number>>;
  readonly problems: readonly string[];
}

/** The first decides the ratio; the others are told beside it. */
const FULL: readonly Size[] = [
  { sockets: 5_000, purchases: 12, depth: 4, underWay: 2_048 },
  { sockets: 5_000, purchases: 12, depth: 1, underWay: 512 },
];
const ROUNDS = 3;
const QUICK: Size = { sockets: 100, purchases: 12, depth: 3, underWay: 60 };
const WARM_UP: Size = { sockets: 1_000, purchases: 12, depth: 2, underWay: 512 };

const titleOf = ({ sockets, depth, underWay }: Size): string =>
  `RESERVED, ${sockets} sockets, ${underWay} under way, ${depth === 1 ? 'one' : depth} in a piece`;

export const sockets: Bench = {
  name: 'sockets',
  question: 'accepted purchases over WebSockets: binary frames, many sockets, durable, until the last order row',
  async run(surroundings) {
    const { isQuick, say, bare, stage: openStage } = surroundings;
    const stage = await openStage();
    const sizes = isQuick ? [QUICK] : FULL;
    const runs = new Map<Size, Run[]>(sizes.map((size) => [size, []]));
    const problems = [...(await runOnce(stage, isQuick ? QUICK : WARM_UP)).problems];
    const bareRates: number[] = [];
    for (let round = 1; round <= (isQuick ? 1 : ROUNDS); round += 1) {
      const reference = await bare();
      bareRates.push(reference.perSecond);
      problems.push(...reference.problems);
      for (const [size, done] of runs) {
        const run = await runOnce(stage, size);
        say(`${titleOf(size)}: ${Math.round(run.burst)}/s, ${Math.round(run.sustained)}/s to the last order`);
        done.push(run);
        problems.push(...run.problems);
      }
    }
    return conclude(runs, median(bareRates), problems);
  },
};

function conclude(runs: ReadonlyMap<Size, readonly Run[]>, bareRate: number, problems: readonly string[]): Finding {
  const rows = [...runs].flatMap(([size, done]) => toRows(size, done, bareRate));
  return {
    rows,
    measures: { 'sockets.overBare': (rows[0]?.perSecond ?? 0) / bareRate },
    notes: [
      'A socket is one buyer: each buys 12 times in a sale that lets it. Sockets are open, and frames made, before the clock starts.',
      'Several in a piece: a socket sends its next ones in one write, and is answered in one where they were in one batch.',
    ],
    problems,
  };
}

/** The middle run by what it sustained. */
function toRows(size: Size, runs: readonly Run[], bareRate: number): Row[] {
  const sustained = median(runs.map((run) => run.sustained));
  const run = runs.toSorted((a, b) => a.sustained - b.sustained)[Math.floor((runs.length - 1) / 2)];
  if (run === undefined) return [];
  const { bought, accepted, spent } = run;
  const news = bought.news === 0 ? '' : `; ${bought.news} told twice`;
  return [
    {
      what: titleOf(size),
      perSecond: sustained,
      ratio: sustained / bareRate,
      count: accepted,
      latencies: bought.latencies,
      note:
        `${Math.round(median(runs.map(({ burst }) => burst)))}/s while they bought; ` +
        `${describeSpent({ ...spent, generator: bought.generatorMs }, bought.answered)}${news}`,
    },
  ];
}

async function runOnce(stage: Stage, size: Size): Promise<Run> {
  const amount = size.sockets * size.purchases;
  const offer = await stage.openSale(`sockets, ${size.sockets}`, amount + SPARE_UNITS, { perBuyerLimit: 100 });
  const tokens = await gatherCrowd(size.sockets, stage.config.jwtSecret);
  const { hostname, port } = new URL(stage.url);
  const crowd = await openSocketCrowd(1, { host: hostname, port: Number(port) });
  try {
    await crowd.join(tokens);
    const { saleId, sku } = offer;
    const { purchases, depth, underWay } = size;
    const watch = watchProcessorTime(stage.processes());
    const startedAt = performance.now();
    const bought = await crowd.buy({ saleId, sku, purchases, depth, underWay });
    await untilWritten(stage, offer);
    const seconds = (performance.now() - startedAt) / 1_000;
    const spent = watch.spent();
    const { RESERVED: accepted = 0, ...refused } = bought.answers;
    const problems = await stage.inspect(offer, accepted);
    if (Object.keys(refused).length > 0) problems.push(`${saleId}: with stock for all, ${JSON.stringify(refused)}`);
    return { bought, accepted, burst: accepted / bought.seconds, sustained: accepted / seconds, spent, problems };
  } finally {
    crowd.close();
  }
}

async function untilWritten(stage: Stage, offer: Offer): Promise<void> {
  while ((await stage.backlog(offer)) > 0) await sleep(BACKLOG_POLL_MS);
}
