// The README keeps its word: its walk through a purchase is cut out of it and run as it stands against a started system.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadConfig } from '../../core/config.ts';
import { startSystem, type System } from '../../scripts/start/system.ts';
import { freePort, temporaryDirectory } from '../support/stack.ts';

const root = new URL('../../', import.meta.url);
const env: NodeJS.ProcessEnv = { PATH: process.env['PATH'] };
let system: System;

beforeAll(async () => {
  const ports = { PORT: String(await freePort()), SANDBOX_PORT: String(await freePort()) };
  Object.assign(env, ports, { DATA_DIR: temporaryDirectory('readme'), API_PROCESSES: '1', LOG_LEVEL: 'warn' });
  system = await startSystem(loadConfig(env), { say: () => undefined, env: {}, isQuiet: true });
});
afterAll(() => system?.stop());

it('walks a purchase from token to CONFIRMED as the README shows it', async () => {
  const readme = readFileSync(new URL('README.md', root), 'utf8');
  const walk = /```bash\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(walk).toContain('/purchases');
  const { stdout } = await promisify(execFile)('bash', ['-eu', '-o', 'pipefail', '-c', walk ?? 'exit 1'], {
    cwd: root,
    env,
  });
  const lines = stdout.split('\n');
  expect(lines.slice(0, 2)).toEqual(['succeeded', 'CONFIRMED']);
  expect(stdout).toContain('Everything agrees.');
});
