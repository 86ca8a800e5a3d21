// The processes below a process: Postgres is a family, and only all of it together can be frozen or killed at one moment.
// Linux answers from /proc, other systems from `ps`.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** The process itself first. */
export function familyOf(pid: number): number[] {
  const children = Map.groupBy(parents(), ([, parent]) => parent);
  const family = [pid];
  for (const member of family) family.push(...(children.get(member) ?? []).map(([child]) => child));
  return family;
}

function parents(): [pid: number, parent: number][] {
  if (existsSync('/proc/self/stat')) {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    return pids.flatMap((name): [number, number][] => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        // The name in field 2 may hold spaces and parentheses; the parent is field 4.
        return [[Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])]];
      } catch {
        return []; // it ended between the listing and the look
      }
    });
  }
  const lines = execFileSync('ps', ['-axo', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n');
  return lines.map((line): [number, number] => {
    const [child, parent] = line.trim().split(/\s+/).map(Number);
    return [child ?? 0, parent ?? 0];
  });
}
