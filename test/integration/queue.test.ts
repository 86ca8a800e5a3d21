import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { JOB_FAULTS_MAX } from '../../core/constants.ts';
import { fault } from '../../core/errors.ts';
import { openQueue, runQueue, TerminalError } from '../../core/queue/queue.ts';
import type { JobHandlers, JobQueue } from '../../core/queue/queue.ts';
import { openTestRedis } from '../support/stack.ts';
import type { TestRedis } from '../support/stack.ts';

interface Jobs {
  'number.add': { n: number };
  'text.add': { text: string };
}

const log = pino({ level: 'silent' });
const PATIENT = { timeout: 30_000 };
let bench: TestRedis;
let queue: JobQueue<Jobs>;
const closers: (() => Promise<void>)[] = [];
let serial = 0;

beforeAll(async () => {
  bench = await openTestRedis();
});

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

afterAll(() => bench.close());

/** A queue of its own per test, and a worker on it. */
function open(handlers: JobHandlers<Jobs>, concurrency = 4, workerLog = log): JobQueue<Jobs> {
  serial += 1;
  const name = `test-${serial}`;
  queue = openQueue<Jobs>(name, bench.url);
  const worker = runQueue<Jobs>(name, bench.url, handlers, { concurrency, log: workerLog, backoffMaxMs: 100 });
  closers.push(
    () => worker.close(),
    () => queue.close(),
  );
  return queue;
}

describe('queue', () => {
  it('hands each job to the handler of its name, and forgets it when it is done', async () => {
    const seen: unknown[] = [];
    open({
      'number.add': async ({ n }) => void seen.push(n),
      'text.add': async ({ text }, job) => void seen.push([text, job.id, job.attempt]),
    });
    await queue.add('text.add', { text: 'a' }, { jobId: 'text-a' });
    await queue.addBulk('number.add', [{ payload: { n: 1 } }, { payload: { n: 2 }, delayMs: 20 }]);
    await expect.poll(() => seen.length, PATIENT).toBe(3);
    expect(seen).toContainEqual(['a', 'text-a', 1]);
    await expect.poll(() => queue.counts(), PATIENT).toEqual({ waiting: 0, active: 0, delayed: 0, failed: 0 });
  });

  it('runs a job of the same id once while it exists, and refuses an id with a colon', async () => {
    let runs = 0;
    open({ 'number.add': async () => void (runs += 1) });
    const same = { payload: { n: 1 }, jobId: 'same', delayMs: 50 };
    await queue.addBulk('number.add', [same, same, same]);
    await expect.poll(() => runs, PATIENT).toBe(1);
    await expect.poll(() => queue.counts(), PATIENT).toMatchObject({ waiting: 0, delayed: 0, active: 0 });
    expect(runs).toBe(1);
    await expect(queue.add('number.add', { n: 1 }, { jobId: 'a:b' })).rejects.toThrow(/colon/);
  });

  it('tries again after infrastructure errors, however many, without a dead letter, and tells of it ever more rarely', async () => {
    let attempts = 0;
    const told: number[] = [];
    const listening = pino({ level: 'warn' }, { write: (line: string) => void told.push(JSON.parse(line).attempt) });
    const handlers: JobHandlers<Jobs> = {
      'number.add': async (_payload, job) => {
        attempts = job.attempt;
        if (attempts <= 5) throw fault('UNAVAILABLE');
      },
    };
    open(handlers, 1, listening);
    await queue.add('number.add', { n: 1 });
    await expect.poll(() => attempts, PATIENT).toBe(6);
    await expect.poll(() => queue.counts(), PATIENT).toEqual({ waiting: 0, active: 0, delayed: 0, failed: 0 });
    expect(told).toEqual([1, 2, 4]);
  });

  it('keeps what failed for good as a dead letter that can be replayed or removed', async () => {
    let isBroken = true;
    const done: number[] = [];
    open({
      'number.add': async ({ n }) => {
        if (isBroken) throw new TerminalError(`no ${n}`);
        done.push(n);
      },
    });
    await queue.addBulk('number.add', [
      { payload: { n: 1 }, jobId: 'one' },
      { payload: { n: 2 }, jobId: 'two' },
    ]);
    await expect.poll(async () => (await queue.listDead()).length, PATIENT).toBe(2);
    const dead = await queue.listDead();
    expect(dead).toContainEqual(
      expect.objectContaining({ id: 'one', name: 'number.add', payload: { n: 1 }, reason: 'no 1', attempts: 1 }),
    );
    isBroken = false;
    expect(await queue.replayDead('one')).toBe(true);
    await expect.poll(() => done, PATIENT).toEqual([1]);
    expect(await queue.removeDead('two')).toBe(true);
    expect(await queue.removeDead('two')).toBe(false);
    expect(await queue.replayDead('none')).toBe(false);
    expect(await queue.listDead()).toEqual([]);
  });

  it('gives a bug a bounded number of tries, counted apart from outages', async () => {
    let attempts = 0;
    open({
      'number.add': async (_payload, job) => {
        attempts = job.attempt;
        if (attempts === 2) throw fault('UNAVAILABLE');
        throw new Error('a bug');
      },
    });
    await queue.add('number.add', { n: 1 }, { jobId: 'bug' });
    await expect.poll(async () => (await queue.listDead()).length, PATIENT).toBe(1);
    expect(attempts).toBe(JOB_FAULTS_MAX + 1);
  });

  it('goes on after Redis was down, for producers and workers', async () => {
    const seen: number[] = [];
    open({ 'number.add': async ({ n }) => void seen.push(n) });
    await queue.add('number.add', { n: 1 });
    await expect.poll(() => seen, PATIENT).toEqual([1]);
    await bench.redis.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await queue.add('number.add', { n: 2 });
    await expect.poll(() => seen, PATIENT).toEqual([1, 2]);
  });
});
