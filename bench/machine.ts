// The line without which no figure means anything: what it was measured on, and with which versions.
import { spawnSync } from 'node:child_process';
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { ensureRedis } from '../core/services/redis-binary.ts';
import { postgresDirectory } from '../core/services/postgres-files.ts';
import type { Say } from '../core/services/service.ts';

export interface Machine {
  readonly cores: number;
  readonly model: string;
  readonly memoryGb: number;
  readonly kernel: string;
  readonly node: string;
  readonly redis: string;
  readonly postgres: string;
  /** Processes that wanted a core, over the minute before the run: more than a little, and it is not the machine that was measured. */
  readonly loadBefore: number;
  /** When the run began, as an ISO date. */
  readonly date: string;
}

export async function describeMachine(say: Say): Promise<Machine> {
  return {
    cores: availableParallelism(),
    model: cpus()[0]?.model ?? 'unknown',
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()}`,
    node: process.version,
    redis: versionOf(await ensureRedis(say), /v=([\d.]+)/),
    postgres: versionOf(join(postgresDirectory(), 'bin', 'postgres'), /\) ([\d.]+)/),
    loadBefore: loadavg()[0] ?? 0,
    date: new Date().toISOString(),
  };
}

function versionOf(program: string, pattern: RegExp): string {
  const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  return pattern.exec(stdout)?.[1] ?? 'unknown';
}

export function toMachineLine(machine: Machine): string {
  const { cores, model, memoryGb, kernel, node, redis, postgres, date, loadBefore } = machine;
  const versions = `${kernel}, Node ${node}, Redis ${redis}, Postgres ${postgres}`;
  return `${cores} cores, ${model}, ${memoryGb} GB, ${versions}, ${date.slice(0, 10)}, load before ${loadBefore.toFixed(1)}`;
}
