// What becomes of callers when the handler fails: sent again, told that nobody knows, or told why.
import { describe, expect, it } from 'vitest';
import { createActor } from '../../core/actor/actor.ts';
import { fault } from '../../core/errors.ts';
import { codeOf, createBench, FAR } from '../support/actor-bench.ts';

describe('actor retries', () => {
  it('sends a batch of unknown outcome again with the same items in the same order, alone', async () => {
    const { actor, call } = createBench();
    const both = Promise.all([actor.ask('a', FAR), actor.ask('b', FAR)]);
    const first = await call(0);
    const newcomer = actor.ask('c', FAR);
    first.reject(fault('OUTCOME_UNKNOWN'));
    const again = await call(1);
    expect(again.items).toEqual(['a', 'b']);
    again.reject(fault('UNAVAILABLE'));
    const third = await call(2);
    expect(third.items).toEqual(['a', 'b']);
    third.echo();
    expect(await both).toEqual(['a!', 'b!']);
    const next = await call(3);
    expect(next.items).toEqual(['c']);
    next.echo();
    expect(await newcomer).toBe('c!');
  });

  it('answers OUTCOME_UNKNOWN to a caller whose deadline passes, and goes on for the others', async () => {
    const { actor, call, clock } = createBench();
    const short = codeOf(actor.ask('short', 2_000));
    const long = actor.ask('long', 9_000);
    const behind = codeOf(actor.ask('behind', FAR));
    const first = await call(0);
    clock.time = 3_000;
    first.reject(fault('OUTCOME_UNKNOWN'));
    const again = await call(1);
    expect(await short).toBe('OUTCOME_UNKNOWN');
    expect(again.items).toEqual(['long', 'behind']);
    again.echo();
    expect(await long).toBe('long!');
    expect(await behind).toBe('answered');
  });

  it('says UNAVAILABLE, not OUTCOME_UNKNOWN, when no attempt was ever sent', async () => {
    const { actor, call, clock } = createBench();
    const outcome = codeOf(actor.ask('a', 2_000));
    const first = await call(0);
    clock.time = 3_000;
    first.reject(fault('UNAVAILABLE'));
    expect(await outcome).toBe('UNAVAILABLE');
    expect(actor.isIdle).toBe(true);
  });

  it('remembers an unknown outcome through later attempts that were not sent', async () => {
    const { actor, call, clock } = createBench();
    const outcome = codeOf(actor.ask('a', 2_000));
    (await call(0)).reject(fault('OUTCOME_UNKNOWN'));
    const again = await call(1);
    clock.time = 3_000;
    again.reject(fault('UNAVAILABLE'));
    expect(await outcome).toBe('OUTCOME_UNKNOWN');
  });

  it('answers those in the mailbox at their own deadline while the batch before them is retried', async () => {
    const { actor, call, clock, calls } = createBench();
    const first = actor.ask('a', FAR);
    const made = await call(0);
    const waiting = codeOf(actor.ask('b', 2_000));
    clock.time = 3_000;
    made.reject(fault('UNAVAILABLE'));
    expect(await waiting).toBe('UNAVAILABLE');
    (await call(1)).echo();
    expect(await first).toBe('a!');
    expect(calls).toHaveLength(2);
  });
});

describe('actor faults', () => {
  it('gives any other rejection to the callers of that batch only', async () => {
    const { actor, call } = createBench({ maxBatch: 2 });
    const failed = ['a', 'b'].map((item) => codeOf(actor.ask(item, FAR)));
    const fine = actor.ask('c', FAR);
    (await call(0)).reject(fault('LOW_MEMORY'));
    expect(await Promise.all(failed)).toEqual(['LOW_MEMORY', 'LOW_MEMORY']);
    (await call(1)).echo();
    expect(await fine).toBe('c!');
  });

  it('does not tell a caller that may have been decided that it was refused', async () => {
    const { actor, call } = createBench();
    const outcome = codeOf(actor.ask('a', FAR));
    (await call(0)).reject(fault('OUTCOME_UNKNOWN'));
    (await call(1)).reject(fault('LOW_MEMORY'));
    expect(await outcome).toBe('OUTCOME_UNKNOWN');
  });

  it('answers INTERNAL to all when the handler gives the wrong number of replies', async () => {
    const { actor, call } = createBench();
    const outcomes = ['a', 'b'].map((item) => codeOf(actor.ask(item, FAR)));
    (await call(0)).resolve(['only one']);
    expect(await Promise.all(outcomes)).toEqual(['INTERNAL', 'INTERNAL']);
    expect(actor.isIdle).toBe(true);
  });

  it('survives a handler that throws before it returns a promise', async () => {
    const clock = { now: () => 0 };
    let isBroken = true;
    const actor = createActor<string, string>({
      handle: (batch) => {
        if (isBroken) throw new Error('broken');
        return Promise.resolve(batch);
      },
      maxBatch: 10,
      maxMailbox: 10,
      clock,
      retryDelayMs: 1,
    });
    await expect(actor.ask('a', FAR)).rejects.toThrow('broken');
    isBroken = false;
    expect(await actor.ask('b', FAR)).toBe('b');
  });
});
