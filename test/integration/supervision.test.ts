// The loop that keeps a process running, with real processes: restarts after a death, gives up on what never starts,
// and leaves nothing behind when it is told to stop.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { isAlive } from '../../core/services/service.ts';
import { launchChild } from '../../scripts/start/child.ts';
import { keepRunning } from '../../scripts/start/keep-running.ts';
import { temporaryDirectory } from '../support/stack.ts';

const SERVES = `process.send({ type: 'ready' }); const t = setInterval(() => {}, 1000); process.once('SIGTERM', () => clearInterval(t));`;

function program(source: string): (signal: AbortSignal) => ReturnType<typeof launchChild> {
  const directory = temporaryDirectory('child');
  const entry = join(directory, 'main.ts');
  writeFileSync(entry, source);
  return (signal) => launchChild({ name: 'child', entry, env: {}, logFile: join(directory, 'log') }, signal);
}

/** The next value of `read` that is not the last one, asked for at each change. */
function changes(): { onChange(): void; next(): Promise<void> } {
  let wake = (): void => undefined;
  return {
    onChange: () => wake(),
    next: () => new Promise((resolve) => (wake = resolve)),
  };
}

test('a process that dies is started again, and stop() drains it', async () => {
  const { onChange, next } = changes();
  const said: string[] = [];
  const kept = await keepRunning({ name: 'child', launch: program(SERVES), onChange, say: (line) => said.push(line) });
  const first = kept.pid() ?? 0;
  const gone = next();
  kept.kill('SIGKILL');
  await gone;
  expect(kept.pid()).toBeUndefined();
  await next();
  const second = kept.pid() ?? 0;
  expect(second).not.toBe(first);
  expect(isAlive(second)).toBe(true);
  expect(said).toEqual(['child ended by SIGKILL: starting it again in 100 ms']);
  await kept.stop();
  expect(isAlive(second)).toBe(false);
  expect(said).toHaveLength(1);
});

test('a process that is never ready fails the start, and says where to look', async () => {
  const said: string[] = [];
  const launch = program('console.error("the reason"); process.exit(3)');
  const start = keepRunning({ name: 'child', launch, onChange: () => undefined, say: (line) => said.push(line) });
  await expect(start).rejects.toThrow(/main.ts ended with code 3; its output is in .*log:\nthe reason/);
  expect(said).toHaveLength(2);
});

test('a stop during a restart waits for no one', async () => {
  const { onChange, next } = changes();
  const kept = await keepRunning({ name: 'child', launch: program(SERVES), onChange, say: () => undefined });
  const gone = next();
  kept.kill('SIGKILL');
  await gone;
  await kept.stop();
  expect(kept.pid()).toBeUndefined();
});

test('a start that is given up ends the process', async () => {
  const stopping = new AbortController();
  const launch = program('setInterval(() => {}, 1000)');
  const start = keepRunning({
    name: 'child',
    launch,
    signal: stopping.signal,
    onChange: () => undefined,
    say: () => undefined,
  });
  stopping.abort();
  await expect(start).rejects.toThrow('was stopped before it was ready');
});
