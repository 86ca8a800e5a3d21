// One child process of the supervisor: a Node program that says `{type: 'ready'}` over its channel when it serves, and
// drains on SIGTERM. It gets its whole configuration from the environment it is handed.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { STOP_GRACE_MS } from '../../core/constants.ts';
import { PROCESS_KILL_LIMIT_MS, READY_LIMIT_MS, SEMI_SPACE_MB } from '../constants.ts';
import { endOf, lastLines, signalProcess, stopChild } from '../../core/services/service.ts';
import type { Running } from './keep-running.ts';

export interface ChildProgram {
  name: string;
  /** Relative to the root of the repository. */
  entry: string;
  env: NodeJS.ProcessEnv;
  /** Where its output goes; to ours when absent. */
  logFile?: string | undefined;
}

/** Both bounds, so that the collector does not give the memory back after each calm moment, only to ask for it again. */
const YOUNG_GENERATION = [`--min-semi-space-size=${SEMI_SPACE_MB}`, `--max-semi-space-size=${SEMI_SPACE_MB}`];

const ROOT = new URL('../../', import.meta.url);
const END_WITH_PARENT = new URL('./end-with-parent.ts', import.meta.url).href;

export function entryPath(entry: string): string {
  return fileURLToPath(new URL(entry, ROOT));
}

export async function launchChild(program: ChildProgram, signal: AbortSignal): Promise<Running> {
  const output = program.logFile === undefined ? 'inherit' : openSync(program.logFile, 'a');
  // Detached: Ctrl-C on the terminal goes to us alone, and we stop the children in their order.
  const words = [...YOUNG_GENERATION, '--import', END_WITH_PARENT, entryPath(program.entry)];
  const child = spawn(process.execPath, words, {
    cwd: fileURLToPath(ROOT),
    env: program.env,
    detached: true,
    stdio: ['ignore', output, output, 'ipc'],
  });
  if (typeof output === 'number') closeSync(output);
  const ended = endOf(child);
  const pid = child.pid ?? 0;
  const kill = (how: NodeJS.Signals): void => {
    if (pid > 0) signalProcess(pid, how);
  };
  const outcome = await untilReady(child, ended, signal);
  if (outcome !== 'ready') {
    kill('SIGKILL');
    const where =
      program.logFile === undefined ? '' : `; its output is in ${program.logFile}:\n${lastLines(program.logFile)}`;
    throw new Error(`${program.entry} ${outcome}${where}`);
  }
  const steps = [
    ['SIGTERM', STOP_GRACE_MS],
    ['SIGKILL', PROCESS_KILL_LIMIT_MS],
  ] as const;
  return { pid, ended, kill, stop: () => stopChild(pid, ended, steps) };
}

/** 'ready', or a word on what happened instead. */
function untilReady(child: ChildProcess, ended: Promise<string>, signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => finish(`was not ready after ${READY_LIMIT_MS / 1_000} s`), READY_LIMIT_MS);
    const onAbort = (): void => finish('was stopped before it was ready');
    const finish = (outcome: string): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      resolve(outcome);
    };
    signal.addEventListener('abort', onAbort);
    child.on('message', (message) => {
      if (typeof message === 'object' && message !== null && 'type' in message && message.type === 'ready')
        finish('ready');
    });
    void ended.then(finish);
  });
}
