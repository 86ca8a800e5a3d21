// `npm run bench`: every bench in one go on one machine, the table of what they found and that of the targets, and exit
// code 1 if an invariant or an audit failed. Here are the command line and the signals; the list is in benches.ts.
import { parseArgs } from 'node:util';
import { barePost } from './bare-post.bench.ts';
import { openBare } from './baselines/bare.ts';
import { closeGrounds } from './baselines/ground.ts';
import type { Bench, Finding, Surroundings } from './bench.ts';
import { BENCHES } from './benches.ts';
import { closeCluster } from './cluster.bench.ts';
import { describeMachine } from './machine.ts';
import { type Ran, type Report, toLines, toReport } from './report.ts';
import { writeChart, writeResults } from './results.ts';
import { closeStages, openStage, type Stage } from './stage.ts';

const stopping = new AbortController();
/** Rejects when the run is to end now, whatever is still under way. */
const stopped = new Promise<never>((_, reject) => {
  stopping.signal.addEventListener('abort', () => reject(new Error(String(stopping.signal.reason))));
});
stopped.catch(() => undefined);
const startedAt = performance.now();
const say = (line: string): void => {
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  process.stderr.write(`bench ${String(seconds).padStart(3)} s: ${line}\n`);
};

async function runAll(chosen: readonly Bench[], isQuick: boolean): Promise<Report> {
  const ran: Ran[] = [];
  const machine = await describeMachine(say);
  const bare = await openBare(say, isQuick);
  const { generators } = bare;
  let opened: Promise<Stage> | undefined;
  const surroundings: Surroundings = {
    ...{ isQuick, say, generators, signal: stopping.signal },
    bare: (by) => bare.run(by),
    stage: () => (opened ??= openStage(say, stopping.signal)),
  };
  const run = async (bench: Bench): Promise<void> => {
    stopping.signal.throwIfAborted();
    say(`${bench.name}: ${bench.question}`);
    ran.push({ bench, finding: await bench.run(surroundings).catch(toFinding) });
  };
  try {
    await run(barePost);
    for (const bench of chosen) await Promise.race([run(bench), stopped]);
  } finally {
    if (opened !== undefined) say('stopping the system');
    await closeStages();
    await closeGrounds();
    await closeCluster();
  }
  // Without the system beside it, as at the beginning.
  await run(barePost);
  bare.close();
  return toReport({ machine, isQuick, generator: generators.main.name, bareRates: bare.rates(), ran });
}

/** One bench that fails is a wrong result, and no reason to lose the others'. */
function toFinding(error: unknown): Finding {
  say(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return { rows: [], problems: [`it could not be run: ${error instanceof Error ? error.message : String(error)}`] };
}

function readOptions() {
  const options = {
    quick: { type: 'boolean' },
    json: { type: 'boolean' },
    only: { type: 'string', multiple: true },
    write: { type: 'boolean' },
    chart: { type: 'boolean' },
  } as const;
  const { quick = false, json = false, write = false, chart = false, only } = parseArgs({ options }).values;
  const names = [barePost, ...BENCHES].map(({ name }) => name);
  const unknown = only?.filter((name) => !names.includes(name)) ?? [];
  if (unknown.length > 0) throw new Error(`there is no bench ${unknown.join(', ')}; there are ${names.join(', ')}`);
  if (write && (quick || only))
    throw new Error('--write is for a whole run: ratios are of one run, and small amounts tell nothing');
  return {
    isQuick: quick,
    isJson: json,
    isKept: write,
    isChartOnly: chart,
    chosen: BENCHES.filter(({ name }) => only?.includes(name) ?? true),
  };
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => stopping.abort(new Error('stopped before the end')));
}
// autocannon throws from its sockets' events; the system must be stopped all the same.
process.on('uncaughtException', (error) => stopping.abort(error));

try {
  const { isQuick, isJson, isKept, isChartOnly, chosen } = readOptions();
  if (isChartOnly) writeChart();
  else {
    const report = await runAll(chosen, isQuick);
    process.stdout.write(isJson ? `${JSON.stringify(report)}\n` : `${toLines(report).join('\n')}\n`);
    if (isKept) writeResults(report);
    process.exitCode = report.isOk ? 0 : 1;
  }
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
// Whatever still has a timer or a socket has nothing left to do.
process.exit();
