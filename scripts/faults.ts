// `npm run faults`: every fault of the matrix, one after the other, in the middle of a rush on a real running system. Here
// are the command line, the signals and the exit code; the rest is in faults/. Progress goes to stderr.
import { Command } from 'commander';
import { systemClock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import { choose, FAULTS, playMatrix } from './faults/matrix.ts';
import { drawRow, machineLine, writeDocument } from './faults/report.ts';

interface Given {
  only: string[];
  list?: boolean;
  json?: boolean;
  quick?: boolean;
  write?: boolean;
}

const stopping = new AbortController();
const say = (line: string): void => void process.stderr.write(`faults: ${line}\n`);
// A reader that has gone away must not leave processes behind.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (stopping.signal.aborted) return;
    say(`${signal}: cleaning up`);
    stopping.abort(new Error('stopped before the end'));
  });
}

async function faults(given: Given): Promise<void> {
  if (given.list) {
    for (const { name, title, isQuick } of FAULTS)
      process.stdout.write(`${name}${isQuick ? ' (quick)' : ''}: ${title}\n`);
    return;
  }
  const options = { only: given.only, isQuick: given.quick === true };
  choose(options);
  const startedAt = systemClock.now();
  const onRow = (row: Parameters<typeof drawRow>[0]): void => say(drawRow(row));
  const rows = await playMatrix(options, { say, signal: stopping.signal, onRow });
  const tookMs = systemClock.now() - startedAt;
  const failed = rows.filter(({ isOk }) => !isOk).map(({ name }) => name);
  if (given.json) process.stdout.write(`${JSON.stringify({ isOk: failed.length === 0, tookMs, rows })}\n`);
  if (given.write) {
    const command = ['npm run faults --', ...process.argv.slice(2)].join(' ');
    writeDocument(rows, machineLine(new Date(startedAt).toISOString().slice(0, 10), command));
  }
  say(`${rows.length} faults in ${Math.round(tookMs / 1_000)} s, ${failed.length} failed ${failed.join(' ')}`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}

const collect = (name: string, names: readonly string[]): string[] => [...names, name];

const program = new Command('faults')
  .description(
    'Plays faults under load on real processes and says what buyers saw, what was kept and how long it took.',
  )
  .option('--only <name>', 'this one; may be given several times', collect, [])
  .option('--list', 'the names')
  .option('--quick', 'the short form: a few of them, with a smaller crowd')
  .option('--json', 'one JSON object on stdout')
  .option('--write', 'the table goes into docs/RELIABILITY.md')
  .action(faults);

await program.parseAsync().catch((error: unknown) => {
  say(messageOf(error));
  process.exitCode = stopping.signal.aborted ? 130 : 1;
});
// Whatever still has a timer or a socket has nothing left to do.
process.exit();
