// The API as operators run it: `node api/main.ts` with an environment, as a process of its own. For tests of what only a
// real process has: its log, its exit, limits that two of them share.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface ApiProcess {
  url: string;
  /** Every line of both outputs so far. */
  output(): string;
  stop(): Promise<number | null>;
}

function launch(env: Record<string, string>): {
  child: ChildProcess;
  lines: string[];
  listen(to: (line: string) => void): void;
} {
  const child = spawn(process.execPath, ['api/main.ts'], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const listeners: ((line: string) => void)[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      for (const listener of listeners) listener(line);
    });
  }
  process.once('exit', () => child.kill('SIGKILL'));
  return { child, lines, listen: (to) => void listeners.push(to) };
}

/** Resolves when it serves; PORT is any free one. */
export async function startApiProcess(env: Record<string, string>): Promise<ApiProcess> {
  const { child, lines, listen } = launch({ PORT: '0', ...env });
  const port = await new Promise<number>((resolve, reject) => {
    listen((line) => {
      const found = /"port":(\d+).*"msg":"serving"/.exec(line)?.[1];
      if (found !== undefined) resolve(Number(found));
    });
    child.once('exit', (code) => reject(new Error(`the API ended with ${code}:\n${lines.join('\n')}`)));
  });
  return {
    url: `http://127.0.0.1:${port}`,
    output: () => lines.join('\n'),
    async stop() {
      if (child.exitCode === null) {
        child.kill('SIGTERM');
        await once(child, 'close');
      }
      return child.exitCode;
    },
  };
}

/** For an environment that must be refused: its exit code and what it said. */
export async function runRefusedApi(env: Record<string, string>): Promise<{ code: number | null; output: string }> {
  const { child, lines } = launch({ PORT: '0', ...env });
  await once(child, 'close');
  return { code: child.exitCode, output: lines.join('\n') };
}
