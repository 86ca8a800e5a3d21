// What is not installed is installed with the machine's own package manager, or is said to be missing and why. The
// managers here are scripts, on a PATH on which there is nothing else.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../support/stack.ts';

const OTHERS = {
  env: 'while [ "${1#*=}" != "$1" ]; do shift; done; exec "$@"',
  sudo: '[ "$1" = -n ] && shift; [ "$1" = true ] && exit 0; exec "$@"',
};

/** A PATH of its own: what is on it is all that there is on that machine. */
function machineWith(programs: Record<string, string>): string {
  const path = temporaryDirectory('path');
  for (const [name, body] of Object.entries(programs)) {
    writeFileSync(join(path, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  }
  return path;
}

/** Knows the packages by name, each with the program that it brings, and keeps a list of what it was told. */
function managerOf(packages: Record<string, { program: string; body: string }>): { body: string; told(): string[] } {
  const log = join(temporaryDirectory('manager'), 'log');
  const shelf = machineWith(Object.fromEntries(Object.values(packages).map(({ program, body }) => [program, body])));
  const body = [
    '[ "$1" = --version ] && exit 0',
    `echo "$*" >> ${log}`,
    '[ "$1" = update ] && exit 0',
    'for last; do :; done',
    'case "$last" in',
    ...Object.entries(packages).map(([name, { program }]) => `${name}) /bin/cp ${shelf}/${program} "\${0%/*}/" ;;`),
    '*) echo "no package $last" >&2; exit 100 ;;',
    'esac',
  ].join('\n');
  return { body, told: () => (existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : []) };
}

type Ensure = 'ensureRedis' | 'ensureChromium';

/** What it answered (undefined when it threw), and all that was printed meanwhile. */
function ensureOn(path: string, ensure: Ensure, before = ''): { answer: unknown; output: string } {
  const file = ensure === 'ensureRedis' ? '../../core/services/redis-binary.ts' : '../support/browser.ts';
  const module = new URL(file, import.meta.url).href;
  const source = `${before} import { ${ensure} } from '${module}'; console.log(JSON.stringify(await ${ensure}(console.log)));`;
  const words = ['--input-type=module', '-e', source];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { env: { PATH: path }, encoding: 'utf8' });
  const answer: unknown = status === 0 ? JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') : undefined;
  return { answer, output: stdout + stderr };
}

const REDIS = { program: 'redis-server', body: 'echo "Redis server v=7.2.4 sha=0"' };
const CHROMIUM = { program: 'chromium', body: 'echo "Chromium 150.0"' };

test('a missing Redis is installed with the package manager, after a refresh of its lists', () => {
  const manager = managerOf({ 'redis-server': REDIS });
  const { answer, output } = ensureOn(machineWith({ ...OTHERS, 'apt-get': manager.body }), 'ensureRedis');
  expect(output).toContain('redis-server is not installed: installing it with apt-get');
  expect(answer).toBe('redis-server');
  expect(manager.told()).toEqual(['update', 'install -y --no-install-recommends redis-server']);
});

test('a package that the manager does not have leads to the next one, and what it said is shown', () => {
  const manager = managerOf({ redis: REDIS });
  const { answer, output } = ensureOn(machineWith({ ...OTHERS, dnf: manager.body }), 'ensureRedis');
  expect(output).toContain('no package valkey\n');
  expect(answer).toBe('redis-server');
  expect(manager.told()).toEqual(['install -y valkey', 'install -y redis']);
});

test('where no Redis can be installed, or only an old one is there, the three ways to get one are named', () => {
  const empty = managerOf({});
  for (const [reason, programs] of [
    ['none of apt-get, apk, dnf, brew is here', {}],
    ['none of apt-get, apk, dnf, brew is here', { 'redis-server': 'echo "Redis server v=6.0.16 sha=0"' }],
    ['apk could not install redis-server', { ...OTHERS, apk: empty.body }],
  ] as const) {
    const { answer, output } = ensureOn(machineWith(programs), 'ensureRedis');
    expect(answer).toBeUndefined();
    expect(output).toContain(reason);
    for (const way of ['apt-get install redis-server', 'REDIS_URL', 'docker compose up']) expect(output).toContain(way);
  }
  expect(empty.told()).toEqual(['update', 'add redis', 'add valkey']);
});

test('nobody is asked for a password: where sudo wants one, nothing is installed', () => {
  const manager = managerOf({ 'redis-server': REDIS });
  const asUser = 'process.getuid = () => 1000;';
  const locked = machineWith({ ...OTHERS, sudo: 'exit 1', 'apt-get': manager.body });
  expect(ensureOn(locked, 'ensureRedis', asUser).output).toContain('apt-get needs a password to install it');
  expect(manager.told()).toEqual([]);
  const open = machineWith({ ...OTHERS, 'apt-get': manager.body });
  expect(ensureOn(open, 'ensureRedis', asUser).answer).toBe('redis-server');
});

test('a Chromium for the tests of pages is installed where there is none that runs, and once', () => {
  const manager = managerOf({ chromium: CHROMIUM });
  const broken = { 'chromium-browser': 'echo "install the snap" >&2; exit 1' };
  const path = machineWith({ ...OTHERS, ...broken, 'apt-get': manager.body });
  for (const _ of ['not there', 'there'])
    expect(ensureOn(path, 'ensureChromium').answer).toEqual({ isFound: true, program: join(path, 'chromium') });
  expect(manager.told()).toEqual(['update', 'install -y --no-install-recommends chromium']);
});

test('where no Chromium can be installed the answer says why', () => {
  // Homebrew has no plain Chromium, and is not asked.
  const brew = managerOf({ chromium: CHROMIUM });
  const reason = 'chromium is not installed, and none of apt-get, apk, dnf is here to install it';
  expect(ensureOn(machineWith({ brew: brew.body }), 'ensureChromium').answer).toEqual({ isFound: false, reason });
  expect(brew.told()).toEqual([]);
});
