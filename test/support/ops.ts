// Runs the operators' command line as an operator does: another process, its exit code and what it printed.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface OpsRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The one JSON document on stdout. */
  json<T>(): T;
}

export function runOps(args: readonly string[], env: Readonly<Record<string, string>>): Promise<OpsRun> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      ['scripts/ops.ts', ...args],
      // Only what the test says: a developer's DATABASE_URL must not be audited by it.
      { cwd: ROOT, env: { PATH: process.env['PATH'] ?? '', ...env }, maxBuffer: 64 * 1024 * 1024 },
      (_, stdout, stderr) => {
        // The caller states what the document is, and fails on its first use where it is not.
        const json = <T>(): T => JSON.parse(stdout) as T;
        resolve({ code: child.exitCode ?? -1, stdout, stderr, json });
      },
    );
  });
}
