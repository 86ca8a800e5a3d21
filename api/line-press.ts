// When a line is told, and to whom first. Each group of watchers is to know of a change within LINE_TOLD_WITHIN_MS, and no
// message is sent that the next one makes idle: where changes follow each other, each is told at once to that part of the
// audience that has waited longest, and the parts take turns. Telling takes no more than its share of the process, a group a
// turn of the loop, so that who buys meanwhile does not wait for all those writes. Knows nothing of what a line says.
import {
  LINE_BROADCAST_INTERVAL_MS,
  LINE_TELLING_SHARE_MAX,
  LINE_TOLD_MARGIN_MS,
  LINE_TOLD_WITHIN_MS,
  LINE_TURN_MIN_MS,
} from '../core/constants.ts';

/** Some watchers of a line, told together. */
export interface Audience {
  /** Since when there has been something that they do not know; undefined where there is nothing. */
  waitingSince: number | undefined;
  /** The press's own: of two that have waited as long, the one that was told before the other has its turn. */
  toldAt: number;
  /** Tells them the line as it is now. */
  tell(): void;
}

export interface Told {
  readonly audiences: readonly Audience[];
  /** The press's own. */
  readonly schedule: Schedule;
}

export interface Schedule {
  isTelling: boolean;
  /** Raised with each turn, so that a timer of an earlier one does nothing. */
  turn: number;
  changedAt: number;
  /** Between two changes, lately. */
  spacingMs: number;
  /** Groups whose turn has come, and a part of one. */
  due: number;
  quietUntil: number;
}

const PATIENCE_MS = LINE_TOLD_WITHIN_MS - LINE_TOLD_MARGIN_MS;
/** Changes further apart than this are told to everybody, like the first. */
const RARE_MS = 1_000;

export const newSchedule = (): Schedule => ({
  ...{ isTelling: false, turn: 0, changedAt: Number.NEGATIVE_INFINITY },
  ...{ spacingMs: RARE_MS, due: 0, quietUntil: Number.NEGATIVE_INFINITY },
});

/** Time, as a test may make it. */
export interface Pace {
  now(): number;
  /** Processor time of this process, ms: on a busy machine a turn takes longer than it costs. */
  spent(): number;
  /** In a later turn, if `ms` is 0. */
  later(work: () => void, ms: number): void;
}

export const realPace: Pace = {
  now: () => performance.now(),
  spent() {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  },
  later(work, ms) {
    if (ms > 0) setTimeout(work, ms).unref();
    else setImmediate(work);
  },
};

interface Start {
  readonly at: number;
  readonly spent: number;
}

export interface LinePress {
  /** After something changed that `audiences` do not know. */
  changed(line: Told): void;
}

/** A small audience is told ten times a second at most; a large one a part at a time, and each part less often. */
function turnMs({ audiences }: Told): number {
  return Math.max(LINE_TURN_MIN_MS, LINE_BROADCAST_INTERVAL_MS / Math.max(1, audiences.length));
}

/** In how many turns all of them are told: as many as fit before the first of them has waited too long. */
function turnsOf(line: Told): number {
  const { spacingMs } = line.schedule;
  const least = turnMs(line);
  // Where changes are rarer than turns, a turn comes with a change; else a change waits for its turn, too.
  if (spacingMs >= least) return 1 + Math.floor(PATIENCE_MS / spacingMs);
  return Math.max(1, Math.floor(PATIENCE_MS / least));
}

function longestWaiting(audiences: readonly Audience[]): Audience | undefined {
  let first: Audience | undefined;
  for (const one of audiences) {
    if (one.waitingSince === undefined) continue;
    const since = first?.waitingSince ?? Number.POSITIVE_INFINITY;
    if (one.waitingSince < since || (one.waitingSince === since && one.toldAt < (first?.toldAt ?? 0))) first = one;
  }
  return first;
}

export function createLinePress(pace: Pace): LinePress {
  function begin(line: Told): void {
    const { schedule, audiences } = line;
    schedule.isTelling = true;
    schedule.turn += 1;
    schedule.due = Math.min(audiences.length, Math.max(1, schedule.due + audiences.length / turnsOf(line)));
    tell(line, { at: pace.now(), spent: pace.spent() });
  }

  /** Whether another turn would be too late. */
  function isPressing({ waitingSince = Number.POSITIVE_INFINITY }: Audience, line: Told): boolean {
    return pace.now() - waitingSince + turnMs(line) > PATIENCE_MS;
  }

  function tell(line: Told, start: Start): void {
    const { schedule, audiences } = line;
    const next = longestWaiting(audiences);
    if (next === undefined || (schedule.due < 1 && !isPressing(next, line))) return rest(line, start);
    schedule.due = Math.max(0, schedule.due - 1);
    next.toldAt = pace.now();
    next.waitingSince = undefined;
    next.tell();
    // The last one's writes count too: they are made when this turn of the loop ends.
    if (audiences.length > 1) pace.later(() => tell(line, start), 0);
    else rest(line, start);
  }

  function rest(line: Told, start: Start): void {
    const { schedule } = line;
    const tookMs = pace.spent() - start.spent;
    schedule.isTelling = false;
    schedule.quietUntil = start.at + Math.max(turnMs(line), tookMs / LINE_TELLING_SHARE_MAX);
    const { waitingSince } = longestWaiting(line.audiences) ?? {};
    if (waitingSince === undefined) return;
    // The next change is what the next turn comes with. Where none comes in time, those who are left are told all the same.
    const expectedMs = schedule.spacingMs >= turnMs(line) ? 1.25 * schedule.spacingMs : 0;
    plan(line, Math.max(schedule.quietUntil, Math.min(start.at + expectedMs, waitingSince + PATIENCE_MS)));
  }

  function plan(line: Told, at: number): void {
    const { schedule } = line;
    const { turn } = schedule;
    const work = (): void => {
      if (schedule.turn === turn && !schedule.isTelling) begin(line);
    };
    const waitMs = at - pace.now();
    if (waitMs <= 0) work();
    else pace.later(work, Math.ceil(waitMs));
  }

  return {
    changed(line) {
      const { schedule, audiences } = line;
      const now = pace.now();
      schedule.spacingMs = (schedule.spacingMs + Math.min(RARE_MS, now - schedule.changedAt)) / 2;
      schedule.changedAt = now;
      for (const one of audiences) one.waitingSince ??= now;
      if (!schedule.isTelling) plan(line, schedule.quietUntil);
    },
  };
}
