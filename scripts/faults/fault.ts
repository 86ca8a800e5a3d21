// The shapes of the fault matrix: a fault, what it may do to a running system, and what is allowed to be seen meanwhile.
import type { RushOptions } from '../rush/options.ts';
import type { Diary } from './diary.ts';
import type { Stage, StageKind } from './stage.ts';

export interface Fault {
  readonly name: string;
  /** A few words for the table: what is done, for how long. */
  readonly title: string;
  readonly stage: StageKind;
  /** Part of the short form. */
  readonly isQuick?: boolean;
  /** A process that buyers talk to dies: their connections may be lost with it. */
  readonly mayLoseConnections?: boolean;
  /** A store lost its data: what was acknowledged within the relay's lag may be lost, what was paid may not. */
  readonly mayForgetUnwritten?: boolean;
  /** Redis itself is away or must be looked at again: until then nothing may be accepted. */
  readonly mustRefuse?: boolean;
  readonly crowd?: Partial<RushOptions>;
  /** Undefined where it can be played; else the reason why not. */
  readonly skip?: () => string | undefined;
  /** Before the crowd is there. */
  prepare?(scene: Scene): Promise<void>;
  /** After the opening; a while, so that purchases, payments and the relay are at work. */
  readonly strikeAfterMs?: number;
  /** From the first harm to its end; what it knows better of the moments it returns. */
  play(scene: Scene): Promise<Moments | undefined | void>;
  /** Takes back whatever was done, however far `play` got; called in any case. */
  mend?(scene: Scene): Promise<void> | void;
}

export interface Moments {
  struckAt: number;
  /** Recovery is counted from here. */
  endedAt: number;
}

export interface Scene {
  readonly stage: Stage;
  readonly diary: Diary;
  readonly signal: AbortSignal;
  /** Rejects when the run is given up. */
  wait(ms: number): Promise<void>;
  /** Polls until it is so; says what did not happen where it does not within the limit. */
  until(what: string, isSo: () => boolean | Promise<boolean>, limitMs?: number): Promise<void>;
  /** A sentence for the report. */
  note(sentence: string): void;
  /** The row fails. */
  blame(sentence: string): void;
}
