// Resident memory of processes, once it has come to rest: a process under load holds what its next garbage collection frees.
// Linux only; elsewhere 0.
import { readFileSync } from 'node:fs';
import { sleep } from '../../core/clock.ts';

const LOOKS = 12;
const PAUSE_MS = 250;

/** Bytes, the smallest sum that was seen in a few seconds. */
export async function readMemory(processes: readonly { pid: number }[]): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let look = 0; look < LOOKS; look += 1) {
    await sleep(PAUSE_MS);
    const sum = processes.reduce((bytes, { pid }) => bytes + residentBytes(pid), 0);
    least = Math.min(least, sum);
  }
  return least;
}

function residentBytes(pid: number): number {
  try {
    const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Number(kilobytes ?? 0) * 1_024;
  } catch {
    return 0;
  }
}
