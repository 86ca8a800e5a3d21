// A system under a supervisor of its own, `npm start`'s, which can be killed with everything below it and started again on
// the same data.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep } from '../../core/clock.ts';
import { READY_LIMIT_MS } from '../constants.ts';
import { freePort } from '../../core/services/ports.ts';
import { readRunFile } from '../../core/services/run-file.ts';
import { lastLines } from '../../core/services/service.ts';
import { DEFAULTS } from '../rush/options.ts';
import { findTarget } from '../rush/target.ts';
import { entryPath } from '../start/child.ts';
import { makeThrowaway, removeThrowaway } from '../start/throwaway.ts';
import { ALL_NAMES, ownConfig, sendSignal, type Stage, type StageOptions, THROWAWAY_PREFIX } from './stage.ts';

export interface FamilyStage extends Stage {
  /** All at once, the supervisor included. */
  killAll(): Promise<void>;
  startAgain(): Promise<void>;
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const END_WITH_PARENT = new URL('../start/end-with-parent.ts', import.meta.url).href;
const SUPERVISOR = entryPath('scripts/start.ts');
const POLL_MS = 50;

export async function openFamilyStage({ say, signal }: StageOptions): Promise<FamilyStage> {
  const dataDir = makeThrowaway(THROWAWAY_PREFIX);
  const ports = { PORT: String(await freePort()), SANDBOX_PORT: String(await freePort()) };
  mkdirSync(join(dataDir, 'logs'));
  let supervisor: ChildProcess | undefined;

  async function start(): Promise<void> {
    const output = openSync(join(dataDir, 'logs', 'supervisor.log'), 'a');
    const child = spawn(process.execPath, ['--import', END_WITH_PARENT, SUPERVISOR], {
      cwd: ROOT,
      env: { DATA_DIR: dataDir, API_PROCESSES: String(ownConfig(dataDir).apiProcesses), ...ports },
      detached: true,
      stdio: ['ignore', output, output, 'ipc'],
    });
    closeSync(output);
    supervisor = child;
    for (let waitedMs = 0; waitedMs < READY_LIMIT_MS; waitedMs += POLL_MS) {
      signal.throwIfAborted();
      if (child.exitCode !== null) break;
      if (readRunFile(dataDir)?.processes.length === ALL_NAMES.length) return;
      await sleep(POLL_MS);
    }
    const logFile = join(dataDir, 'logs', 'supervisor.log');
    throw new Error(`The supervisor did not start; its output is in ${logFile}:\n${lastLines(logFile)}`);
  }

  async function stop(): Promise<void> {
    const child = supervisor;
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      child.kill('SIGTERM');
      await ended;
    }
    await removeThrowaway(dataDir);
  }

  try {
    await start();
  } catch (error) {
    await stop();
    throw error;
  }
  const target = await findTarget(DEFAULTS, { config: ownConfig(dataDir), say, signal });
  const pidOf = (name: string): number => target.processes().find((one) => one.name === name)?.pid ?? 0;
  return {
    kind: 'family',
    dataDir,
    names: ALL_NAMES,
    target,
    pidOf,
    signal: (name, signal) => sendSignal(pidOf(name), signal),
    recast: () => undefined,
    line(name) {
      throw new Error(`There is no proxy for ${name} here`);
    },
    async ready(limitMs) {
      for (let waitedMs = 0; ; waitedMs += POLL_MS) {
        const answer = await fetch(`${target.url}/readyz`).catch(() => undefined);
        if (answer?.status === 200) return;
        if (waitedMs >= limitMs) throw new Error(`${target.url}/readyz: ${answer?.status ?? 'no answer'}`);
        await sleep(POLL_MS);
      }
    },
    stop,
    async killAll() {
      const child = supervisor;
      if (child?.pid === undefined) return;
      const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      // Its servers are in process groups of their own, and still its children.
      sendSignal(child.pid, 'SIGKILL');
      await ended;
    },
    startAgain: start,
  };
}
