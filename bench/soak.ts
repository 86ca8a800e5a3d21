// `npm run soak`: mixed traffic with faults for ten minutes on a system of its own, and the proof that nothing has grown.
// Here are the command line and the signals; exit code 1 if anything has grown, was answered wrongly, or does not agree.
import { parseArgs } from 'node:util';
import { toLines } from './soak/chart.ts';
import { runSoak, USUAL } from './soak/run.ts';

const MINUTES = 10;

const stopping = new AbortController();
const say = (line: string): void => {
  process.stderr.write(`soak: ${line}\n`);
};
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => stopping.abort(new Error('stopped before the end')));
}

function readOptions(): { minutes: number; seed: number; isJson: boolean; hasFaults: boolean } {
  const options = {
    minutes: { type: 'string' },
    seed: { type: 'string' },
    json: { type: 'boolean' },
    'no-faults': { type: 'boolean' },
  } as const;
  const { minutes, seed, json = false, 'no-faults': isPeaceful = false } = parseArgs({ options }).values;
  const number = (text: string | undefined, name: string, preset: number): number => {
    const value = text === undefined ? preset : Number(text);
    if (Number.isFinite(value) && value > 0) return value;
    throw new Error(`--${name} must be a number above 0`);
  };
  return {
    minutes: number(minutes, 'minutes', MINUTES),
    seed: number(seed, 'seed', (Date.now() % 1_000_000) + 1),
    isJson: json,
    hasFaults: !isPeaceful,
  };
}

try {
  const { minutes, seed, isJson, hasFaults } = readOptions();
  const options = { ...USUAL, seconds: minutes * 60, seed, hasFaults, isMemoryJudged: minutes >= 3 };
  const report = await runSoak(options, { say, signal: stopping.signal });
  const { sales, buyers, statuses, faults, isOk } = report;
  const story = [
    `${minutes} min, seed ${seed}: ${sales} sales, ${buyers} buyers, ${faults.length} faults; answers by status ${JSON.stringify(statuses)}`,
    ...toLines(report.samples, report.checks),
    isOk ? 'nothing has grown' : 'SOMETHING HAS GROWN, OR IS WRONG: see above',
  ];
  process.stdout.write(isJson ? `${JSON.stringify(report)}\n` : `${story.join('\n')}\n`);
  process.exitCode = isOk ? 0 : 1;
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
// Whatever still has a timer or a socket has nothing left to do.
process.exit();
