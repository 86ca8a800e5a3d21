// Keeps one process running: when it ends without having been asked to, it is started again, after a pause that doubles
// up to a cap. It does not know what the process is; how to launch it, and when it is ready, is the caller's word.
import { sleep, systemClock } from '../../core/clock.ts';
import { RESTART_FORGIVEN_AFTER_MS, RESTART_PAUSE_MAX_MS, RESTART_PAUSE_MS, START_ATTEMPTS_MAX } from '../constants.ts';
import type { Say } from '../../core/services/service.ts';

export interface Running {
  readonly pid: number;
  readonly ended: Promise<string>;
  stop(): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

export interface Kept {
  readonly name: string;
  /** Undefined while it is being started again. */
  pid(): number | undefined;
  stop(): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

export interface KeepOptions {
  name: string;
  /** Resolves once the process is ready; must end it and reject when the signal aborts. */
  launch(signal: AbortSignal): Promise<Running>;
  /** Gives the first start up; afterwards stop() does. */
  signal?: AbortSignal | undefined;
  /** The pid has changed. */
  onChange(): void;
  say: Say;
}

const NEVER = new AbortController().signal;

/** Resolves when the process is ready for the first time; rejects when it will not start. */
export async function keepRunning(options: KeepOptions): Promise<Kept> {
  const { name, onChange } = options;
  const stopping = new AbortController();
  let running: Running | undefined = await firstLaunch(options);
  const watch = async (): Promise<void> => {
    let pauseMs = RESTART_PAUSE_MS;
    while (running) {
      const readyAt = systemClock.now();
      const how = await running.ended;
      running = undefined;
      onChange();
      if (stopping.signal.aborted) return;
      if (systemClock.now() - readyAt > RESTART_FORGIVEN_AFTER_MS) pauseMs = RESTART_PAUSE_MS;
      running = await relaunch(options, stopping.signal, `${name} ${how}`, pauseMs);
      pauseMs = Math.min(pauseMs * 2, RESTART_PAUSE_MAX_MS);
      onChange();
    }
  };
  const watching = watch();
  return {
    name,
    pid: () => running?.pid,
    async stop() {
      stopping.abort();
      await running?.stop();
      await watching;
    },
    kill: (signal) => running?.kill(signal),
  };
}

async function firstLaunch({ name, launch, say, signal = NEVER }: KeepOptions): Promise<Running> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await launch(signal);
    } catch (error) {
      if (attempt === START_ATTEMPTS_MAX || signal.aborted) throw error;
      say(`${name} did not start (${messageOf(error)}): trying again`);
      await sleep(RESTART_PAUSE_MS);
    }
  }
}

/** Tries for ever, since everything else is up and waits for it; undefined when the system stops meanwhile. */
async function relaunch(
  { name, launch, say }: KeepOptions,
  signal: AbortSignal,
  why: string,
  firstPauseMs: number,
): Promise<Running | undefined> {
  let reason = why;
  for (let pauseMs = firstPauseMs; !signal.aborted; pauseMs = Math.min(pauseMs * 2, RESTART_PAUSE_MAX_MS)) {
    say(`${reason}: starting it again in ${pauseMs} ms`);
    await sleep(pauseMs, signal);
    if (signal.aborted) break;
    try {
      const running = await launch(signal);
      if (!signal.aborted) return running;
      await running.stop();
    } catch (error) {
      reason = `${name} did not start (${messageOf(error)})`;
    }
  }
  return undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
