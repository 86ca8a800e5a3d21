// A rush inside a test: what it says is collected instead of printed, and the moment of the opening can be waited for.
import { loadConfig } from '../../core/config.ts';
import { DEFAULTS, type RushOptions } from '../../scripts/rush/options.ts';
import type { RushResult } from '../../scripts/rush/result.ts';
import { runRush } from '../../scripts/rush/rush.ts';

export interface StartedRush {
  readonly result: Promise<RushResult>;
  /** Resolves with what was said so far, as soon as the crowd presses. */
  readonly opened: Promise<readonly string[]>;
}

/** Against the system that runs on `dataDir`; without one, a system of its own. */
export function startRush(options: Partial<RushOptions>, dataDir = '/nonexistent'): StartedRush {
  const config = loadConfig({ DATA_DIR: dataDir, LOG_LEVEL: 'warn' });
  const { promise: opened, resolve, reject } = Promise.withResolvers<readonly string[]>();
  const lines: string[] = [];
  const terminal = {
    say(line: string) {
      lines.push(line);
      if (line.includes('after the opening')) resolve(lines);
    },
    draw: () => undefined,
    settle: () => undefined,
    print: () => undefined,
    isInteractive: false,
    columns: 80,
  };
  const surroundings = { config, signal: new AbortController().signal, terminal };
  const all = { ...DEFAULTS, buyers: 2_000, stock: 50, holdSeconds: 3, limitMs: 120_000, ...options };
  const result = runRush(all, surroundings);
  result.catch(reject);
  opened.catch(() => undefined); // told by `result`
  return { opened, result };
}
