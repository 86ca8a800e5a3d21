// The lock file of this repository, and that each check of it can fail. Known vulnerabilities need the network: .ci/audit.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { checkLock, type Lock, type LockedPackage, type Manifest } from './dependencies.ts';

function read<T>(name: string): T {
  // npm writes both files in this shape.
  return JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8')) as T;
}
const lock = read<Lock>('package-lock.json');
const manifest = read<Manifest>('package.json');

describe('what we depend on', () => {
  it('is whole, chosen, licensed and quiet', () => {
    expect(Object.keys(lock.packages).length).toBeGreaterThan(100);
    expect(checkLock(lock, manifest)).toEqual([]);
  });

  it('is asked for in the lock file as in the manifest', () => {
    const root = lock.packages[''];
    expect(root?.dependencies).toEqual(manifest.dependencies);
    expect(root?.devDependencies).toEqual(manifest.devDependencies);
  });

  it('allows no script of what is not there', () => {
    const present = new Set(Object.keys(lock.packages).map((path) => path.replace(/^.*node_modules\//, '')));
    for (const name of Object.keys(manifest.allowScripts ?? {})) expect(present).toContain(name);
  });
});

describe('a planted fault in', () => {
  const fine: LockedPackage = { version: '1.0.0', integrity: 'sha512-x', license: 'MIT' };
  const withPackage = (entry: LockedPackage, path = 'node_modules/planted'): Lock => ({
    ...lock,
    packages: { ...lock.packages, [path]: entry },
  });

  it.each<[string, LockedPackage]>([
    ['a hash that is missing', { version: '1.0.0', license: 'MIT' }],
    ['a hash that is weak', { ...fine, integrity: 'sha1-x' }],
    ['a source that is a repository', { ...fine, resolved: 'git+ssh://git@github.com/a/b.git#c' }],
    ['a source that is another registry', { ...fine, resolved: 'https://registry.elsewhere.example/a.tgz' }],
    ['a source without encryption', { ...fine, resolved: 'http://registry.npmjs.org/a.tgz' }],
    ['a source that is a folder', { link: true, resolved: '../a', license: 'MIT' }],
    ['a bundle', { ...fine, inBundle: true }],
    ['an installation script', { ...fine, hasInstallScript: true }],
    ['a licence that asks for the source', { ...fine, license: 'AGPL-3.0' }],
    ['a licence that is for tools only', { ...fine, license: 'MPL-2.0' }],
    ['no licence', { version: '1.0.0', integrity: 'sha512-x' }],
  ])('the lock file is found: %s', (_, entry) => {
    expect(checkLock(withPackage(entry), manifest)).toHaveLength(1);
  });

  it('nothing is no finding', () => {
    expect(checkLock(withPackage({ ...fine, resolved: 'https://registry.npmjs.org/a.tgz' }), manifest)).toEqual([]);
    expect(checkLock(withPackage({ ...fine, license: 'MPL-2.0', dev: true }), manifest)).toEqual([]);
    expect(checkLock({ ...lock, lockfileVersion: 2 }, manifest)).toHaveLength(1);
  });

  it('the number of what must be there once is found', () => {
    expect(checkLock(withPackage(fine, 'node_modules/planted/node_modules/jose'), manifest)).toEqual([
      'jose is installed 2 times, not once',
    ]);
  });

  it.each(['^1.0.0', '~1.0.0', '*', 'latest', '>=1', '1.x', 'github:a/b', 'file:../a', 'https://a.example/a.tgz', ''])(
    'the manifest is found: a version %s',
    (version) => {
      const loose = { ...manifest, dependencies: { ...manifest.dependencies, planted: version } };
      expect(checkLock(lock, loose)).toHaveLength(1);
    },
  );
});

describe('the audit of known vulnerabilities', () => {
  /** The script with an npm that answers this. */
  function auditWith(answer: string, exitCode: number): { code: number | null; said: string } {
    const folder = mkdtempSync(join(tmpdir(), 'doorbuster-audit-'));
    try {
      writeFileSync(join(folder, 'answer'), answer);
      writeFileSync(join(folder, 'npm'), `#!/bin/sh\ncat '${folder}/answer'\nexit ${exitCode}\n`);
      chmodSync(join(folder, 'npm'), 0o755);
      const script = fileURLToPath(new URL('../../.ci/audit', import.meta.url));
      const env = { ...process.env, PATH: [folder, process.env['PATH']].join(delimiter) };
      const { status, stdout } = spawnSync('bash', [script], { env, encoding: 'utf8' });
      return { code: status, said: stdout };
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  const counts = (high: number, critical = 0) => ({ metadata: { vulnerabilities: { moderate: 3, high, critical } } });
  const one = { planted: { name: 'planted', severity: 'high', range: '<2' } };

  it.each<[string, unknown, number, number, RegExp]>([
    ['fails for a high one', { ...counts(1), vulnerabilities: one }, 1, 1, /high: planted <2/],
    ['fails for a critical one', counts(0, 1), 1, 1, /1 critical/],
    ['passes for others', counts(0), 1, 0, /0 high, 3 moderate/],
    [
      'says that a registry without advisories was no check',
      { message: '405 Method Not Allowed' },
      1,
      0,
      /NOT CHECKED.*405/,
    ],
    ['says that no network was no check', '', 1, 0, /NOT CHECKED/],
  ])('%s', (_, answer, npmExit, code, said) => {
    const seen = auditWith(answer === '' ? '' : JSON.stringify(answer), npmExit);
    expect(seen.code).toBe(code);
    expect(seen.said).toMatch(said);
  });
});
