// What the system tells of a process from outside: its memory and its open files. Linux only; elsewhere there is nothing
// to see, and undefined says so.
import { readdirSync, readFileSync } from 'node:fs';

export interface ProcessSample {
  readonly rssBytes: number;
  readonly openFiles: number;
  readonly threads: number;
}

/** Undefined when the process is not there (any more). */
export function sampleProcess(pid: number): ProcessSample | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
    return {
      rssBytes: field('VmRSS') * 1_024,
      openFiles: readdirSync(`/proc/${pid}/fd`).length,
      threads: field('Threads'),
    };
  } catch {
    return undefined;
  }
}
