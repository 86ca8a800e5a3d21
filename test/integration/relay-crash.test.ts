// The relay between a real outbox and a real queue: whatever dies, every entry is applied, each record once.
// A relay that dies is frozen after the step for ever and its connection cut: nothing of it runs on, nothing is undone.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { keys, OUTBOX_GROUP } from '../../actors/keys.ts';
import { encodeOutbox } from '../../actors/outbox.ts';
import { RELAY_AHEAD_MAX_ENTRIES, RELAY_READ_MAX_ENTRIES } from '../../core/constants.ts';
import { randomId } from '../../core/ids.ts';
import type { JobQueue } from '../../core/queue/queue.ts';
import { connectRedis, type Redis } from '../../core/redis/redis.ts';
import { unfinished } from '../../core/redis/stream.ts';
import type { JobMap } from '../../shop/job-map.ts';
import { openJobQueues, runJobQueues } from '../../shop/job-queues.ts';
import { createRelay, type Relay, type RelayDependencies } from '../../workers/relay.ts';
import { insertTestSale, openTestOutbox, purchaseRecord, quietLog, type TestOutbox } from '../support/outbox.ts';

const P = 3;
let t: TestOutbox;
let queue: JobQueue<JobMap>;
let relays: { relay: Relay; redis: Redis }[] = [];
let runner: { close(): Promise<void> } | undefined;
const ran: string[] = [];
let seq = 0;

beforeEach(async () => {
  t = await openTestOutbox();
  await insertTestSale(t.postgres, 'sale_03test');
  queue = openJobQueues(t.testRedis.url);
  ran.length = 0;
  seq = 0;
});
afterEach(async () => {
  await Promise.all(relays.map(({ relay }) => relay.stop()));
  relays = [];
  await runner?.close();
  runner = undefined;
  await queue.close();
  await t.close();
});

function startRelay(overrides: Partial<RelayDependencies> = {}): { relay: Relay; die(): void } {
  const redis = connectRedis(t.testRedis.url, 'blocking');
  const relay = createRelay({ redis, queue, log: quietLog, ...overrides });
  relay.start();
  const entry = { relay, redis };
  relays.push(entry);
  const die = () => {
    relays = relays.filter((other) => other !== entry);
    redis.disconnect();
  };
  return { relay, die };
}

/** Resolves `reached` when the relay gets there, and never lets it go on. */
function freezeAfter(deadly: 'read' | 'added') {
  const { promise: reached, resolve } = Promise.withResolvers<void>();
  const stepHook = (step: 'read' | 'added') => {
    if (step !== deadly) return undefined;
    resolve();
    return new Promise<void>(() => undefined);
  };
  return { reached, stepHook };
}

function startWorker(): void {
  const apply = t.apply({ queue });
  const ignore = async () => undefined;
  runner = runJobQueues(
    t.testRedis.url,
    {
      'outbox.apply': async (job, { id }) => {
        ran.push(id);
        await apply(job);
      },
      'payment.start': ignore,
      'payment.cancel': ignore,
      'hold.expire': ignore,
    },
    { concurrency: 4, log: quietLog },
  );
}

async function writeMany(entries: number, recordsEach: number, partition = P): Promise<string[]> {
  const written: string[] = [];
  for (let i = 0; i < entries; i++) {
    const records = Array.from({ length: recordsEach }, () =>
      purchaseRecord({ purchaseId: randomId('pur', partition), seq: ++seq }),
    );
    written.push(...records.map((record) => record.purchaseId));
    await t.write(partition, records);
  }
  return written;
}

const count = async (table: string) =>
  (await t.postgres.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`)).rows[0]?.n;

async function expectAllApplied(purchaseIds: readonly string[], partitions: readonly number[] = [P]): Promise<void> {
  await vi.waitFor(
    async () => {
      for (const partition of partitions) expect(await t.left(partition)).toEqual([]);
    },
    { timeout: 30_000, interval: 20 },
  );
  for (const table of ['purchases', 'orders', 'order_items', 'ledger'])
    expect([table, await count(table)]).toEqual([table, purchaseIds.length]);
}

describe('a relay that dies', () => {
  it('after reading and before adding the job: the next one hands the entries out', async () => {
    const frozen = freezeAfter('read');
    const { die } = startRelay({ stepHook: frozen.stepHook });
    const written = await writeMany(3, 2);
    await frozen.reached;
    die();
    expect((await queue.counts()).waiting).toBe(0);
    // At its start, not because they have idled.
    startRelay({ takeoverIdleMs: 3_600_000 });
    startWorker();
    await expectAllApplied(written);
  });

  it('after adding the job: the entries are applied once though handed out again', async () => {
    const written = await writeMany(3, 2);
    const frozen = freezeAfter('added');
    const { die } = startRelay({ stepHook: frozen.stepHook });
    await frozen.reached;
    die();
    expect((await queue.counts()).waiting).toBe(1);
    const second = freezeAfter('read');
    startRelay({ stepHook: second.stepHook });
    await vi.waitFor(async () => expect((await queue.counts()).waiting).toBe(4), { timeout: 10_000 });
    startWorker();
    await expectAllApplied(written);
  });

  it('while its worker ran the job: the next start does not wait until the queue gives that job up', async () => {
    const first = startRelay();
    const { promise: taken, resolve } = Promise.withResolvers<void>();
    const handlers = {
      'outbox.apply': () => {
        resolve();
        return new Promise<void>(() => undefined);
      },
    };
    // As a dead worker's, its job is never finished, and the queue holds it to be running.
    runJobQueues(t.testRedis.url, handlers, { concurrency: 1, log: quietLog });
    const written = await writeMany(1, 1);
    await taken;
    first.die();
    startRelay({ takeoverIdleMs: 3_600_000 });
    startWorker();
    await expectAllApplied(written);
  });

  it('beside one that lives: what it had read is handed out when it has idled', async () => {
    startRelay({ takeoverIdleMs: 50 });
    startWorker();
    const before = await writeMany(1, 1);
    await expectAllApplied(before);
    // In one transaction, so that the dying reader gets the entry before the relay that waits for it.
    const record = purchaseRecord({ purchaseId: randomId('pur', P), seq: ++seq });
    const stream = keys.outbox(P);
    const replies = await t.redis
      .multi()
      .hset(keys.fence(P), 'seq', seq)
      .xadd(stream, `${seq}-1`, 'b', encodeOutbox([record]))
      .xreadgroup('GROUP', OUTBOX_GROUP, 'dying', 'COUNT', 10, 'STREAMS', stream, '>')
      .exec();
    expect(replies?.[2]?.[1]).toHaveLength(1);
    await expectAllApplied([...before, record.purchaseId]);
  });
});

describe('a relay that lives', () => {
  it('goes on after its step failed, and after its group was destroyed', async () => {
    let failures = 0;
    startRelay({
      stepHook: () => {
        if (failures++ === 0) throw new Error('a passing fault');
      },
    });
    startWorker();
    const first = await writeMany(2, 3);
    await expectAllApplied(first);
    expect(failures).toBeGreaterThan(0);
    await t.redis.xgroup('DESTROY', keys.outbox(P), OUTBOX_GROUP);
    const second = await writeMany(2, 3);
    await expectAllApplied([...first, ...second]);
  });

  it('shares the work with others over all partitions, each record applied once', async () => {
    startRelay();
    startRelay();
    startWorker();
    const written: string[] = [];
    for (const partition of [0, 3, 7]) written.push(...(await writeMany(20, 5, partition)));
    await expectAllApplied(written, [0, 3, 7]);
  });

  it('makes few jobs of many entries, and none larger than its limits', async () => {
    const written = await writeMany(RELAY_READ_MAX_ENTRIES, 20);
    startRelay();
    startWorker();
    await expectAllApplied(written);
    // 128 entries of 20 records, 2,000 records a job: 100 and 28 entries.
    expect(ran).toHaveLength(2);
  });

  it('stays a bounded distance ahead while nobody works, and goes on when somebody does', async () => {
    const written = await writeMany(RELAY_AHEAD_MAX_ENTRIES + 200, 1);
    startRelay();
    const ahead = async () => (await unfinished(t.redis, [keys.outbox(P)], OUTBOX_GROUP))[0]?.count ?? 0;
    await vi.waitFor(async () => expect(await ahead()).toBeGreaterThanOrEqual(RELAY_AHEAD_MAX_ENTRIES), {
      timeout: 10_000,
    });
    expect(await ahead()).toBeLessThan(RELAY_AHEAD_MAX_ENTRIES + RELAY_READ_MAX_ENTRIES);
    startWorker();
    await expectAllApplied(written);
  });
});
