// `npm start`: the whole of Doorbuster on this machine, until Ctrl-C. What it starts and how is in start/system.ts;
// here are the words to the person at the terminal and the signals.
import { systemClock } from '../core/clock.ts';
import { ConfigError, loadConfig } from '../core/config.ts';
import { PARENT_WATCH_MS, READINESS_PATIENCE_MS, SECOND_SIGNAL_AFTER_MS } from './constants.ts';
import { type System, startSystem } from './start/system.ts';

const say = (line: string): void => console.log(`doorbuster: ${line}`);

// A terminal that was closed must not turn the orderly stop into a crash.
process.stdout.on('error', () => undefined);

const stopping = new AbortController();
const stopRequested = new Promise<void>((resolve) => stopping.signal.addEventListener('abort', () => resolve()));
let system: System | undefined;
let stopAskedAt = 0;

function onSignal(signal: NodeJS.Signals): void {
  const now = systemClock.now();
  if (stopAskedAt === 0) {
    stopAskedAt = now;
    say(`${signal}: stopping (once more to stop at once)`);
    stopping.abort(new Error('stopped during the start'));
  } else if (now - stopAskedAt > SECOND_SIGNAL_AFTER_MS) {
    // Sooner it is an echo: npm hands Ctrl-C on to us, and the terminal has sent it already.
    say('stopping at once');
    if (system) system.hurry();
    else process.exit(1);
  }
}

/** npm's shell dies of the signal that npm hands on to it, and would leave us running with nobody to stop us. */
function stopWithNpm(): void {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    onSignal('SIGTERM');
  }, PARENT_WATCH_MS);
  watch.unref();
}

function greet({ url, sandboxUrl, config }: System): void {
  const lines = [
    '',
    `Doorbuster is ready on ${url}  (data in ${config.dataDir})`,
    '',
    `  watch it live     ${url}/`,
    `  the API           ${url}/openapi.json`,
    ...(sandboxUrl === null ? [] : [`  payment sandbox   ${sandboxUrl}`]),
    '  get a token       npm run ops -- token --user u_you',
    '  create a sale     npm run ops -- sale create',
    '  see a rush        npm run rush',
    '  stop              Ctrl-C',
    '',
  ];
  console.log(lines.join('\n'));
}

async function main(): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  if (process.env.npm_lifecycle_event !== undefined) stopWithNpm();
  const { signal } = stopping;
  system = await startSystem(loadConfig(), { say, env: process.env, signal, staysUpUnready: true });
  await Promise.race([untilReady(system), stopRequested]);
  if (!signal.aborted) greet(system);
  await stopRequested;
  await system.stop();
  say('stopped');
}

const FENCED =
  'Redis lacks what Postgres knows, so nothing is sold. Stop, and start again with the Redis (its append-only file) that belongs to this database';

/** A fenced system is not ready, and stays up: who looks into it needs its servers. */
async function untilReady(running: System): Promise<void> {
  let lastReason = '';
  while (!stopping.signal.aborted) {
    try {
      return await running.ready(READINESS_PATIENCE_MS);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== lastReason) say(reason.includes('"redis":"fenced"') ? `${reason}: ${FENCED}` : reason);
      lastReason = reason;
    }
  }
}

function fail(error: unknown): never {
  // What we say ourselves is a plain Error with a sentence for the operator; anything else is a defect and shows its stack.
  const isSaid = error instanceof ConfigError || (error instanceof Error && error.constructor === Error);
  console.error(isSaid ? `doorbuster: ${error.message}` : error);
  process.exit(1);
}

process.on('uncaughtException', (error) => {
  console.error(error);
  // The children end with us and the servers are found by the next start; we only try to leave in order.
  void Promise.resolve(system?.stop()).finally(() => process.exit(1));
});

main().then(() => process.exit(0), fail);
