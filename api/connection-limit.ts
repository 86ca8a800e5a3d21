// How many connections this process serves: as many as the system lets it open files for, less what it needs itself. One
// more is answered and ended; far beyond that they are cut off unheard, because a server that is out of files can neither
// take a connection nor say so.
import { readFileSync } from 'node:fs';
import { CONNECTIONS_FALLBACK_MAX } from '../core/constants.ts';

export interface ConnectionLimit {
  /** From here on an answer ends its connection. */
  readonly answered: number;
  /** From here on a connection is closed as it comes. */
  readonly taken: number;
}

export function readConnectionLimit(): ConnectionLimit {
  const files = openFilesLimit();
  return { answered: Math.floor(files * 0.8), taken: Math.floor(files * 0.9) };
}

function openFilesLimit(): number {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return Number(soft ?? CONNECTIONS_FALLBACK_MAX);
  } catch {
    // Not a Linux.
    return CONNECTIONS_FALLBACK_MAX;
  }
}
