// `run.json` in the data directory: where the running system listens and which processes it consists of, for the
// operators' CLI, the demo and crash tests. It is kept current while the system runs and removed when it stops; no
// secret is in it but the password inside the database URL, so only its owner may read it.
import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readRecord, replaceFile } from './data-dir.ts';
import { startMark } from './process-table.ts';
import { isAlive } from './service.ts';

export interface RunningProcess {
  name: string;
  pid: number;
}

export interface RunFile {
  pid: number;
  startMark: string;
  port: number;
  url: string;
  databaseUrl: string;
  redisUrl: string;
  /** Null with a real Stripe key. */
  sandboxUrl: string | null;
  processes: RunningProcess[];
}

export function writeRunFile(directory: string, run: RunFile): void {
  replaceFile(join(directory, 'run.json'), run, 0o600);
}

export function removeRunFile(directory: string): void {
  rmSync(join(directory, 'run.json'), { force: true });
}

/** What was written last, whether or not it still runs. */
export function lastRun(directory: string): RunFile | undefined {
  const record = readRecord(join(resolve(directory), 'run.json'));
  // The file is written whole by the function above; a missing pid means that there is none.
  return typeof record.pid === 'number' ? (record as unknown as RunFile) : undefined;
}

/** The running system of this data directory; undefined when none runs. */
export function readRunFile(directory: string): RunFile | undefined {
  const run = lastRun(directory);
  return run && isAlive(run.pid) && startMark(run.pid) === run.startMark ? run : undefined;
}
