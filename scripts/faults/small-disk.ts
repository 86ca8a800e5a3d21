// A store's data on a small disk of its own (tmpfs), so that it can be filled to the last byte without harming anybody
// else. Needs root on Linux. What is mounted goes away with the stage's directory.
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmdirSync, rmSync, symlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSecrets } from '../../core/services/data-dir.ts';
import {
  initialise,
  openAncestors,
  openPrograms,
  postgresDirectory,
  postgresOwner,
} from '../../core/services/postgres-files.ts';

const SIZE_MB = { redis: 64, postgres: 192 } as const;
const BLOCK_BYTES = 1024 * 1024;

export type Store = keyof typeof SIZE_MB;

/** Undefined where small disks can be made; else why not. */
export function whyNoDisks(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  const trial = mkdtempSync(join(tmpdir(), 'doorbuster-mount-'));
  try {
    mount(trial, 1);
    execFileSync('umount', [trial], { stdio: 'pipe' });
    return undefined;
  } catch {
    return 'needs root that may mount a tmpfs';
  } finally {
    rmdirSync(trial);
  }
}

/** Before the store is started for the first time in this data directory. */
export function putOnSmallDisk(dataDir: string, store: Store): void {
  if (store === 'redis') {
    mkdirSync(join(dataDir, 'redis'), { mode: 0o700 });
    mount(join(dataDir, 'redis'), SIZE_MB.redis);
    return;
  }
  // A cluster is made beside its place and renamed, so the disk is the directory above, and a link leads there.
  const disk = diskOf(dataDir, store);
  mkdirSync(disk);
  mount(disk, SIZE_MB.postgres);
  const native = postgresDirectory();
  const owner = postgresOwner(() => undefined);
  if (owner) {
    openPrograms(native);
    openAncestors(join(disk, 'data'), () => undefined);
  }
  initialise(native, join(disk, 'data'), readSecrets(dataDir).postgresPassword, owner, []);
  symlinkSync(join(disk, 'data'), join(dataDir, 'postgres'));
}

/** To the last byte. */
export function fillDisk(dataDir: string, store: Store): void {
  const file = openSync(fillerOf(dataDir, store), 'w');
  try {
    for (let size = BLOCK_BYTES; size >= 1; ) {
      try {
        if (writeSync(file, Buffer.alloc(size)) < size) size = Math.floor(size / 2);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
        size = Math.floor(size / 2);
      }
    }
  } finally {
    closeSync(file);
  }
}

export function freeDisk(dataDir: string, store: Store): void {
  rmSync(fillerOf(dataDir, store), { force: true });
}

function mount(directory: string, sizeMb: number): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMb}m,mode=0755`, 'tmpfs', directory], { stdio: 'pipe' });
}

function diskOf(dataDir: string, store: Store): string {
  return join(dataDir, store === 'redis' ? 'redis' : 'disk');
}

function fillerOf(dataDir: string, store: Store): string {
  return join(diskOf(dataDir, store), 'filler');
}
