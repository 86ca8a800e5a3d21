// `npm run sim`: plays histories by seed and says what a failing one broke and how to play it again.
import { parseArgs } from 'node:util';
import { type HistoryResult, playHistory } from './history.ts';
import { type Hunt, hunt } from './hunt.ts';
import { mutations } from './mutations.ts';
import { openOwnStores } from './own-stores.ts';
import type { Stage } from './stage.ts';
import { DEFAULT_STEPS, tellFailure } from './report.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '1' },
    steps: { type: 'string', default: String(DEFAULT_STEPS) },
    trace: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    mutation: { type: 'string' },
    mutations: { type: 'boolean', default: false },
  },
});

const first = values.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(values.seed);
const count = Number(values.seeds);
const steps = Number(values.steps);
const say = (line: string): void => {
  if (!values.json) console.log(line);
};

const HUNT_SEEDS = 400;

/** A table: planted bug → the rule that it broke, where. True when every one was found. */
async function huntAll(stage: Stage): Promise<boolean> {
  const chosen = mutations.filter(({ name }) => values.mutation === undefined || name === values.mutation);
  if (chosen.length === 0)
    throw new Error(`there is no mutation ${values.mutation}: ${mutations.map((one) => one.name).join(', ')}`);
  const hunts: Hunt[] = [];
  say('| planted bug | found by | seed | event |\n|---|---|---|---|');
  for (const mutation of chosen) {
    const seeds = values.seeds === '1' ? HUNT_SEEDS : count;
    const found = await hunt(stage, mutation, { from: values.seed === undefined ? 1 : first, seeds, steps });
    hunts.push(found);
    const { foundBy } = found;
    say(
      `| ${mutation.bug} (\`${mutation.name}\`) | ${foundBy?.rule ?? `NOT FOUND in ${found.seeds}`} | ${foundBy?.seed ?? ''} | ${foundBy?.event ?? ''} |`,
    );
  }
  if (values.json) console.log(JSON.stringify(hunts));
  return hunts.every((one) => one.foundBy !== undefined);
}

const stores = await openOwnStores(() => undefined);
if (values.mutations || values.mutation !== undefined) {
  const isComplete = await huntAll(stores);
  await stores.close();
  process.exit(isComplete ? 0 : 1);
}
const failures: HistoryResult[] = [];
const totals = { seeds: 0, events: 0, purchases: 0, paid: 0 };
const startedAt = performance.now();
try {
  for (let i = 0; i < count; i += 1) {
    const seed = (first + i) >>> 0;
    const result = await playHistory(stores, { seed, steps, keepsTrace: values.trace });
    totals.seeds += 1;
    totals.events += result.events;
    totals.purchases += result.purchases;
    totals.paid += result.paid;
    if (values.trace) say((result.trace ?? []).join('\n'));
    if (result.violation !== undefined) {
      failures.push(result);
      say(tellFailure(result, steps));
    } else if (count === 1) {
      say(
        `seed ${seed}: ${result.events} events, ${result.purchases} purchases, ${result.paid} paid, hash ${result.hash}`,
      );
    }
  }
} finally {
  await stores.close();
}
const seconds = (performance.now() - startedAt) / 1000;
if (values.json) console.log(JSON.stringify({ first, steps, ...totals, seconds, failures }));
say(
  `${totals.seeds} seeds from ${first}, ${totals.events} events, ${totals.purchases} purchases, ${totals.paid} paid, ${failures.length} failed, ${seconds.toFixed(1)} s`,
);
// Calls of processes that died are never answered, and their timers would keep this one.
process.exit(failures.length > 0 ? 1 : 0);
