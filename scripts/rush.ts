// `npm run rush`: thousands of buyers against a real running sale, with live counts, and the audit at the end. Here are
// the command line, the signals and the exit code; the rest is in rush/.
import { ConfigError, loadConfig } from '../core/config.ts';
import { rushCommand, type RushOptions } from './rush/options.ts';
import { runRush } from './rush/rush.ts';
import { createTerminal } from './rush/terminal.ts';

const stopping = new AbortController();
/** With --json, stdout has one object and nothing else: the story goes to stderr. */
let terminal = createTerminal(process.stderr, process.stdout);

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (stopping.signal.aborted) return;
    terminal.say(`${signal}: cleaning up`);
    stopping.abort(new Error('stopped before the end'));
  });
}

async function rush(options: RushOptions, envFile: string | undefined): Promise<void> {
  if (options.isJson) terminal = createTerminal(process.stderr, process.stderr);
  if (envFile !== undefined) process.loadEnvFile(envFile);
  const surroundings = { config: loadConfig(), signal: stopping.signal, terminal };
  const result = await runRush(options, surroundings);
  if (options.isJson) process.stdout.write(`${JSON.stringify(result)}\n`);
  process.exitCode = result.isOk ? 0 : 1;
}

function fail(error: unknown): void {
  // What we say ourselves is a plain Error with a sentence for the person; anything else is a defect and shows its stack.
  const isSaid = error instanceof ConfigError || (error instanceof Error && error.constructor === Error);
  if (isSaid) terminal.say(error.message);
  else console.error(error);
  process.exitCode = stopping.signal.aborted ? 130 : 1;
}

await rushCommand(rush).parseAsync().catch(fail);
// Whatever still has a timer or a socket has nothing left to do.
process.exit();
