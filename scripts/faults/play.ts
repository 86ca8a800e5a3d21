// Plays one fault in the middle of a rush and judges what is left: what buyers heard, what was acknowledged and kept, how
// long it took until somebody was accepted again and everything was applied, and the audit.
import { sleep, systemClock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import { inspect, type Inspection } from '../rush/inspect.ts';
import { DEFAULTS, type RushOptions } from '../rush/options.ts';
import { prepareRace, type Race } from '../rush/race.ts';
import { type LookUp, lookUpAll, untilApplied } from './after.ts';
import { createDiary, type Diary } from './diary.ts';
import type { Fault, Moments, Scene } from './fault.ts';
import type { Stage } from './stage.ts';

export interface Row {
  name: string;
  title: string;
  isOk: boolean;
  /** Why it was not played. */
  skipped?: string;
  /** Answers from the beginning of the fault until somebody was accepted after its end, and at least so long. */
  meanwhile: Record<string, number>;
  wrongAnswers: Record<string, number>;
  acknowledged: number;
  kept: number;
  /** Acknowledged within the relay's lag, and lost with the store, as is said beforehand; none of them was paid. */
  lostUnwritten: number;
  sold: number;
  stock: number;
  oversold: number;
  outOfOrder: number;
  /** From the end of the fault; null where nobody was left to ask. */
  acceptedAfterMs: number | null;
  appliedAfterMs: number | null;
  longestSilenceMs: number;
  /** As the exit code of `ops audit` would be. */
  audit: number;
  tookMs: number;
  notes: string[];
  problems: string[];
}

export interface PlayOptions {
  isQuick: boolean;
  signal: AbortSignal;
  say(line: string): void;
}

const CROWD: RushOptions = {
  ...DEFAULTS,
  buyers: 800,
  stock: 640,
  pay: 0.92,
  arrivalMs: 5_000,
  holdSeconds: 3,
  connections: 96,
  limitMs: 60_000,
};
const SMALL_CROWD: Partial<RushOptions> = { buyers: 240, stock: 200, arrivalMs: 2_500, holdSeconds: 1, early: 0 };
const STRIKE_AFTER_MS = 1_500;
const STRIKE_AFTER_QUICK_MS = 700;
/** Where one of two processes dies, the other accepts at once: a moment is shown all the same. */
const MEANWHILE_MIN_MS = 2_000;
const UNTIL_LIMIT_MS = 30_000;
const POLL_MS = 20;
const APPLIED_LIMIT_MS = 40_000;
const READY_LIMIT_MS = 30_000;
const AUDIT_FINDINGS_SHOWN = 5;
const TELL_EVERY_MS = 10_000;

interface Times extends Moments {
  startedAt: number;
}

export async function playFault(fault: Fault, stage: Stage, { isQuick, signal, say }: PlayOptions): Promise<Row> {
  const startedAt = systemClock.now();
  const options = { ...CROWD, ...fault.crowd, ...(isQuick ? SMALL_CROWD : {}) };
  const diary = createDiary();
  const notes: string[] = [];
  const problems: string[] = [];
  const scene = createScene({ stage, diary, signal }, notes, problems);
  await fault.prepare?.(scene);
  const race = await prepareRace(options, stage.target, { say: () => undefined, signal, observe: diary.write });
  try {
    const running = race.run();
    running.catch(() => undefined); // awaited below, unless the fault itself fails first
    const strikeAfterMs = fault.strikeAfterMs ?? (isQuick ? STRIKE_AFTER_QUICK_MS : STRIKE_AFTER_MS);
    await scene.wait(race.startedAt + strikeAfterMs - systemClock.now());
    say(`${fault.name}: now`);
    const moments = await strike(fault, scene);
    const applied = untilApplied(stage.target.config.redisUrl, APPLIED_LIMIT_MS, signal);
    say(`${fault.name}: over after ${systemClock.now() - moments.struckAt} ms, waiting for the crowd`);
    const telling = setInterval(() => say(`${fault.name}: ${progressOf(race)}`), TELL_EVERY_MS);
    const { isCut } = await running.finally(() => clearInterval(telling));
    signal.throwIfAborted();
    if (isCut)
      problems.push(
        `${race.crowd.length - race.witness.endedCount + race.witness.ends.unfinished} buyers came to no end`,
      );
    const appliedAt = await applied;
    await stage.ready(READY_LIMIT_MS).catch((error: unknown) => problems.push(messageOf(error)));
    const { saleId } = race.offer;
    const suspect = {
      saleId,
      stock: options.stock,
      witness: race.witness,
      headSteppedBack: race.spectator.headSteppedBack,
    };
    const inspection = await inspect(stage.target.config, suspect, signal);
    const lookUp = await lookUpAll(stage.target.url, race, { signal, mayBeOlder: fault.mayForgetUnwritten === true });
    await race.merchant.close(saleId);
    const times = { startedAt, ...moments };
    return judge({ fault, options, race, diary, inspection, lookUp, times, appliedAt, notes, problems });
  } finally {
    await race.close();
  }
}

function progressOf({ crowd, witness, spectator }: Race): string {
  const { available, held, sold, waiting } = spectator.counts;
  const counts = `available ${available}, held ${held}, sold ${sold}, waiting ${waiting}`;
  return `${witness.endedCount} of ${crowd.length} buyers are done; ${counts}`;
}

/** What it did is taken back in any case. */
async function strike(fault: Fault, scene: Scene): Promise<Moments> {
  const struckAt = systemClock.now();
  try {
    return (await fault.play(scene)) ?? { struckAt, endedAt: systemClock.now() };
  } finally {
    await fault.mend?.(scene);
  }
}

function createScene(parts: Pick<Scene, 'stage' | 'diary' | 'signal'>, notes: string[], problems: string[]): Scene {
  const { signal } = parts;
  const wait = async (ms: number): Promise<void> => {
    await sleep(Math.max(0, ms), signal);
    signal.throwIfAborted();
  };
  return {
    ...parts,
    wait,
    async until(what, isSo, limitMs = UNTIL_LIMIT_MS) {
      const giveUpAt = systemClock.now() + limitMs;
      while (!(await isSo())) {
        if (systemClock.now() > giveUpAt) {
          problems.push(`it did not happen within ${limitMs / 1_000} s that ${what}`);
          return;
        }
        await wait(POLL_MS);
      }
    },
    note: (sentence) => void notes.push(sentence),
    blame: (sentence) => void problems.push(sentence),
  };
}

interface Evidence {
  fault: Fault;
  options: RushOptions;
  race: Race;
  diary: Diary;
  inspection: Inspection;
  lookUp: LookUp;
  times: Times;
  appliedAt: number | undefined;
  notes: string[];
  problems: string[];
}

function judge({ fault, options, race, diary, inspection, lookUp, times, appliedAt, notes, problems }: Evidence): Row {
  const { mayForgetUnwritten: mayForget = false, mayLoseConnections = false, mustRefuse = false } = fault;
  const { witness } = race;
  const { records, verdict, audit } = inspection;
  const acceptedAt = diary.firstAcceptedAfter(times.endedAt);
  const wrongAnswers = diary.wrong({ mayLoseConnections, mayForget });
  const lostForGood = mayForget ? verdict.lost - witness.lost.size : verdict.lost;
  const lostPaid = [...witness.lost.values()].filter(({ latest }) => latest.status === 'CONFIRMED').length;
  const complain = (isWrong: boolean, sentence: string): void => {
    if (isWrong) problems.push(sentence);
  };
  for (const [word, count] of Object.entries(wrongAnswers))
    problems.push(`${count} times a buyer was answered: ${word}`);
  for (const [code, count] of witness.oddRefusals) problems.push(`${count} buyers were refused with ${code}`);
  complain(lostForGood > 0, `${lostForGood} acknowledged purchases are lost or contradicted by the records`);
  complain(lostPaid > 0, `${lostPaid} paid purchases are lost`);
  complain(verdict.oversold > 0, `${verdict.oversold} units were sold that were not there`);
  complain(verdict.outOfOrder > 0, `${verdict.outOfOrder} times somebody was overtaken in the line`);
  const isFalselySoldOut = witness.ends.soldOut > 0 && records.sold < options.stock;
  complain(
    isFalselySoldOut,
    `${witness.ends.soldOut} buyers were told SOLD_OUT, and ${records.sold} of ${options.stock} units are sold`,
  );
  complain(witness.acknowledged.size === 0, 'nobody was accepted at all');
  // Where purchases went on all the time, everybody may have been accepted before its end.
  const isOver = acceptedAt === undefined && diary.wasAskedAfter(times.endedAt);
  complain(isOver, 'nobody was accepted any more after the fault');
  complain(appliedAt === undefined, 'the outbox was not applied');
  const slipped = diary.acceptedBetween(times.struckAt, times.endedAt);
  complain(mustRefuse && slipped > 0, `${slipped} purchases were accepted while Redis could not be trusted`);
  problems.push(...lookUp.problems.slice(0, 3), ...audit.findings.slice(0, AUDIT_FINDINGS_SHOWN));
  complain(lookUp.problems.length > 3, `and ${lookUp.problems.length - 3} more that were acknowledged`);
  return {
    name: fault.name,
    title: fault.title,
    isOk: problems.length === 0 && audit.isOk,
    meanwhile: diary.counts(
      times.struckAt,
      Math.max(acceptedAt ?? systemClock.now(), times.struckAt + MEANWHILE_MIN_MS),
    ),
    wrongAnswers,
    acknowledged: lookUp.asked + witness.lost.size,
    kept: lookUp.kept,
    lostUnwritten: witness.lost.size,
    sold: records.sold,
    stock: options.stock,
    oversold: verdict.oversold,
    outOfOrder: verdict.outOfOrder,
    acceptedAfterMs: acceptedAt === undefined ? null : acceptedAt - times.endedAt,
    appliedAfterMs: appliedAt === undefined ? null : Math.max(0, appliedAt - times.endedAt),
    longestSilenceMs: diary.longestSilence(times.struckAt, acceptedAt ?? systemClock.now()),
    audit: audit.isOk ? 0 : 1,
    tookMs: systemClock.now() - times.startedAt,
    notes,
    problems,
  };
}
