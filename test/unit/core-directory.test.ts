import { describe, expect, it } from 'vitest';
import type { Actor } from '../../core/actor/actor.ts';
import { createDirectory } from '../../core/actor/directory.ts';
import { Later } from '../../core/later.ts';

interface FakeActor extends Actor<string, string> {
  isIdle: boolean;
  isDrained: boolean;
}

function createFakeActor(): FakeActor {
  const actor: FakeActor = {
    ask: (item) => Later.of(item),
    size: 0,
    isIdle: true,
    isDrained: false,
    drain: () => {
      actor.isDrained = true;
      return Promise.resolve();
    },
  };
  return actor;
}

function createBench(maxActors = 10) {
  const clock = { time: 0, now: () => clock.time };
  const made = new Map<string, FakeActor>();
  const directory = createDirectory<string, string, string>({
    activate: (key) => {
      const actor = createFakeActor();
      made.set(key, actor);
      return actor;
    },
    idleMs: 1_000,
    maxActors,
    clock,
  });
  return { directory, clock, made };
}

describe('directory', () => {
  it('activates once per key', () => {
    const { directory, made } = createBench();
    expect(directory.get('a')).toBe(directory.get('a'));
    expect(directory.get('b')).not.toBe(directory.get('a'));
    expect(made.size).toBe(2);
  });

  it('forgets actors that nobody used for idleMs, and only those', () => {
    const { directory, clock } = createBench();
    directory.get('old');
    const young = directory.get('young');
    clock.time = 900;
    directory.get('young');
    clock.time = 1_000;
    expect(directory.evictIdle()).toBe(1);
    expect(directory.size).toBe(1);
    expect(directory.get('young')).toBe(young);
  });

  it('never forgets a busy actor', () => {
    const { directory, clock, made } = createBench();
    const busy = directory.get('busy');
    (made.get('busy') as FakeActor).isIdle = false;
    clock.time = 1_000_000;
    expect(directory.evictIdle()).toBe(0);
    expect(directory.get('busy')).toBe(busy);
  });

  it('makes room by forgetting idle actors when it is full', () => {
    const { directory, made } = createBench(2);
    const busy = directory.get('busy');
    (made.get('busy') as FakeActor).isIdle = false;
    directory.get('idle');
    directory.get('new');
    expect(directory.size).toBe(2);
    expect(directory.get('busy')).toBe(busy);
  });

  it('refuses a new key when every actor is busy', () => {
    const { directory, made } = createBench(1);
    directory.get('busy');
    (made.get('busy') as FakeActor).isIdle = false;
    expect(() => directory.get('new')).toThrow(expect.objectContaining({ code: 'OVERLOADED' }));
    expect(() => directory.get('busy')).not.toThrow();
  });

  it('drains every actor and activates none afterwards', async () => {
    const { directory, made } = createBench();
    directory.get('a');
    directory.get('b');
    await directory.drain();
    expect([...made.values()].every((actor) => actor.isDrained)).toBe(true);
    expect(() => directory.get('a')).toThrow(expect.objectContaining({ code: 'SHUTTING_DOWN' }));
  });
});
