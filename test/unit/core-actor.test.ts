import { describe, expect, it } from 'vitest';
import { fault } from '../../core/errors.ts';
import { codeOf, createBench, FAR } from '../support/actor-bench.ts';

describe('actor batching', () => {
  it('sends what arrived in one tick as one batch, in order, and gives each caller its own reply', async () => {
    const { actor, call } = createBench();
    const replies = Promise.all(['a', 'b', 'c'].map((item) => actor.ask(item, FAR)));
    const first = await call(0);
    expect(first.items).toEqual(['a', 'b', 'c']);
    first.echo();
    expect(await replies).toEqual(['a!', 'b!', 'c!']);
    expect(actor.isIdle).toBe(true);
  });

  it('has one batch in flight; what arrives meanwhile forms the next', async () => {
    const { actor, call, calls } = createBench();
    const one = actor.ask('a', FAR);
    const first = await call(0);
    const rest = ['b', 'c', 'd'].map((item) => actor.ask(item, FAR));
    await new Promise(setImmediate);
    expect(calls).toHaveLength(1);
    expect(actor.size).toBe(4);
    first.echo();
    expect(await one).toBe('a!');
    const second = await call(1);
    expect(second.items).toEqual(['b', 'c', 'd']);
    second.echo();
    expect(await Promise.all(rest)).toEqual(['b!', 'c!', 'd!']);
    expect(actor.size).toBe(0);
  });

  it('sends the next batch before it gives the answers of the last, which take as long as a call', async () => {
    const { actor, call, calls } = createBench();
    const sentWhenTold: number[] = [];
    actor.ask('a', FAR).listen({ told: () => sentWhenTold.push(calls.length), failed: () => undefined });
    const first = await call(0);
    const next = actor.ask('b', FAR);
    first.echo();
    (await call(1)).echo();
    expect(await next).toBe('b!');
    expect(sentWhenTold).toEqual([2]);
  });

  it('cuts a long mailbox into batches of maxBatch, first come first served', async () => {
    const { actor, call, calls } = createBench({ maxBatch: 2 });
    const all = Promise.all(['a', 'b', 'c', 'd', 'e'].map((item) => actor.ask(item, FAR)));
    for (let n = 0; n < 3; n += 1) (await call(n)).echo();
    await all;
    expect(calls.map((made) => made.items)).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
  });

  it('hands the latest deadline of the batch to the handler', async () => {
    const { actor, call } = createBench();
    const both = [actor.ask('a', 5_000), actor.ask('b', 3_000)];
    const first = await call(0);
    expect(first.deadlineAt).toBe(5_000);
    first.echo();
    await Promise.all(both);
  });

  it('works again after it was idle', async () => {
    const { actor, call } = createBench();
    for (let n = 0; n < 3; n += 1) {
      const reply = actor.ask(`x${n}`, FAR);
      (await call(n)).echo();
      expect(await reply).toBe(`x${n}!`);
      expect(actor.isIdle).toBe(true);
    }
  });
});

describe('an actor with two batches in flight', () => {
  const turn = () => new Promise(setImmediate);

  it('sends a second one where enough wait, never a third, and each caller gets their own reply', async () => {
    const { actor, call, calls } = createBench({ secondFrom: 2 });
    const ask = (...items: string[]) => items.map((item) => actor.ask(item, FAR));
    const all = ask('a');
    const first = await call(0);
    all.push(...ask('b'));
    await turn();
    expect(calls).toHaveLength(1);
    all.push(...ask('c'));
    const second = await call(1);
    expect(second.items).toEqual(['b', 'c']);
    all.push(...ask('d', 'e', 'f'));
    await turn();
    expect(calls).toHaveLength(2);
    expect(actor.size).toBe(6);
    second.echo();
    const third = await call(2);
    first.echo();
    third.echo();
    expect(await Promise.all(all)).toEqual(['a!', 'b!', 'c!', 'd!', 'e!', 'f!']);
    expect(actor.isIdle).toBe(true);
    await actor.drain();
  });

  it('sends nobody behind one that is sent again, whatever becomes of the other', async () => {
    const { actor, call, calls } = createBench({ secondFrom: 2 });
    const all = [actor.ask('a', FAR)];
    const first = await call(0);
    all.push(...['b', 'c'].map((item) => actor.ask(item, FAR)));
    const second = await call(1);
    all.push(...['d', 'e'].map((item) => actor.ask(item, FAR)));
    first.reject(fault('OUTCOME_UNKNOWN'));
    await turn();
    second.echo();
    const again = await call(2);
    expect(again.items).toEqual(['a']);
    await turn();
    expect(calls).toHaveLength(3);
    const drained = actor.drain();
    again.echo();
    (await call(3)).echo();
    expect(await Promise.all(all)).toEqual(['a!', 'b!', 'c!', 'd!', 'e!']);
    await drained;
    expect(actor.size).toBe(0);
  });
});

describe('actor mailbox', () => {
  it('refuses with OVERLOADED and Retry-After when it is full, and serves those that are in it', async () => {
    const { actor, call } = createBench({ maxMailbox: 2 });
    const one = actor.ask('a', FAR);
    const first = await call(0);
    const waiting = [actor.ask('b', FAR), actor.ask('c', FAR)];
    await expect(actor.ask('d', FAR)).rejects.toMatchObject({ code: 'OVERLOADED', retryAfterSeconds: 1 });
    first.echo();
    (await call(1)).echo();
    expect(await Promise.all([one, ...waiting])).toEqual(['a!', 'b!', 'c!']);
  });

  it('does not begin what nobody waits for any more, and goes on with the others', async () => {
    const { actor, call, calls } = createBench();
    const first = actor.ask('a', FAR);
    const batch = await call(0);
    let hasLeft = false;
    const gone = codeOf(actor.ask('b', FAR, () => hasLeft));
    const stays = actor.ask('c', FAR, () => false);
    hasLeft = true;
    batch.echo();
    (await call(1)).echo();
    expect([await first, await gone, await stays]).toEqual(['a!', 'UNAVAILABLE', 'c!']);
    expect(calls.map(({ items }) => items)).toEqual([['a'], ['c']]);
  });

  it('refuses who would wait too long by the time that a batch takes, and takes them again when batches are fast', async () => {
    const { actor, call, clock } = createBench({ maxBatch: 2, maxMailbox: 100, maxWaitMs: 500 });
    const answered: PromiseLike<string>[] = [];
    const fill = (count: number) => answered.push(...Array.from({ length: count }, (_, i) => actor.ask(`x${i}`, FAR)));
    fill(6);
    const finish = async (n: number, tookMs: number) => {
      const batch = await call(n);
      clock.time += tookMs;
      batch.echo();
      await new Promise(setImmediate);
    };
    // Nothing is known of how long a batch takes: the mailbox is bounded by its size alone.
    await finish(0, 400);
    // One batch is in flight, one waits: 400 ms. Another one would make it 600.
    fill(1);
    await expect(actor.ask('late', FAR)).rejects.toMatchObject({ code: 'OVERLOADED', retryAfterSeconds: 1 });
    await finish(1, 10);
    fill(20);
    for (let n = 2; n < 14; n += 1) await finish(n, 10);
    expect(await Promise.all(answered)).toHaveLength(27);
  });

  it('answers those whose deadline passed before they were sent with UNAVAILABLE, and does not send them', async () => {
    const { actor, call, clock } = createBench();
    const one = actor.ask('a', FAR);
    const first = await call(0);
    const late = codeOf(actor.ask('late', 1_500));
    const fine = actor.ask('fine', 9_000);
    clock.time = 2_000;
    first.echo();
    const second = await call(1);
    expect(second.items).toEqual(['fine']);
    expect(await late).toBe('UNAVAILABLE');
    second.echo();
    expect(await Promise.all([one, fine])).toEqual(['a!', 'fine!']);
  });
});
describe('actor drain', () => {
  it('refuses newcomers and resolves when those inside are answered', async () => {
    const { actor, call } = createBench();
    const one = actor.ask('a', FAR);
    const first = await call(0);
    const two = actor.ask('b', FAR);
    let isDrained = false;
    const drained = actor.drain().then(() => (isDrained = true));
    await expect(actor.ask('c', FAR)).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    first.echo();
    const second = await call(1);
    expect(isDrained).toBe(false);
    second.echo();
    await drained;
    expect(await Promise.all([one, two])).toEqual(['a!', 'b!']);
  });

  it('resolves at once when idle', async () => {
    await createBench().actor.drain();
  });
});
