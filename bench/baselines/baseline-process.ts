// A baseline is a small server in a process of its own, as the API is one. It says where it listens, and goes when we go.
import { fork } from 'node:child_process';
import { once } from 'node:events';

export interface BaselineProcess {
  readonly url: string;
  readonly pid: number;
  stop(): void;
}

/** Its settings come as one word of JSON. */
export async function startBaseline(program: URL, settings: object): Promise<BaselineProcess> {
  const child = fork(program, [JSON.stringify(settings)], {
    // Frameworks leave out what is for developers only.
    env: { ...process.env, NODE_ENV: 'production' },
  });
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`${program.pathname} ended with ${String(code)}`);
  });
  // Expected once it is stopped; before that the requests that fail tell.
  ended.catch(() => undefined);
  const [message] = await Promise.race([once(child, 'message'), ended]);
  // What every program here sends when it listens.
  const { url } = message as { url: string };
  return { url, pid: child.pid ?? 0, stop: () => void child.kill('SIGKILL') };
}
