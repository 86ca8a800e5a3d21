// A real browser for tests of pages: a Chromium of the machine, installed where there is none, driven by playwright-core.
// Where none can be had, `ensureChromium` says why, and the test file skips.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { findOrInstall, type ProgramSearch } from '../../core/services/system-packages.ts';
import type { Say } from '../../core/services/service.ts';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'chrome'];
const MAC_CHROME = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome';
const ARGUMENTS = [
  ...['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
];

/** Only one that runs: Ubuntu's chromium-browser may be a script that asks for a snap. */
function findChromium(): string | undefined {
  const places = (process.env['PATH'] ?? '').split(delimiter);
  return [...NAMES.flatMap((name) => places.map((place) => join(place, name))), MAC_CHROME].find(
    (file) => existsSync(file) && spawnSync(file, ['--version'], { stdio: 'ignore' }).status === 0,
  );
}

export function ensureChromium(say: Say): Promise<ProgramSearch> {
  const packages = { 'apt-get': ['chromium'], apk: ['chromium'], dnf: ['chromium'] };
  return findOrInstall({ name: 'chromium', find: findChromium, packages }, say);
}

export function launchBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, args: ARGUMENTS, headless: true });
}
