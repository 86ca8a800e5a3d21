// Tells whether a pid from a pid file still is the process that wrote it: pids are used again after a crash or a reboot,
// so nothing is signalled on the word of a file alone. Linux answers from /proc, other systems from `ps`.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';

const hasProc = existsSync('/proc/self/cmdline');

/** The command line, words separated by single spaces; undefined when there is no such process. */
export function commandLine(pid: number): string | undefined {
  try {
    if (hasProc) return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim() || undefined;
    return execFileSync('ps', ['-p', String(pid), '-o', 'command='], { encoding: 'utf8' }).trim() || undefined;
  } catch {
    return undefined;
  }
}

/** Where the process works; undefined where the system does not say (not Linux, or somebody else's process). */
export function workingDirectory(pid: number): string | undefined {
  try {
    return hasProc ? readlinkSync(`/proc/${pid}/cwd`) : undefined;
  } catch {
    return undefined;
  }
}

/** One variable of the environment that the process was started with; undefined where the system does not say. */
export function startedWith(pid: number, variable: string): string | undefined {
  try {
    if (!hasProc) return undefined;
    const pairs = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    return pairs.find((pair) => pair.startsWith(`${variable}=`))?.slice(variable.length + 1);
  } catch {
    return undefined;
  }
}

/** A server of ours works in its data directory, and its command line names its program. */
export function isServerOf(pid: number, directory: string, programs: readonly string[], hint: string): boolean {
  const command = commandLine(pid);
  if (command === undefined || !programs.some((program) => command.includes(program))) return false;
  const cwd = workingDirectory(pid);
  return cwd === undefined ? command.includes(hint) : cwd === realpathSync(directory);
}

/** When the process began, in the system's own words: with the pid it names one process for good. */
export function startMark(pid: number): string {
  try {
    if (!hasProc) return execFileSync('ps', ['-p', String(pid), '-o', 'lstart='], { encoding: 'utf8' }).trim();
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Field 22; the name in field 2 may hold spaces, so we count from its closing parenthesis.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}
