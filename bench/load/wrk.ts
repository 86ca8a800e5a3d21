// wrk, a generator in C: the ceiling of a server shows only to a sender that costs little. It is found or installed like
// Redis (core/services/system-packages.ts), gets complete requests in a file, and answers with one line of JSON (wrk.lua).
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Say } from '../../core/services/service.ts';
import { findOrInstall } from '../../core/services/system-packages.ts';
import { writeRequests } from './crowd.ts';
import type { Generator, LoadOrder, LoadOutcome } from './generator.ts';

const SCRIPT = fileURLToPath(new URL('./wrk.lua', import.meta.url));
const ANSWER_LIMIT_SECONDS = 20;
const run = promisify(execFile);

/** What wrk.lua prints. */
interface Printed {
  requests: number;
  seconds: number;
  refused: number;
  lost: number;
  generatorMs: number;
  latencies: [number, number, number, number, number];
}

/** Undefined, and a word about it, where it is not to be had. */
export async function findWrk(say: Say): Promise<Generator | undefined> {
  // It has no command that ends well: its version comes with exit code 1.
  const find = (): string | undefined => (spawnSync('wrk', ['--version']).error === undefined ? 'wrk' : undefined);
  const packages = { 'apt-get': ['wrk'], apk: ['wrk'], dnf: ['wrk'], brew: ['wrk'] };
  const search = await findOrInstall({ name: 'wrk', find, packages }, say);
  if (!search.isFound) {
    say(`${search.reason}: autocannon sends, which costs the servers the processor that it takes`);
    return undefined;
  }
  return { name: 'wrk', run: (order) => drive(search.program, order) };
}

async function drive(program: string, { url, connections, seconds, wishes }: LoadOrder): Promise<LoadOutcome> {
  const directory = mkdtempSync(join(tmpdir(), 'doorbuster-bench-wrk-'));
  const file = join(directory, 'requests');
  try {
    writeRequests(file, wishes, new URL(url).host);
    // One thread: it sends more than any server here answers, and goes through the requests in their order.
    const { stdout } = await run(program, [
      ...['--threads', '1', '--connections', String(connections), '--duration', `${Math.ceil(seconds)}s`],
      ...['--timeout', `${ANSWER_LIMIT_SECONDS}s`, '--script', SCRIPT, url, '--', file],
    ]);
    // Our own script wrote the line.
    const printed = JSON.parse(stdout.slice(stdout.lastIndexOf('\n{') + 1)) as Printed;
    const [p50, p90, p99, p999, max] = printed.latencies;
    const { requests, refused, lost, generatorMs } = printed;
    return {
      ...{ accepted: requests - refused, refused, lost, openAtEnd: connections },
      ...{ seconds: printed.seconds, generatorMs, latencies: { p50, p90, p99, p999, max } },
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
