// What was missed is asked for until it is there, and once more for whoever asks while it is under way.
import { expect, it, vi } from 'vitest';
import { createCatchUp } from '../../api/catch-up.ts';
import { createLog } from '../../core/log.ts';

const log = createLog({ logLevel: 'silent' }, 'test');

it('tries again until it succeeds', async () => {
  let tries = 0;
  const catchUp = createCatchUp(async () => {
    tries += 1;
    if (tries < 3) throw new Error('not yet');
  }, log);
  catchUp.ask();
  await vi.waitFor(() => expect(tries).toBe(3), { timeout: 20_000 });
});

it('does it once more for those who ask meanwhile, and not once for each', async () => {
  const turns = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let begun = 0;
  const catchUp = createCatchUp(() => turns[begun++]?.promise ?? Promise.resolve(), log);
  for (let i = 0; i < 5; i++) catchUp.ask();
  expect(begun).toBe(1);
  for (let i = 0; i < 5; i++) catchUp.ask();
  turns[0]?.resolve();
  await vi.waitFor(() => expect(begun).toBe(2), { timeout: 20_000 });
  turns[1]?.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  expect(begun).toBe(2);
  catchUp.ask();
  await vi.waitFor(() => expect(begun).toBe(3), { timeout: 20_000 });
});

it('gives up when it is stopped', async () => {
  let tries = 0;
  const catchUp = createCatchUp(async () => {
    tries += 1;
    throw new Error('never');
  }, log);
  catchUp.ask();
  catchUp.stop();
  await new Promise((resolve) => setImmediate(resolve));
  expect(tries).toBe(1);
});
