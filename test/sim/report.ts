// What a failing history tells: the seed, the moment, the broken rule, the last lines, and the command that plays it again.
import type { HistoryResult } from './history.ts';

export const DEFAULT_STEPS = 30;
/** Short histories, many of them: what breaks at all breaks within a few deeds and the faults between them. */
export const STEPS_IN_TESTS = 8;
/** Each of the two files that share the machine. */
export const SEEDS_A_FILE = 500;

export function replayCommand(seed: number, steps: number): string {
  return `npm run sim -- --seed ${seed} --steps ${steps}`;
}

export function tellFailure(result: HistoryResult, steps: number): string {
  const { seed, violation, tail, hash } = result;
  return [
    `seed ${seed} broke at event ${violation?.event} (trace ${hash}):`,
    `  ${violation?.message}`,
    ...tail.slice(-30).map((line) => `    ${line}`),
    `  again: ${replayCommand(seed, steps)}`,
  ].join('\n');
}
