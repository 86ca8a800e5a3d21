// When a line is told: its first change at once, the next ones together after an interval, the newest only. A large audience
// is told group by group, a turn each, so that whoever buys meanwhile is not kept waiting for all those writes; and telling
// takes no more than its share of the process, however large the audience is. Knows nothing of what a line says.
import { LINE_BROADCAST_INTERVAL_MS, LINE_TELLING_SHARE_MAX } from '../core/constants.ts';

export interface Told {
  /** How many groups it has now, told or not. */
  readonly groupCount: number;
  /** Tells the group at this place the line as it is now; does nothing where it is told already, or is no more. */
  tellGroup(place: number): void;
  /** The press's own. */
  readonly schedule: Schedule;
}

export interface Schedule {
  state: 'resting' | 'due' | 'telling';
  hasChanged: boolean;
  quietUntil: number;
}

export const newSchedule = (): Schedule => ({ state: 'resting', hasChanged: false, quietUntil: 0 });

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
  changed(line: Told): void;
}

export function createLinePress(pace: Pace): LinePress {
  function begin(line: Told): void {
    const { schedule } = line;
    schedule.state = 'telling';
    schedule.hasChanged = false;
    tell(line, 0, { at: pace.now(), spent: pace.spent() });
  }

  function tell(line: Told, place: number, start: Start): void {
    line.tellGroup(place);
    const next = place + 1;
    // The last one's writes count too: they are made when this turn ends.
    if (next < line.groupCount) pace.later(() => tell(line, next, start), 0);
    else if (line.groupCount > 1) pace.later(() => rest(line, start), 0);
    else rest(line, start);
  }

  function rest(line: Told, start: Start): void {
    const { schedule } = line;
    const tookMs = pace.spent() - start.spent;
    schedule.state = 'resting';
    schedule.quietUntil = start.at + Math.max(LINE_BROADCAST_INTERVAL_MS, tookMs / LINE_TELLING_SHARE_MAX);
    if (schedule.hasChanged) plan(line);
  }

  function plan(line: Told): void {
    const waitMs = line.schedule.quietUntil - pace.now();
    line.schedule.state = 'due';
    if (waitMs <= 0) begin(line);
    else pace.later(() => begin(line), Math.ceil(waitMs));
  }

  return {
    changed(line) {
      line.schedule.hasChanged = true;
      if (line.schedule.state === 'resting') plan(line);
    },
  };
}
