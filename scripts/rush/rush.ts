// A whole rush as one call: finds or starts the system, runs the race, inspects what is left, and cleans up. The command
// line is in ../rush.ts; tests call this directly.
import { systemClock } from '../../core/clock.ts';
import { inspect } from './inspect.ts';
import type { RushOptions } from './options.ts';
import { showProgress } from './progress.ts';
import { prepareRace, type Race } from './race.ts';
import { type RushResult, toResult } from './result.ts';
import { summarize } from './summary.ts';
import { findTarget, type Surroundings, type Target } from './target.ts';
import { number, type Terminal } from './terminal.ts';

export type RushSurroundings = Omit<Surroundings, 'say'> & { terminal: Terminal };

export async function runRush(options: RushOptions, surroundings: RushSurroundings): Promise<RushResult> {
  const { terminal, signal } = surroundings;
  const target = await findTarget(options, { ...surroundings, say: terminal.say });
  try {
    introduce(target, terminal);
    const race = await prepareRace(options, target, { say: terminal.say, signal });
    try {
      return await runRace(race, target, options, surroundings);
    } finally {
      await race.close();
    }
  } finally {
    if (target.isOwn) terminal.say('stopping the system');
    await target.leave();
  }
}

async function runRace(
  race: Race,
  target: Target,
  options: RushOptions,
  { terminal, signal }: RushSurroundings,
): Promise<RushResult> {
  const { offer, spectator, witness } = race;
  terminal.say(`${number(options.buyers)} buyers are ready for ${number(options.stock)} units of sale ${offer.saleId}`);
  const stopProgress = showProgress(race, options, terminal, systemClock);
  const { isCut, tookMs } = await race.run().finally(stopProgress);
  signal.throwIfAborted();
  if (isCut) terminal.say(`the time is up after ${options.limitMs / 1_000} s: not everybody is done`);
  terminal.say('auditing: stock, line, orders, payments and ledger are held against each other');
  const { saleId } = offer;
  const { headSteppedBack } = spectator;
  const inspection = await inspect(target.config, { saleId, stock: options.stock, witness, headSteppedBack }, signal);
  // Not ours: the shop goes on, and a sale without stock would stand open for ever.
  if (!target.isOwn && !options.isKept) await race.merchant.close(saleId);
  const result = toResult(options, { ...inspection, race, isCut, tookMs });
  terminal.print(summarize(result, race, inspection.records, terminal.columns));
  return result;
}

function introduce(target: Target, { say }: Terminal): void {
  say(
    `${target.isOwn ? 'a system of its own runs' : 'the system runs'} on ${target.url}; watch it live at ${target.url}/`,
  );
  const processes = target.processes();
  if (processes.length === 0) return;
  say(`its processes: ${processes.map(({ name, pid }) => `${name} ${pid}`).join(', ')}`);
  say(
    `kill -9 any of them in the middle of it: each is started again (pids are kept in ${target.config.dataDir}/run.json)`,
  );
}
