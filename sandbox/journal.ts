// The sandbox's memory on disk: one JSON line a change, appended; read back at the start. An answer waits until the line
// that it tells of has been written (many lines share one write), so a killed sandbox still knows every intent that it
// has given out. Without a directory it writes nothing.
import { mkdir, open, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';

export interface Journal {
  append(kind: string, value: unknown): void;
  /** Resolves when everything appended before is written. */
  flushed(): Promise<void>;
  close(): Promise<void>;
}

export interface JournalLine {
  kind: string;
  value: unknown;
}

/** Lines of a former run, in order. A torn last line (the machine stopped while writing) is left out. */
export async function* readJournal(directory: string): AsyncGenerator<JournalLine> {
  const file = await open(journalPath(directory)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return;
  for await (const line of file.readLines()) {
    const parsed = parseLine(line);
    if (parsed !== undefined) yield parsed;
  }
}

function parseLine(line: string): JournalLine | undefined {
  try {
    const parsed: unknown = JSON.parse(line);
    if (Array.isArray(parsed) && typeof parsed[0] === 'string') return { kind: parsed[0], value: parsed[1] };
  } catch {
    // Torn by a crash: its request was never answered.
  }
  return undefined;
}

/** Writes the state that still counts as the new journal, in place of one that holds every step since the first day. */
export async function openJournal(directory: string, state: Iterable<JournalLine>): Promise<Journal> {
  await mkdir(directory, { recursive: true });
  const fresh = `${journalPath(directory)}.new`;
  await writeFile(fresh, linesOf(state));
  await rename(fresh, journalPath(directory));
  const file = await open(journalPath(directory), 'a');

  let waiting: string[] = [];
  let appended = 0;
  let written = 0;
  let writing: Promise<void> | undefined;
  const write = async () => {
    const batch = waiting.join('');
    const last = appended;
    waiting = [];
    try {
      await file.appendFile(batch);
      written = last;
    } finally {
      writing = undefined;
    }
  };
  const flushed = async (): Promise<void> => {
    const last = appended;
    while (written < last) {
      // The write under way may have begun before our line; then the next one carries it.
      writing ??= write();
      await writing;
    }
  };
  return {
    append(kind, value) {
      waiting.push(`${JSON.stringify([kind, value])}\n`);
      appended += 1;
    },
    flushed,
    async close() {
      await flushed();
      await file.close();
    },
  };
}

export const noJournal: Journal = { append: () => {}, flushed: async () => {}, close: async () => {} };

function journalPath(directory: string): string {
  return path.join(directory, 'sandbox.jsonl');
}

function* linesOf(state: Iterable<JournalLine>): Generator<string> {
  for (const line of state) yield `${JSON.stringify([line.kind, line.value])}\n`;
}
