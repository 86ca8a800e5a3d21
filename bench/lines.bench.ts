// What does it cost to tell a waiting crowd of every change of its line, and how soon does the last one know? Sockets that
// only watch: first what one costs while nothing happens, then ten changes of the head a second for all of them.
import { unownedPurchaseId } from '../actors/purchase-ids.ts';
import { sleep } from '../core/clock.ts';
import { partitionOf } from '../core/ids.ts';
import type { Bench, Finding, Row } from './bench.ts';
import { gatherCrowd } from './load/crowd.ts';
import { watchProcessorTime } from './load/processor-time.ts';
import { openSocketCrowd, type SocketCrowd } from './sockets/crowd.ts';
import { readMemory } from './sockets/memory.ts';
import type { Change } from './sockets/order.ts';
import { type Offer, openStage, type Stage } from './stage.ts';

/** Of one API process, and of one process that holds sockets: below what this system lets a process open files for. */
const SOCKETS_A_PROCESS = 12_000;
const CHANGES_PER_SECOND = 10;
/** Until the last line has arrived. */
const ECHO_MS = 2_000;
/** Every change is to be told within this. */
const SLOWEST_MS = 250;

interface Size {
  readonly sockets: number;
  readonly seconds: number;
}

const FULL: Size = { sockets: 20_000, seconds: 10 };
const QUICK: Size = { sockets: 200, seconds: 1 };

export const lines: Bench = {
  name: 'lines',
  question: 'a line that many sockets watch: its changes told to all, and what an idle socket costs',
  async run({ isQuick, say }) {
    const size = isQuick ? QUICK : FULL;
    const processes = Math.ceil(size.sockets / SOCKETS_A_PROCESS);
    say(`${size.sockets} sockets on ${processes} API processes of their own`);
    const stage = await openStage(say, new AbortController().signal, { apiProcesses: processes });
    try {
      return await runSize(stage, size, processes, say);
    } finally {
      await stage.close();
    }
  },
};

async function runSize(stage: Stage, size: Size, processes: number, say: (line: string) => void): Promise<Finding> {
  const offer = await stage.openSale('lines', size.seconds * CHANGES_PER_SECOND, { lineLimit: 1_000 });
  const tokens = await gatherCrowd(size.sockets, stage.config.jwtSecret);
  const { hostname, port } = new URL(stage.url);
  const doors = stage.processes().filter(({ name }) => name.startsWith('api'));
  const crowd = await openSocketCrowd(processes, { host: hostname, port: Number(port) });
  try {
    // What a process loads and sets aside for the first of them is no part of what each further one costs.
    const first = size.sockets / 4;
    await crowd.join(tokens.slice(0, first));
    const before = await readMemory(doors);
    await crowd.join(tokens.slice(first));
    const socketBytes = Math.max(0, Math.round(((await readMemory(doors)) - before) / (size.sockets - first)));
    say(`${socketBytes} bytes a socket`);
    await crowd.watch(offer);
    const finding = await judge(stage, crowd, offer, size);
    const { measures, ...told } = finding;
    return {
      ...told,
      // A small crowd says nothing about a large one.
      ...(size === FULL ? { measures: { ...measures, 'memory.socketBytes': socketBytes } } : {}),
      notes: [`An idle socket costs the API process that has it ${socketBytes} bytes of resident memory.`],
    };
  } finally {
    crowd.close();
  }
}

/** The head moves with each purchase: it is the next ticket while nobody waits. */
async function changeLine(stage: Stage, { saleId, sku }: Offer, count: number): Promise<Change[]> {
  const changes: Change[] = [];
  const startedAt = performance.now();
  const partition = partitionOf(saleId) ?? 0;
  for (let i = 1; i <= count; i += 1) {
    await sleep(Math.max(0, startedAt + (i * 1_000) / CHANGES_PER_SECOND - performance.now()));
    // Before the call: the wait of the last socket includes the script's.
    const at = performance.timeOrigin + performance.now();
    const wish = {
      purchaseId: unownedPurchaseId(partition),
      buyer: `u_bench-line-${i}`,
      quantity: 1,
      fingerprint: 'line',
    };
    await stage.stock.reserve(saleId, sku, [wish]);
    changes.push({ at, head: i + 1 });
  }
  return changes;
}

async function judge(stage: Stage, crowd: SocketCrowd, offer: Offer, { sockets, seconds }: Size): Promise<Finding> {
  const watch = watchProcessorTime(stage.processes());
  const changes = await changeLine(stage, offer, seconds * CHANGES_PER_SECOND);
  const spent = watch.spent();
  await sleep(ECHO_MS);
  const told = await crowd.reckon(changes);
  const problems = await stage.inspect(offer, changes.length);
  const untold = told.slowest.filter((wait) => wait === null).length;
  if (untold > 0) problems.push(`${untold} of ${changes.length} changes never reached every socket`);
  const slowest = Math.max(...told.slowest.map((wait) => wait ?? 0));
  const late = told.slowest.filter((wait) => wait !== null && wait > SLOWEST_MS).length;
  const doorMs = Object.entries(spent).reduce((sum, [name, ms]) => sum + (name.startsWith('api') ? ms : 0), 0);
  const row: Row = {
    what: `a change told to ${sockets} sockets, ${CHANGES_PER_SECOND} changes/s`,
    perSecond: told.messages / seconds,
    count: told.messages,
    latencies: told.latencies,
    note:
      `the slowest socket after ${Math.round(slowest)} ms, ${late} of ${changes.length} changes later than ${SLOWEST_MS} ms; ` +
      `API ${Math.round(doorMs / seconds / 10)} % of a core, ${((doorMs * 1_000) / told.messages).toFixed(1)} µs a message`,
  };
  const measures = { 'lines.toldWithinMs': slowest, 'lines.apiCores': doorMs / seconds / 1_000 };
  return { rows: [row], measures, problems };
}
