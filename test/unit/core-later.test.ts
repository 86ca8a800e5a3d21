import { describe, expect, it } from 'vitest';
import { Later } from '../../core/later.ts';

const ear = () => {
  const heard: string[] = [];
  return {
    heard,
    told: (value: unknown) => void heard.push(`told ${String(value)}`),
    failed: (error: unknown) => void heard.push(`failed ${String(error)}`),
  };
};

describe('a later value', () => {
  it('is told in the call that has it, and at once to whoever listens afterwards', () => {
    const [before, after] = [ear(), ear()];
    const later = new Later<string>();
    later.listen(before);
    expect(before.heard).toEqual([]);
    later.settle('a');
    expect(before.heard).toEqual(['told a']);
    later.listen(after);
    expect(after.heard).toEqual(['told a']);
  });

  it('is decided once', () => {
    const { heard, ...listener } = ear();
    const later = new Later<string>();
    later.listen(listener);
    later.fail('x');
    later.settle('a');
    later.fail('y');
    expect(heard).toEqual(['failed x']);
  });

  it('can be made into another, which takes its time where that does, and fails with what was thrown', async () => {
    expect(await Later.of(2).map((value) => value + 1)).toBe(3);
    expect(await Later.of(2).map((value) => Promise.resolve(value * 2))).toBe(4);
    await expect(Later.of(2).map(() => Promise.reject(new Error('late')))).rejects.toThrow('late');
    const broken = Later.of(2).map(() => {
      throw new Error('broken');
    });
    await expect(broken).rejects.toThrow('broken');
    await expect(Later.failed(new Error('first')).map(() => 1)).rejects.toThrow('first');
  });

  it('can be awaited, also twice', async () => {
    const later = new Later<string>();
    const both = Promise.all([later, later]);
    later.settle('a');
    expect(await both).toEqual(['a', 'a']);
  });
});
