// Plants one bug and plays seed after seed until a check finds it.
import { playHistory } from './history.ts';
import type { Mutation } from './mutations.ts';
import { plant } from './plant.ts';
import type { Stage } from './stage.ts';

export interface Hunt {
  readonly mutation: string;
  readonly bug: string;
  /** Undefined where no check found it. */
  readonly foundBy?: { readonly rule: string; readonly message: string; readonly seed: number; readonly event: number };
  readonly seeds: number;
}

export async function hunt(
  stage: Stage,
  mutation: Mutation,
  options: { from: number; seeds: number; steps: number },
): Promise<Hunt> {
  const { name, bug } = mutation;
  let neverSeen: readonly string[] = mutation.sql?.map(([text]) => text) ?? [];
  for (let i = 0; i < options.seeds; i += 1) {
    const seed = (options.from + i) >>> 0;
    const planted = plant(mutation);
    const { surgery, patchSql, heal } = planted;
    const { violation } = await playHistory(stage, { seed, steps: options.steps, surgery, patchSql }).finally(heal);
    const unseen = planted.unseen();
    neverSeen = neverSeen.filter((text) => unseen.includes(text));
    // A crash is no finding: the planted bug is to be found by a check.
    if (violation === undefined || violation.rule === 'error') continue;
    const sound = await playHistory(stage, { seed, steps: options.steps });
    // And what breaks without the bug is no finding of it.
    if (sound.violation !== undefined) throw new Error(`seed ${seed} breaks by itself: ${sound.violation.message}`);
    return { mutation: name, bug, foundBy: { ...violation, seed }, seeds: i + 1 };
  }
  if (neverSeen.length > 0) throw new Error(`${name}: no statement contains ${neverSeen.join('; ')}`);
  return { mutation: name, bug, seeds: options.seeds };
}
