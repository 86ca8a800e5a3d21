// Finds a program, and installs it with the system's package manager where that can be done without asking anybody for
// a password. It knows no program in particular, and never downloads one from elsewhere.
import { spawn, spawnSync } from 'node:child_process';
import type { Say } from './service.ts';

type ManagerName = 'apt-get' | 'apk' | 'dnf' | 'brew';

export interface WantedProgram {
  /** What a person calls it. */
  name: string;
  /** What to spawn; undefined while there is none that can be used. */
  find(): string | undefined;
  /** The package's names, tried in this order; a manager that is left out is not asked. */
  packages: Readonly<Partial<Record<ManagerName, readonly string[]>>>;
}

export type ProgramSearch = { isFound: true; program: string } | { isFound: false; reason: string };

interface PackageManager {
  program: ManagerName;
  /** Refreshes the list of packages, which a fresh image lacks. */
  update?: readonly string[];
  install: readonly string[];
}

/** In the order in which they are tried. */
const PACKAGE_MANAGERS: readonly PackageManager[] = [
  { program: 'apt-get', update: ['update'], install: ['install', '-y', '--no-install-recommends'] },
  { program: 'apk', update: ['update'], install: ['add'] },
  { program: 'dnf', install: ['install', '-y'] },
  { program: 'brew', install: ['install'] },
];

/** No questions, and (RUNLEVEL=1) no start of a packaged service, which would take its port. */
const QUIET_INSTALL = ['env', 'DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1'];

export async function findOrInstall({ name, find, packages }: WantedProgram, say: Say): Promise<ProgramSearch> {
  const found = find();
  if (found !== undefined) return { isFound: true, program: found };
  const manager = PACKAGE_MANAGERS.find(({ program }) => packages[program] && runs(program, '--version'));
  if (!manager) {
    const names = Object.keys(packages).join(', ');
    return { isFound: false, reason: `${name} is not installed, and none of ${names} is here to install it` };
  }
  // brew refuses root and needs none; the others need it.
  const needsSudo = manager.program !== 'brew' && process.getuid?.() !== 0;
  if (needsSudo && !runs('sudo', '-n', 'true')) {
    return {
      isFound: false,
      reason: `${name} is not installed, and ${manager.program} needs a password to install it`,
    };
  }
  say(`${name} is not installed: installing it with ${manager.program}`);
  const prefix = needsSudo ? ['sudo', '-n'] : [];
  if (manager.update) await run([...prefix, manager.program, ...manager.update]);
  for (const packageName of packages[manager.program] ?? []) {
    await run([...prefix, ...QUIET_INSTALL, manager.program, ...manager.install, packageName]);
    const program = find();
    if (program !== undefined) return { isFound: true, program };
  }
  return { isFound: false, reason: `${manager.program} could not install ${name}` };
}

function runs(program: string, ...args: string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0;
}

/** Its failure shows in what it prints, and in the program still missing afterwards. */
function run([program = '', ...args]: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    child.once('error', () => resolve());
    child.once('exit', () => resolve());
  });
}
