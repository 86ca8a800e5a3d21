import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRedis, whenReady } from '../../core/redis/redis.ts';
import type { Redis } from '../../core/redis/redis.ts';
import { loadScript, runScript } from '../../core/redis/scripts.ts';
import type { Script } from '../../core/redis/scripts.ts';
import type { Service } from '../../core/services/service.ts';
import { freePort, openTestRedis, startRedis, temporaryDirectory } from '../support/stack.ts';
import type { TestRedis } from '../support/stack.ts';

let folder: string;
let bench: TestRedis;
let redis: Redis;

beforeAll(async () => {
  folder = temporaryDirectory('scripts');
  mkdirSync(join(folder, 'include'));
  write('include/answer', 'local answer = 42');
  write('include/twice', '--- @include answer\nlocal twice = answer * 2');
  write(
    'outcome',
    '#!lua flags=allow-oom\n-- outcome: a test\n-- KEYS[1] counter  what is counted\n-- KEYS[2] other  not used\n--- @include answer\n--- @include twice\nredis.call("INCR", KEYS[1])\nreturn { ARGV[1], twice }',
  );
  write('plain', '#!lua\n-- KEYS[1] counter  what is counted\nreturn redis.call("INCR", KEYS[1])');
  write('broken', '#!lua\n-- KEYS[1] counter  what is counted\nredis.call("INCR", KEYS[1])\nreturn nothing.there');
  write('coded', "#!lua\nreturn redis.error_reply('FENCED the epoch is older')");
  bench = await openTestRedis();
  ({ redis } = bench);
});

afterAll(() => bench.close());

function write(name: string, source: string): void {
  writeFileSync(join(folder, `${name}.lua`), source);
}

const KEYS = ['counter', 'other'];
const run = (script: Script, timeoutMs = 5_000, on = redis) =>
  runScript(on, script, KEYS.slice(0, script.keys.length), ['x'], timeoutMs);

describe('loading a script', () => {
  it('keeps the shebang first, puts each include in once, and names its keys', () => {
    const script = loadScript(folder, 'outcome');
    const lines = script.source.split('\n');
    expect(lines[0]).toBe('#!lua flags=allow-oom');
    expect(lines.filter((line) => line.includes('local answer'))).toHaveLength(1);
    expect(lines.indexOf('local answer = 42')).toBeLessThan(lines.indexOf('local twice = answer * 2'));
    expect(script.keys).toEqual(['counter', 'other']);
  });

  it('refuses a header whose keys are out of order', () => {
    write('disordered', '-- KEYS[2] second\n-- KEYS[1] first\nreturn 1');
    expect(() => loadScript(folder, 'disordered')).toThrow(/KEYS\[2\]/);
  });
});

describe('running a script', () => {
  it('loads it on the first call, runs it by hash afterwards, and answers with buffers', async () => {
    await bench.flush();
    await redis.script('FLUSH');
    const script = loadScript(folder, 'outcome');
    expect(await redis.script('EXISTS', script.sha)).toEqual([0]);
    for (let n = 0; n < 2; n += 1) expect(await run(script)).toEqual([Buffer.from('x'), 84]);
    expect(await redis.script('EXISTS', script.sha)).toEqual([1]);
    expect(await redis.get('counter')).toBe('2');
  });

  it('says OUTCOME_UNKNOWN when the answer is late: here it ran after all', async () => {
    await bench.flush();
    const script = loadScript(folder, 'plain');
    const other = connectRedis(bench.url, 'scripts');
    await whenReady(other, 5_000);
    await other.client('PAUSE', 300, 'ALL');
    await expect(run(script, 50)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    await expect.poll(() => redis.get('counter')).toBe('1');
    other.disconnect();
  });

  it('says INTERNAL for a script that raises, LOW_MEMORY for one that was refused for memory', async () => {
    await expect(run(loadScript(folder, 'broken'))).rejects.toMatchObject({ code: 'INTERNAL' });
    await redis.config('SET', 'maxmemory', '1');
    await expect(run(loadScript(folder, 'plain'))).rejects.toMatchObject({ code: 'LOW_MEMORY' });
    expect(await run(loadScript(folder, 'outcome'))).toEqual([Buffer.from('x'), 84]);
    await redis.config('SET', 'maxmemory', '0');
  });

  it('passes on a code of the catalogue that the script itself answers', async () => {
    await expect(run(loadScript(folder, 'coded'))).rejects.toMatchObject({ code: 'FENCED' });
  });
});

describe('losing Redis', () => {
  it('tells what was not sent from what may have run, sends nothing by itself, and works again afterwards', async () => {
    const dir = temporaryDirectory('redis-lost');
    const port = await freePort();
    const first = await startRedis({ dir, port });
    const lost = connectRedis(first.url, 'scripts');
    await whenReady(lost, 5_000);
    const script = loadScript(folder, 'plain');
    expect(await run(script, 5_000, lost)).toBe(1);
    await lost.client('PAUSE', 60_000, 'ALL');
    const unanswered = run(script, 30_000, lost);
    first.kill('SIGKILL');
    await expect(unanswered).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    await expect(run(script, 1_000, lost)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await first.ended;
    const second = await startRedis({ dir, port });
    await whenReady(lost, 10_000);
    // The command that was in flight died with its server; had the client sent it again it would be 3.
    expect(await run(script, 5_000, lost)).toBe(2);
    lost.disconnect();
    await expect(run(script, 1_000, lost)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await second.stop();
  });

  it('gives up waiting for a Redis that is not there', async () => {
    const absent = connectRedis(`redis://127.0.0.1:${await freePort()}`, 'scripts');
    await expect(whenReady(absent, 100)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    absent.disconnect();
  });
});

/** Its nodes talk on a second port, which somebody may take between the look and the bind. */
async function startNode(tries = 5): Promise<Service> {
  const busPort = String(await freePort());
  const args = ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1', '--cluster-port', busPort];
  return startRedis({ args }).catch((error: unknown) => {
    if (tries === 1) throw error;
    return startNode(tries - 1);
  });
}

describe('a cluster', () => {
  it('is several nodes in one URL, and runs scripts like a single Redis', async () => {
    const node = await startNode();
    const direct = connectRedis(node.url, 'scripts');
    await whenReady(direct, 5_000);
    await direct.cluster('ADDSLOTSRANGE', 0, 16_383);
    await expect.poll(() => direct.cluster('INFO'), { timeout: 10_000 }).toContain('cluster_state:ok');
    const cluster = connectRedis(`${node.url},127.0.0.1:${node.port}`, 'scripts');
    await whenReady(cluster, 5_000);
    const script = loadScript(folder, 'plain');
    expect(await run(script, 5_000, cluster)).toBe(1);
    expect(await run(script, 5_000, cluster)).toBe(2);
    node.kill('SIGKILL');
    await expect(run(script, 2_000, cluster)).rejects.toMatchObject({ status: 503 });
    cluster.disconnect();
    direct.disconnect();
  });
});
