// The data directory of one running system: its lock, so that two never work in it, the secrets that were generated for
// it, and the ports that its servers had last time. It holds no secret in production that the operator did not set.
import { chmodSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { randomSecret } from '../ids.ts';
import { startMark } from './process-table.ts';
import { isAlive } from './service.ts';

export interface DataDirectory {
  readonly path: string;
  release(): void;
}

/** Takes the lock, or fails naming who has it. A lock whose process is gone is taken over. */
export function openDataDirectory(path: string): DataDirectory {
  const directory = resolve(path);
  mkdirSync(directory, { recursive: true, mode: 0o711 });
  const lock = join(directory, 'lock');
  const mine = `${process.pid} ${startMark(process.pid)}\n`;
  const draft = `${lock}.${process.pid}`;
  writeFileSync(draft, mine);
  try {
    while (!isLinked(draft, lock)) {
      const theirs = readText(lock);
      if (theirs === undefined) continue;
      if (isHeld(theirs)) {
        throw new Error(
          `Another system runs on ${directory} (pid ${Number.parseInt(theirs, 10)}): stop it, or set DATA_DIR to another directory`,
        );
      }
      takeAway(lock, theirs);
    }
  } finally {
    rmSync(draft, { force: true });
  }
  return {
    path: directory,
    release: () => {
      if (readText(lock) === mine) rmSync(lock, { force: true });
    },
  };
}

/** A hard link appears with its content and fails if the name is taken: the one atomic way to create a lock. */
function isLinked(draft: string, lock: string): boolean {
  try {
    linkSync(draft, lock);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

function isHeld(content: string): boolean {
  const [word = '', mark = ''] = content.trim().split(/ (.*)/);
  const pid = Number.parseInt(word, 10);
  return pid > 0 && isAlive(pid) && startMark(pid) === mark;
}

/** Renames before it removes: where two take over at once, the loser sees that it holds a live lock, and gives it back. */
function takeAway(lock: string, stale: string): void {
  const aside = `${lock}.stale.${process.pid}`;
  try {
    renameSync(lock, aside);
  } catch {
    return;
  }
  if (readText(aside) !== stale) isLinked(aside, lock);
  rmSync(aside, { force: true });
}

export interface Secrets {
  jwtSecret: string;
  stripeSecretKey: string;
  stripeWebhookSecret: string;
  postgresPassword: string;
}

/** Generated once, readable by its owner alone. */
export function readSecrets(directory: string): Secrets {
  const file = join(directory, 'secrets.json');
  const kept = readRecord(file);
  const word = (name: keyof Secrets, prefix: string): string => {
    const value = kept[name];
    return typeof value === 'string' && value !== '' ? value : prefix + randomSecret(24);
  };
  const secrets: Secrets = {
    jwtSecret: word('jwtSecret', ''),
    stripeSecretKey: word('stripeSecretKey', 'sk_test_'),
    stripeWebhookSecret: word('stripeWebhookSecret', 'whsec_'),
    postgresPassword: word('postgresPassword', ''),
  };
  replaceFile(file, secrets, 0o600);
  return secrets;
}

export interface Ports {
  postgres?: number;
  redis?: number;
}

export function readPorts(directory: string): Ports {
  const { postgres, redis } = readRecord(join(directory, 'ports.json'));
  return { ...(typeof postgres === 'number' ? { postgres } : {}), ...(typeof redis === 'number' ? { redis } : {}) };
}

export function writePorts(directory: string, ports: Ports): void {
  replaceFile(join(directory, 'ports.json'), ports, 0o644);
}

/** Whole or not at all: a reader never sees half a file, and neither does the start after a crash. */
export function replaceFile(file: string, content: object, mode: number): void {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(content, undefined, 2)}\n`, { mode });
  chmodSync(draft, mode);
  renameSync(draft, file);
}

export function readRecord(file: string): Record<string, unknown> {
  const text = readText(file);
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {};
  } catch (cause) {
    throw new Error(`${file} is not JSON: repair or remove it`, { cause });
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
