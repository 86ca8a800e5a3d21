// Where the time goes: processor time of each process of the system over a run, its children included (Postgres works in
// those). Figures per request drift less with a busy machine than requests a second do. Linux only; elsewhere empty.
import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks of the kernel's process statistics: 100 a second on every Linux that Node runs on. */
const TICK_MS = 10;

interface Reading {
  readonly parent: number;
  readonly ms: number;
}

export interface ProcessorTime {
  /** Milliseconds since the start, by name. */
  spent(): Record<string, number>;
}

export function watchProcessorTime(processes: readonly { name: string; pid: number }[]): ProcessorTime {
  const before = readAll(processes);
  return {
    spent: () =>
      Object.fromEntries(
        Object.entries(readAll(processes)).map(([name, ms]) => [name, Math.max(0, ms - (before[name] ?? 0))]),
      ),
  };
}

/** A sentence: microseconds of processor time per request, by process. */
export function describeSpent(spent: Readonly<Record<string, number>>, requests: number): string {
  const parts = Object.entries(spent).map(([name, ms]) => `${name} ${Math.round((ms * 1_000) / requests)}`);
  return parts.length === 0 ? '' : `processor µs each: ${parts.join(', ')}`;
}

function readAll(processes: readonly { name: string; pid: number }[]): Record<string, number> {
  const readings = new Map<number, Reading>();
  for (const pid of listProcesses()) {
    const reading = readOne(pid);
    if (reading !== undefined) readings.set(pid, reading);
  }
  if (readings.size === 0) return {};
  return Object.fromEntries(
    processes.map(({ name, pid }) => {
      const children = [...readings.values()].filter(({ parent }) => parent === pid);
      return [name, [readings.get(pid), ...children].reduce((sum, reading) => sum + (reading?.ms ?? 0), 0)];
    }),
  );
}

function listProcesses(): number[] {
  try {
    return readdirSync('/proc').map(Number).filter(Number.isInteger);
  } catch {
    return [];
  }
}

function readOne(pid: number): Reading | undefined {
  try {
    // What follows the name, which may hold anything: state, parent, …; user and system time and those of ended children.
    const [, rest = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(/\) (?=[A-Z] )/);
    const fields = rest.split(' ');
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    return { parent: Number(fields[1]), ms: ticks * TICK_MS };
  } catch {
    // It ended between the listing and the look.
    return undefined;
  }
}
