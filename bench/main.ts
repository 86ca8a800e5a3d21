// `npm run bench`: every bench in one go on one machine, the table of what they found, and exit code 1 if an invariant or
// an audit failed. Here are the command line, the order and the signals; each question is in its own *.bench.ts.
import { parseArgs } from 'node:util';
import { accepted } from './accepted.bench.ts';
import { barePost } from './bare-post.bench.ts';
import { batchSizes } from './batch-sizes.bench.ts';
import type { Bench, Surroundings } from './bench.ts';
import { ordersWritten } from './orders-written.bench.ts';
import { overload } from './overload.bench.ts';
import { type Ran, toLines, toReport } from './report.ts';
import { soldOut } from './sold-out.bench.ts';
import { openStage, type Stage } from './stage.ts';

/** Those that need no system come first: it is started by the first that does. The bare server is run around them all. */
const BENCHES: readonly Bench[] = [batchSizes, accepted, soldOut, ordersWritten, overload];

const stopping = new AbortController();
/** Rejects when the run is to end now, whatever is still under way. */
const stopped = new Promise<never>((_, reject) => {
  stopping.signal.addEventListener('abort', () => reject(new Error(String(stopping.signal.reason))));
});
stopped.catch(() => undefined);
const say = (line: string): void => {
  process.stderr.write(`bench: ${line}\n`);
};

async function runAll(chosen: readonly Bench[], isQuick: boolean): Promise<Ran[]> {
  const ran: Ran[] = [];
  let opened: Promise<Stage> | undefined;
  const surroundings: Surroundings = {
    isQuick,
    say,
    stage: () => (opened ??= openStage(say, stopping.signal)),
  };
  const run = async (bench: Bench): Promise<void> => {
    stopping.signal.throwIfAborted();
    say(`${bench.name}: ${bench.question}`);
    ran.push({ bench, finding: await bench.run(surroundings) });
  };
  try {
    await run(barePost);
    for (const bench of chosen) await Promise.race([run(bench), stopped]);
  } finally {
    if (opened !== undefined) say('stopping the system');
    await opened?.then((stage) => stage.close());
  }
  // Without the system beside it, as at the beginning.
  await run(barePost);
  return ran;
}

function readOptions(): { isQuick: boolean; isJson: boolean; chosen: readonly Bench[] } {
  const options = {
    quick: { type: 'boolean' },
    json: { type: 'boolean' },
    only: { type: 'string', multiple: true },
  } as const;
  const { quick = false, json = false, only } = parseArgs({ options }).values;
  const names = [barePost, ...BENCHES].map(({ name }) => name);
  const unknown = only?.filter((name) => !names.includes(name)) ?? [];
  if (unknown.length > 0) throw new Error(`there is no bench ${unknown.join(', ')}; there are ${names.join(', ')}`);
  return { isQuick: quick, isJson: json, chosen: BENCHES.filter(({ name }) => only?.includes(name) ?? true) };
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => stopping.abort(new Error('stopped before the end')));
}
// autocannon throws from its sockets' events; the system must be stopped all the same.
process.on('uncaughtException', (error) => stopping.abort(error));

try {
  const { isQuick, isJson, chosen } = readOptions();
  const report = toReport(await runAll(chosen, isQuick), isQuick);
  process.stdout.write(isJson ? `${JSON.stringify(report)}\n` : `${toLines(report).join('\n')}\n`);
  process.exitCode = report.isOk ? 0 : 1;
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
// Whatever still has a timer or a socket has nothing left to do.
process.exit();
