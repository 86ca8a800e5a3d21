// What we install: every package from the registry, whole and as it was chosen, under a licence that lets us, running
// nothing at its installation that was not allowed. All of it is read from the lock file, so it needs no network.
import type { Finding } from './source.ts';

export interface LockedPackage {
  version?: string;
  resolved?: string;
  integrity?: string;
  license?: string;
  dev?: boolean;
  hasInstallScript?: boolean;
  link?: boolean;
  inBundle?: boolean;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

export interface Lock {
  lockfileVersion: number;
  packages: Record<string, LockedPackage>;
}

export interface Manifest {
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  overrides?: Record<string, unknown>;
  allowScripts?: Record<string, boolean>;
}

/** What we run and hand on. */
const LICENCES = new Set(['MIT', 'Apache-2.0', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'MIT OR Apache-2.0']);
/** What only tests and tools use, and nobody is given. */
const DEV_LICENCES = new Set([...LICENCES, 'MPL-2.0', '(MIT AND Zlib)']);
/** Two versions of one of these: one of them is not the one that was looked at, or patched. */
const ONCE = 'bullmq ioredis jose msgpackr pg pino stripe undici uWebSockets.js ws zod'.split(' ');
const EXACT = /^(?:npm:(?:@[\w.-]+\/)?[\w.-]+@)?\d+\.\d+\.\d+(?:-[\w.]+)?$/;
const REGISTRY = 'https://registry.npmjs.org/';

const nameOf = (path: string): string => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);

export function checkLock(lock: Lock, manifest: Manifest): Finding[] {
  const packages = Object.entries(lock.packages).filter(([path]) => path !== '');
  const findings = lock.lockfileVersion === 3 ? [] : [`the lock file is of version ${lock.lockfileVersion}, not 3`];
  for (const [path, entry] of packages) {
    findings.push(...checkSource(path, entry), ...checkLicence(path, entry));
    const allowed = manifest.allowScripts?.[nameOf(path)];
    if (entry.hasInstallScript && allowed === undefined) {
      findings.push(`${path} runs a script at its installation: decide in allowScripts of package.json`);
    }
  }
  return [...findings, ...checkVersions(manifest), ...checkOnce(packages.map(([path]) => path))];
}

/** A lock file without `resolved` (omit-lockfile-registry-resolved) means the registry that npm is told to use. */
function checkSource(path: string, { resolved, integrity, link, inBundle }: LockedPackage): Finding[] {
  if (link) return [`${path} is a link to a folder, not a package`];
  if (inBundle) return [`${path} comes inside another package, where no hash is its own`];
  const findings = [];
  if (!integrity?.startsWith('sha512-')) findings.push(`${path} has no sha512 hash`);
  if (resolved !== undefined && !resolved.startsWith(REGISTRY)) findings.push(`${path} comes from ${resolved}`);
  return findings;
}

function checkLicence(path: string, { license = 'none', dev = false }: LockedPackage): Finding[] {
  const isAllowed = (dev ? DEV_LICENCES : LICENCES).has(license);
  return isAllowed ? [] : [`${path} has the licence ${license}: read it, then add it in test/arch/dependencies.ts`];
}

function checkVersions(manifest: Manifest): Finding[] {
  const { dependencies, devDependencies, optionalDependencies, overrides } = manifest;
  const all = { ...dependencies, ...devDependencies, ...optionalDependencies, ...overrides };
  return Object.entries(all)
    .filter(([, version]) => typeof version !== 'string' || !EXACT.test(version))
    .map(([name, version]) => `${name} is asked for as ${JSON.stringify(version)}: name one version of the registry`);
}

function checkOnce(paths: readonly string[]): Finding[] {
  return ONCE.flatMap((name) => {
    const times = paths.filter((path) => nameOf(path) === name).length;
    return times === 1 ? [] : [`${name} is installed ${times} times, not once`];
  });
}
