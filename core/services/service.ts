// The one shape of a server process that we run beside us (Postgres, Redis), and the one way to end a process.
// It knows nothing of what the process is.
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { sleep } from '../clock.ts';
import { PROCESS_POLL_MS } from '../constants.ts';

const LOG_LINES = 8;

export type Say = (line: string) => void;

export interface Service {
  readonly name: string;
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Resolves when the process has ended, for whatever reason. */
  readonly ended: Promise<string>;
  /** Orderly: nothing that was acknowledged is lost, and the next start is quick. */
  stop(): Promise<void>;
  /** For crash tests, and for a second Ctrl-C. */
  kill(signal: NodeJS.Signals): void;
}

/** A sentence on how the process ended, once it has. */
export function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal ? `ended by ${signal}` : `ended with code ${code}`));
  });
}

/** The end of what a server wrote before it failed: its directory may be gone by the time somebody looks. */
export function lastLines(logFile: string): string {
  return readFileSync(logFile, 'utf8').trim().split('\n').slice(-LOG_LINES).join('\n');
}

/** False for a zombie too: in a container nobody may be there to collect the orphans of a crash. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false;
  }
  try {
    return readFileSync(`/proc/${pid}/cmdline`).length > 0;
  } catch {
    return true;
  }
}

/** Sends the signals one after the other, each with its time to obey, until the process is gone. */
export async function endProcess(pid: number, steps: readonly (readonly [NodeJS.Signals, number])[]): Promise<boolean> {
  for (const [signal, patienceMs] of steps) {
    signalProcess(pid, signal);
    for (let waitedMs = 0; waitedMs < patienceMs; waitedMs += PROCESS_POLL_MS) {
      if (!isAlive(pid)) return true;
      await sleep(PROCESS_POLL_MS);
    }
  }
  return !isAlive(pid);
}

export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended between the look and the signal, which is what the signal is for.
  }
}

/** For a child of ours: the signals, then the moment in which Node has seen its end. */
export async function stopChild(
  pid: number,
  ended: Promise<string>,
  steps: readonly (readonly [NodeJS.Signals, number])[],
): Promise<void> {
  await endProcess(pid, steps);
  await Promise.race([ended, sleep(2_000)]);
}
