// `npm run sim`: plays histories by seed and says what a failing one broke and how to play it again.
import { startProgress } from '../../scripts/ops/progress.ts';
import { type HistoryResult, playHistory } from './history.ts';
import { type Hunt, hunt } from './hunt.ts';
import { mutations } from './mutations.ts';
import { readOptions } from './options.ts';
import { openOwnStores } from './own-stores.ts';
import { tellFailure } from './report.ts';
import type { Stage } from './stage.ts';

const { seed: first, seeds, steps, isTraced, isJson, mutations: chosen } = readOptions(process.argv);
/** Then the history at hand loses its stores in the middle, and what it says of that is nothing. */
let isInterrupted = false;
const say = (line: string): void => {
  if (!isJson && !isInterrupted) console.log(line);
};

/** A table: planted bug → the rule that it broke, where. True when every one was found. */
async function huntAll(stage: Stage): Promise<boolean> {
  const hunts: Hunt[] = [];
  say('| planted bug | found by | seed | event |\n|---|---|---|---|');
  for (const mutation of mutations.filter(({ name }) => chosen.includes(name))) {
    const found = await hunt(stage, mutation, { from: first, seeds, steps });
    hunts.push(found);
    const { foundBy } = found;
    say(
      `| ${mutation.bug} (\`${mutation.name}\`) | ${foundBy?.rule ?? `NOT FOUND in ${found.seeds}`} | ${foundBy?.seed ?? ''} | ${foundBy?.event ?? ''} |`,
    );
  }
  if (isJson) console.log(JSON.stringify(hunts));
  return hunts.every((one) => one.foundBy !== undefined);
}

/** One seed after the other, each failure as it is found, the sums at the end. True when none failed. */
async function playAll(stage: Stage): Promise<boolean> {
  const failures: HistoryResult[] = [];
  const totals = { seeds: 0, events: 0, purchases: 0, paid: 0 };
  const startedAt = performance.now();
  const progress = startProgress();
  for (let i = 0; i < seeds; i += 1) {
    const seed = (first + i) >>> 0;
    const result = await playHistory(stage, { seed, steps, keepsTrace: isTraced });
    const { events, purchases, paid } = result;
    totals.seeds += 1;
    totals.events += events;
    totals.purchases += purchases;
    totals.paid += paid;
    if (isTraced) say((result.trace ?? []).join('\n'));
    if (result.violation !== undefined) {
      failures.push(result);
      say(tellFailure(result, steps));
    } else if (seeds === 1)
      say(`seed ${seed}: ${events} events, ${purchases} purchases, ${paid} paid, hash ${result.hash}`);
    progress.update(i + 1, seeds, `seed ${seed}, ${failures.length} failed`);
  }
  progress.stop();
  const seconds = (performance.now() - startedAt) / 1000;
  if (isJson) console.log(JSON.stringify({ first, steps, ...totals, seconds, failures }));
  say(
    `${totals.seeds} seeds from ${first}, ${totals.events} events, ${totals.purchases} purchases, ${totals.paid} paid, ${failures.length} failed, ${seconds.toFixed(1)} s`,
  );
  return failures.length === 0;
}

const INTERRUPTED = 130;

/** The exit code. */
async function run(): Promise<number> {
  const stores = await openOwnStores((line) => process.stderr.write(`sim: ${line}\n`));
  const interrupted = new Promise<number>((resolve) => {
    const interrupt = (): void => {
      isInterrupted = true;
      resolve(INTERRUPTED);
    };
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt);
  });
  const played = (chosen.length > 0 ? huntAll(stores) : playAll(stores)).then((isSound) => (isSound ? 0 : 1));
  try {
    return await Promise.race([played, interrupted]);
  } finally {
    await stores.close();
  }
}

// Calls of processes that died are never answered, and their timers would keep this one.
process.exit(await run());
