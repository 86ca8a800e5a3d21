// Ends what an earlier supervisor of the same data directory left running: its children end by themselves when it dies,
// so only those that hang are found here. A pid of run.json is believed only if the process was started by us.
import { STOP_GRACE_MS } from '../../core/constants.ts';
import { PROCESS_KILL_LIMIT_MS } from '../constants.ts';
import { commandLine, startedWith } from '../../core/services/process-table.ts';
import { lastRun, removeRunFile } from '../../core/services/run-file.ts';
import { endProcess, isAlive, type Say } from '../../core/services/service.ts';

export async function endLeftovers(directory: string, entries: readonly string[], say: Say): Promise<void> {
  const isOurs = (pid: number): boolean => {
    const command = commandLine(pid) ?? '';
    const home = startedWith(pid, 'DATA_DIR');
    return entries.some((entry) => command.includes(entry)) && (home === undefined || home === directory);
  };
  const left = (lastRun(directory)?.processes ?? []).filter(({ pid }) => isAlive(pid) && isOurs(pid));
  await Promise.all(
    left.map(async ({ name, pid }) => {
      say(`${name} of an earlier run still lives (pid ${pid}): stopping it first`);
      await endProcess(pid, [
        ['SIGTERM', STOP_GRACE_MS],
        ['SIGKILL', PROCESS_KILL_LIMIT_MS],
      ]);
    }),
  );
  removeRunFile(directory);
}
