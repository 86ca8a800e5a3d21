// Puts a planted bug into the code as it is loaded, one at a time, and takes it out again. A text that is no longer in the code is
// an error, not a pass.
import { createHash } from 'node:crypto';
import { scripts } from '../../actors/scripts.ts';
import { putConstants } from '../../core/redis/lua-constants.ts';
import type { Mutation } from './mutations.ts';
import type { SqlPatch } from './postgres-wire.ts';
import type { Surgery } from './processes.ts';

export interface Planted {
  readonly surgery: Surgery;
  readonly patchSql: SqlPatch;
  /** Texts that no statement of the history had. */
  unseen(): readonly string[];
  heal(): void;
}

/** Puts the bug in; answers how it is taken out again. */
export function plant(mutation: Mutation): Planted {
  const originals = Object.values(scripts).map((script) => ({ script, source: script.source, sha: script.sha }));
  for (const [find, replace] of mutation.lua ?? []) {
    let places = 0;
    for (const { script } of originals) {
      const [there, put] = [find, replace].map((text) => putConstants(text, script.constants));
      if (there === undefined || !script.source.includes(there)) continue;
      script.source = script.source.replace(there, () => put ?? '');
      script.sha = createHash('sha1').update(script.source).digest('hex');
      places += 1;
    }
    if (places === 0) throw new Error(`${mutation.name}: no script contains ${JSON.stringify(find)}`);
  }
  const unseen = new Set((mutation.sql ?? []).map(([find]) => find));
  return {
    surgery: mutation.surgery ?? {},
    patchSql(text) {
      let patched = text;
      for (const [find, replace] of mutation.sql ?? []) {
        if (!patched.includes(find)) continue;
        unseen.delete(find);
        patched = patched.replace(find, () => replace);
      }
      return patched;
    },
    unseen: () => [...unseen],
    heal() {
      for (const { script, source, sha } of originals) Object.assign(script, { source, sha });
    },
  };
}
